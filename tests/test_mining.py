"""Hard-example mining: whom a network gets wrong is drawn more often, and is judged once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from drawn_people import drawn_person
from torch import Tensor, nn
from training.cutouts import Cutout, Material, touched_sides
from training.mining import LEAST, MOST, mined, person_errors

from birefvideo.network.birefnet import BiRefNet

CPU = torch.device("cpu")


def person(name: str, brightness: int) -> Cutout:
    """Somebody of one brightness, without a head that anything is drawn around."""
    arrays = drawn_person(1)
    colours = np.full_like(arrays["foreground"], brightness)
    picture = (colours * (arrays["alpha"][..., None] / 255)).astype(np.uint8)
    alpha, trust = arrays["alpha"], arrays["trust"]
    return Cutout(picture, colours, alpha, trust, touched_sides(alpha), None, name)


class Bright(nn.Module):
    """Takes what is bright for a person."""

    def forward(self, pixels: Tensor) -> Tensor:
        return 6 * pixels.mean(1, keepdim=True)


@pytest.fixture
def material() -> Material:
    people = [person(f"light_{i}", 225) for i in range(7)] + [person("dark", 40)]
    return Material(people, [np.full((90, 160, 3), 30, np.uint8)])


def test_whom_a_network_gets_wrong_is_drawn_more_often(material: Material, tmp_path: Path) -> None:
    file = tmp_path / "hard.json"
    harder = mined(material, cast(BiRefNet, Bright()), CPU, file)
    assert len(harder.weights) == 8 and min(harder.weights) >= LEAST and max(harder.weights) <= MOST
    assert harder.weights[-1] > max(3 * np.median(harder.weights), *harder.weights[:-1])

    def drawn(of: Material) -> float:
        rng = np.random.default_rng(2)
        return Counter(of.person(rng).name for _ in range(800))["dark"] / 800

    assert drawn(harder) == pytest.approx(harder.weights[-1] / sum(harder.weights), abs=0.05)
    assert drawn(harder) > 1.5 * drawn(material)

    class Asked(nn.Module):
        def forward(self, pixels: Tensor) -> Any:
            raise AssertionError("a run that goes on judges nobody again")

    assert mined(material, cast(BiRefNet, Asked()), CPU, file).weights == harder.weights
    stranger = Material([*material.cutouts, person("new", 90)], material.rooms)
    assert mined(stranger, cast(BiRefNet, Asked()), CPU, file).weights == (*harder.weights, 1.0)


def test_everybody_is_judged_on_the_same_pictures_every_time(material: Material) -> None:
    first, again = (person_errors(cast(BiRefNet, Bright()), material, CPU) for _ in range(2))
    assert first.shape == (8,) and np.array_equal(first, again)
    assert (first >= 0).all() and (first <= 1).all()

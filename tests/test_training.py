"""scripts/train.py on a folder of drawn people: it goes on where it stopped, exports, and starts from weights."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import train
import training.batches
import training.compose
import training.run
from drawn_people import drawn_person, write_folder
from training import places, styles
from training.clothes import banded
from training.compose import Sample, _crisp, compose, filmed, next_frame
from training.cutouts import (
    Cutout,
    Material,
    load_material,
    read_index,
    touched_sides,
)
from training.heldout import held_out
from training.losses import temporal_loss
from training.muon import Muon, orthogonal
from training.places import view

from birefvideo.family.checkpoints import find, load
from birefvideo.network.birefnet import BiRefNet, Geometry


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A data folder as scripts/train.py reads it, and a place for the cache of foreground colours."""
    return write_folder(tmp_path / "data"), tmp_path / "cache"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
    train.main()


def steps(run_folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run_folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_run_goes_on_where_it_stopped_exports_and_starts_another(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, cache = folders
    monkeypatch.setattr(training.batches, "STAGES", ((0.5, ((64, 64),)), (0.5, ((96, 64),))))
    common = ("--data", data, "--cache", cache, "--batch", "2")
    with pytest.raises(SystemExit, match="no finished steps"):
        run(monkeypatch, "--run", tmp_path / "a", "--export", tmp_path / "exported")
    run(monkeypatch, *common, "--run", tmp_path / "a", "--steps", "2")
    run(monkeypatch, *common, "--run", tmp_path / "a", "--steps", "4")
    assert steps(tmp_path / "a") == [2, 4]
    run(monkeypatch, "--run", tmp_path / "a", "--export", tmp_path / "exported")
    found = find(str(tmp_path / "exported"))
    assert found.size.network_size(1280, 720) == (640, 352)
    exported = load(found)
    still = ("--init", tmp_path / "exported", "--steps", "1", "--rate", "0", "--mine")
    run(monkeypatch, *common, "--run", tmp_path / "b", *still)
    people = json.loads((tmp_path / "b" / "recipe.json").read_text())["people"]
    assert len(json.loads((tmp_path / "b" / "hard.json").read_text())) == people
    state = torch.load(tmp_path / "b" / "state.pt", weights_only=True)["model"]
    for name, parameter in exported.named_parameters():
        torch.testing.assert_close(state[name], parameter, msg=name)


@pytest.mark.slow
def test_a_run_keeps_its_backbone_and_frozen_norms_their_statistics(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, cache = folders
    monkeypatch.setattr(training.batches, "STAGES", ((1.0, ((64, 64),)),))
    common = ("--data", data, "--cache", cache, "--batch", "2", "--run", tmp_path / "a")

    def statistics() -> list[torch.Tensor]:
        state = torch.load(tmp_path / "a" / "state.pt", weights_only=True)["model"]
        return [value for name, value in state.items() if "running" in name]

    monkeypatch.setattr(train, "FROZEN", 1.0)
    run(monkeypatch, *common, "--steps", "1", "--backbone", "conv_t")
    learnt = statistics()
    run(monkeypatch, *common, "--steps", "2")
    moved = statistics()
    assert not all(map(torch.equal, learnt, moved))
    monkeypatch.setattr(train, "FROZEN", 0.0)
    run(monkeypatch, *common, "--steps", "3")
    assert all(map(torch.equal, moved, statistics()))
    with pytest.raises(SystemExit, match="has the backbone conv_t"):
        run(monkeypatch, *common, "--steps", "4", "--backbone", "conv_m")


def test_backgrounds_of_large_frames_are_not_all_blown_up() -> None:
    room = np.random.default_rng(1).integers(0, 256, (90, 160, 3), np.uint8)

    def detail(picture: np.ndarray) -> float:
        return float(np.abs(np.diff(picture.astype(int), axis=1)).mean())

    rng = np.random.default_rng(2)
    sharp = np.mean([detail(view(room, 640, 352, rng)) > 0.4 * detail(room) for _ in range(60)])
    assert 0.4 < sharp < 0.8


def test_a_crisper_edge_keeps_what_is_solid_and_what_is_empty() -> None:
    ramp = np.arange(256, dtype=np.uint8)[None]
    for seed in range(10):
        crisp = _crisp(ramp, np.random.default_rng(seed))
        assert crisp[0, 0] == 0 and crisp[0, -1] == 255
        assert (np.diff(crisp.astype(int)) >= 0).all() and np.diff(crisp.astype(int)).max() >= 2


def test_only_rows_that_may_be_used_are_read(folders: tuple[Path, Path]) -> None:
    data, cache = folders
    both, free = (read_index([data], releases) for releases in ({"yes", "sa"}, {"yes"}))
    assert (len(both.people), len(both.backgrounds)) == (21, 13)
    assert (len(free.people), len(free.backgrounds)) == (20, 12)
    material = load_material(free, cache)
    assert [len(material.cutouts), len(material.rooms)] == [20, 12]
    trust = {cutout.name: int(cutout.fetch().trust.min()) for cutout in material.cutouts}
    assert trust["portraits/p0"] == 0 and trust["portraits/p1"] == 255


def test_a_tenth_of_each_kind_is_held_out_and_of_videos_nobody(folders: tuple[Path, Path]) -> None:
    known, held = read_index([folders[0]], {"yes", "sa"}).split()
    kinds = [kind for _, kind in held.people]
    assert sorted(kinds) == ["half body", "headshot", "headshot"], "of 3 and of 18, rounded up"
    assert len(held.backgrounds) == 3 and len(known.people) + len(held.people) == 21
    assert not {path for path, _ in known.people} & {path for path, _ in held.people}
    rows = [(f"portraits/{name}_{i}", "k") for i in range(30) for name in ("intel_asl", "other")]
    chosen = held_out(rows)
    assert len(chosen) == 3 and all("other" in name for name in chosen)
    assert held_out(rows[::-1]) == chosen


def lone_material() -> Material:
    """One drawn person, cut by the photo's lower edge, and one grey room."""
    arrays = drawn_person(1)
    alpha = arrays["alpha"]
    cutout = Cutout(
        arrays["picture"], arrays["foreground"], alpha, arrays["trust"], touched_sides(alpha), styles.find_head(alpha)
    )
    assert cutout.cut == (False, False, False, True)
    return Material([cutout], [np.full((90, 160, 3), 40, np.uint8)])


def test_compositions_depend_on_the_seed_only_and_hide_where_the_photo_cut_the_person(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training.compose, "desk", lambda material, empty, picture, alpha, rng: (picture, alpha))
    monkeypatch.setattr(training.compose, "can_complete", lambda cutout: False)
    material = lone_material()
    with_person = 0
    for seed in range(60):
        one, other = (compose(material, 96, 64, np.random.default_rng(seed)) for _ in range(2))
        assert (one.picture == other.picture).all() and (one.alpha == other.alpha).all()
        assert one.picture.shape == (64, 96, 3) and one.alpha.shape == one.trust.shape == (64, 96)
        if one.alpha.max() > 200:
            with_person += 1
            assert one.alpha[-1].max() > 128, f"seed {seed}: the body ends above the frame's bottom"
    assert 40 < with_person < 60


def test_some_people_sit_behind_a_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    material = lone_material()
    monkeypatch.setattr(training.compose, "can_complete", lambda cutout: False)
    behind = 0
    for seed in range(200):
        one, other = (compose(material, 96, 64, np.random.default_rng(seed)) for _ in range(2))
        assert (one.picture == other.picture).all() and (one.alpha == other.alpha).all()
        behind += int(one.alpha.max() > 200 and one.alpha[-1].max() < 128)
    assert 3 < behind < 24, "a tenth of those with people, where the desk crosses the whole frame"


def test_below_a_desk_s_edge_nobody_is_left_and_above_it_nothing_changes() -> None:
    material = lone_material()
    empty, picture = np.full((64, 96, 3), 40, np.uint8), np.full((64, 96, 3), 200, np.uint8)
    seen = 0
    for seed in range(20):
        alpha = np.full((64, 96), 255, np.uint8)
        covered, left = places.desk(material, empty, picture, alpha, np.random.default_rng(seed))
        assert (covered[left == 255] == 200).all() and (left[:32] == 255).all()
        seen += int((left[-1] == 0).any())
    assert seen > 10


def test_bands_run_across_the_clothes_and_leave_the_head_alone() -> None:
    head = styles.find_head(drawn_person(1)["alpha"])
    assert head is not None
    plain = np.full((120, 100, 3), 128, np.uint8)
    across = 0
    for seed in range(20):
        striped = banded(plain, head, np.random.default_rng(seed))
        changed = (striped != plain).any(axis=2)
        assert not changed[: int(head.eyes)].any()
        across += int(changed.any(axis=0).mean() > 0.9)
    assert across > 10


def test_the_head_is_found_where_it_was_drawn() -> None:
    head = styles.find_head(drawn_person(1)["alpha"])
    assert head is not None
    assert abs(head.x - 50) < 2 and abs(head.top - 23) < 3 and abs(head.width - 44) < 4 and 55 < head.shoulders < 85
    assert styles.find_head(np.zeros((120, 100), np.uint8)) is None


@pytest.mark.parametrize("draw", [styles.strands, styles.big_hair, styles.headphones, styles.cap, styles.raised_arm])
def test_what_is_worn_or_raised_becomes_person_and_takes_nothing_away(draw: Callable[..., Any]) -> None:
    arrays = drawn_person(1)
    arrays["foreground"][:] = (120, 140, 190)
    head = styles.find_head(arrays["alpha"])
    grown = 0
    for seed in range(8):
        colours, alpha = draw((arrays["foreground"], arrays["alpha"]), head, np.random.default_rng(seed))
        assert colours.shape == (120, 100, 3) and alpha.dtype == np.uint8
        assert (alpha >= arrays["alpha"]).all()
        grown += int((alpha > arrays["alpha"]).sum() > 20)
    assert grown >= 6


def test_bare_shoulders_change_colours_below_the_head_only_and_no_alpha() -> None:
    arrays = drawn_person(1)
    arrays["foreground"][:] = (120, 140, 190)
    arrays["foreground"][75:] = (40, 200, 40)
    head = styles.find_head(arrays["alpha"])
    assert head is not None
    for seed in range(8):
        rng = np.random.default_rng(seed)
        texture = np.full((120, 100, 3), 90, np.uint8)
        colours, alpha = styles.bare_shoulders(
            (arrays["foreground"], arrays["alpha"]), head, partial(np.copy, texture), rng
        )
        assert (alpha == arrays["alpha"]).all()
        assert (colours[:50] == arrays["foreground"][:50]).all()
        assert (colours[90:] != arrays["foreground"][90:]).any()


def test_the_next_frame_is_the_same_scene_moved_and_its_truth_with_it() -> None:
    ramp = np.linspace(0, 255, 96).astype(np.uint8)
    plane = np.ascontiguousarray(np.broadcast_to(ramp, (64, 96)))
    scene = Sample(cv2.merge([plane] * 3), plane, np.full_like(plane, 255))
    moved = next_frame(scene, np.random.default_rng(1))
    assert (moved.alpha != scene.alpha).any()
    assert np.abs(moved.picture[..., 0].astype(int) - moved.alpha).max() <= 1
    assert np.abs(moved.alpha.astype(int) - scene.alpha).max() < 20
    assert filmed(scene, np.random.default_rng(2)).picture.shape == (64, 96, 3)


def test_the_temporal_loss_is_zero_for_a_constant_error_and_counts_flicker() -> None:
    truth = torch.rand(6, 1, 8, 8)
    trust = torch.ones_like(truth)
    # Of neighbours with the same error nothing is seen; the last two pictures are no pair.
    error = torch.tensor([0.2, 0.2, -0.1, -0.1, 0.5, 0.0]).view(6, 1, 1, 1)
    assert float(temporal_loss(truth + error, truth, trust, 2)) == pytest.approx(0, abs=1e-6)
    error[1] = 0.4
    assert float(temporal_loss(truth + error, truth, trust, 2)) == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize("backbone", ["conv_m", "conv_c"])
def test_a_deeper_network_starts_as_the_checkpoint_that_it_grows_from(backbone: str) -> None:
    small = BiRefNet(replace(training.run.TALK, backbone="conv_t")).eval()
    large = BiRefNet(replace(training.run.TALK, backbone=backbone)).eval()
    training.run.grow(large, small)
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(large(image), small(image))
    with pytest.raises(SystemExit, match="does not fit"):
        training.run.grow(small, large)


def test_a_blend_lies_between_the_two() -> None:
    new, old = (BiRefNet(Geometry("conv_t", "", attention=("",) * 5, head="subpixel")) for _ in range(2))
    wanted = {k: 0.75 * v + 0.25 * old.state_dict()[k] for k, v in new.state_dict().items() if v.is_floating_point()}
    training.run.blend(new, old, 0.75)
    for name, value in wanted.items():
        torch.testing.assert_close(new.state_dict()[name], value)


@pytest.mark.parametrize("shape", [(3, 8, 40), (2, 40, 8)])
def test_orthogonal_matrices_have_singular_values_near_one(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(2)
    matrices = torch.randn(shape) @ torch.diag(torch.logspace(-1, 1, shape[2]))
    values = torch.linalg.svdvals(orthogonal(matrices))
    assert torch.linalg.svdvals(matrices).amin() < 0.2 * torch.linalg.svdvals(matrices).amax()
    assert values.min() > 0.5 and values.max() < 1.3


def test_muon_fits_a_linear_map() -> None:
    torch.manual_seed(2)
    weight, truth, x = torch.nn.Parameter(torch.zeros(6, 10)), torch.randn(6, 10), torch.randn(200, 10)
    optimiser = Muon([weight], lr=0.05)
    errors = []
    for _ in range(120):
        optimiser.zero_grad()
        error = (x @ (weight - truth).t()).square().mean()
        error.backward()
        optimiser.step()
        errors.append(error.item())
    assert errors[-1] < 0.05 * errors[0]

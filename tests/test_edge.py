"""Edge controls: exact against scipy's morphology and filters, each alone, and smooth where a piece changes size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import GetClip
from outputs import decoded_video, rgb_and_alpha
from scipy import ndimage

import birefvideo
from birefvideo.errors import OptionError
from birefvideo.frames import Alpha
from birefvideo.jobs.options import Options
from birefvideo.matting.edge import Edge, shape

SIZES = [(1, 1), (1, 70), (2, 3), (97, 131), (300, 513)]


def soft(size: tuple[int, int], seed: int = 0) -> Alpha:
    """A matte with soft and hard edges, thin parts, specks, and large areas of 0 and of 1."""
    rng = np.random.default_rng(seed)
    height, width = size
    noise = cv2.resize(rng.random((5, 7)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    alpha = np.clip((noise - 0.5) * 12 + 0.5, 0, 1)
    alpha[height // 2, width // 3 :] = 1
    alpha[rng.random(size) < 0.003] = rng.random()
    return alpha.astype(np.float32)


def disc(radius: int) -> Any:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return x * x + y * y <= radius * radius


def with_pieces(*pieces: tuple[int, int, int, int], size: tuple[int, int] = (200, 300), value: float = 1) -> Alpha:
    """A matte with rectangles (left, top, width, height)."""
    alpha = np.zeros(size, np.float32)
    for left, top, width, height in pieces:
        alpha[top : top + height, left : left + width] = value
    return alpha


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("radius", [1, 2, 5, 17])
def test_growing_and_shrinking_are_grey_dilation_and_erosion_by_a_disc(size: tuple[int, int], radius: int) -> None:
    alpha = soft(size)
    before = alpha.copy()
    larger = ndimage.grey_dilation(alpha, footprint=disc(radius), mode="constant", cval=0)
    smaller = ndimage.grey_erosion(alpha, footprint=disc(radius), mode="constant", cval=1)
    assert np.array_equal(shape(alpha, Edge(grow=radius)), larger)
    assert np.array_equal(shape(alpha, Edge(grow=-radius)), smaller)
    assert np.array_equal(alpha, before)


def test_between_whole_radii_the_edge_moves_by_parts() -> None:
    alpha = soft((97, 131))
    for sign in (1, -1):
        two, three = (shape(alpha, Edge(grow=sign * radius)) for radius in (2, 3))
        np.testing.assert_allclose(shape(alpha, Edge(grow=sign * 2.25)), 0.75 * two + 0.25 * three, atol=1e-6)
    half = shape(alpha, Edge(grow=0.5))
    np.testing.assert_allclose(half, (alpha + shape(alpha, Edge(grow=1))) / 2, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sigma", [0.4, 1.0, 3.5, 20.0])
def test_feathering_is_a_gaussian_blur(size: tuple[int, int], sigma: float) -> None:
    alpha = soft(size, seed=1)
    reach = int(np.ceil(3 * sigma))
    wanted = ndimage.gaussian_filter(alpha.astype(np.float64), sigma, mode="nearest", radius=reach)
    np.testing.assert_allclose(shape(alpha, Edge(feather=sigma)), wanted, atol=2e-6)


def test_levels_stretch_alpha_and_gamma_bends_it() -> None:
    alpha = np.linspace(0, 1, 101, dtype=np.float32)[None]
    stretched = np.clip((alpha.astype(np.float64) - 0.2) / 0.5, 0, 1)
    np.testing.assert_allclose(shape(alpha, Edge(levels=(0.2, 0.7, 1))), stretched, atol=1e-6)
    bent = shape(alpha, Edge(levels=(0.2, 0.7, 2)))
    np.testing.assert_allclose(bent**2, stretched, atol=1e-6)
    assert bent.dtype == np.float32 and bent.min() == 0 and bent.max() == 1


@pytest.mark.parametrize("seed", range(4))
def test_small_islands_go_and_all_else_stays_to_the_bit(seed: int) -> None:
    alpha = np.where(soft((300, 513), seed) >= 0.1, soft((300, 513), seed), 0)
    labels, count = ndimage.label(alpha > 0, np.ones((3, 3)))
    areas = ndimage.sum_labels(alpha, labels, range(1, count + 1))
    assert (areas <= 30).sum() > 2 and (areas > 60).sum() >= 1
    shaped = shape(alpha, Edge(drop_islands=30))
    for label, area in enumerate(areas, 1):
        wanted = alpha[labels == label] * np.float32(np.clip(area / 30 - 1, 0, 1))
        np.testing.assert_allclose(shaped[labels == label], wanted, atol=1e-6)
        if area >= 60:
            assert np.array_equal(shaped[labels == label], wanted)


@pytest.mark.parametrize("seed", range(4))
def test_small_holes_are_filled_and_gaps_at_the_border_stay(seed: int) -> None:
    missing = np.where(soft((300, 513), seed) >= 0.1, soft((300, 513), seed), 0)
    labels, count = ndimage.label(missing > 0)
    areas = ndimage.sum_labels(missing, labels, range(1, count + 1))
    at_border = set(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    filled = 1 - shape(1 - missing, Edge(fill_holes=30))
    for label, area in enumerate(areas, 1):
        share = 1 if label in at_border else np.clip(area / 30 - 1, 0, 1)
        np.testing.assert_allclose(filled[labels == label], missing[labels == label] * share, atol=1e-5)


def test_the_faint_rim_of_an_island_goes_with_it_and_that_of_the_subject_stays() -> None:
    alpha = cv2.GaussianBlur(with_pieces((20, 40, 100, 120), (160, 80, 8, 8)), (0, 0), 2)
    alone = cv2.GaussianBlur(with_pieces((20, 40, 100, 120)), (0, 0), 2)
    np.testing.assert_allclose(shape(alpha, Edge(drop_islands=100)), alone, atol=1e-6)


def test_the_only_piece_and_the_largest_one_stay_however_small() -> None:
    for pieces in ([(5, 5, 2, 2)], [(5, 5, 2, 2), (50, 50, 1, 1)]):
        shaped = shape(with_pieces(*pieces), Edge(drop_islands=1000))
        assert np.array_equal(shaped, with_pieces(pieces[0]))


def test_an_island_fades_in_as_it_grows() -> None:
    seen = [
        shape(with_pieces((20, 40, 100, 120), (200, 80, width, 10)), Edge(drop_islands=100))[85, 200]
        for width in range(8, 24)
    ]
    assert seen[0] == 0 and seen[-1] == 1
    assert np.diff(seen).min() >= 0 and np.diff(seen).max() <= 0.11


def test_a_hole_in_an_island_in_a_hole_is_each_seen_alone() -> None:
    alpha = with_pieces((10, 10, 180, 180))
    for inset, value in ((40, 0), (70, 1), (85, 0)):
        alpha[inset : 200 - inset, inset : 200 - inset] = value
    filled = shape(alpha, Edge(fill_holes=1000))
    assert filled[100, 100] == 1 and filled[50, 100] == 0 and filled[75, 100] == 1
    dropped = shape(alpha, Edge(drop_islands=4000))
    assert dropped[75, 100] == 0 and dropped[20, 100] == 1


def test_controls_work_in_their_order() -> None:
    alpha = soft((97, 131), seed=3)
    edge = Edge(grow=2, feather=1.5, levels=(0.1, 0.8, 1.2), fill_holes=40, drop_islands=20)
    steps = [
        Edge(levels=edge.levels), Edge(drop_islands=20), Edge(fill_holes=40), Edge(grow=2), Edge(feather=1.5)
    ]  # fmt: skip
    wanted = alpha
    for step in steps:
        wanted = shape(wanted, step)
    assert np.array_equal(shape(alpha, edge), wanted)


@pytest.mark.parametrize(
    ("choices", "edge"),
    [
        ({}, Edge()),
        ({"grow": "1.5"}, Edge(grow=1.5)),
        ({"shrink": 2, "feather": ".5"}, Edge(grow=-2, feather=0.5)),
        ({"levels": "0.1,0.9"}, Edge(levels=(0.1, 0.9, 1))),
        ({"levels": (0, 0.5, 2)}, Edge(levels=(0, 0.5, 2))),
        ({"fill_holes": "100", "drop_islands": np.int64(7)}, Edge(fill_holes=100, drop_islands=7)),
    ],
)
def test_options_become_an_edge(choices: Any, edge: Edge) -> None:
    assert Options(**choices).edge == edge


@pytest.mark.parametrize(
    "choices",
    [
        {"grow": -1}, {"grow": "1e3"}, {"grow": 201}, {"feather": float("nan")}, {"shrink": True}, {"feather": "soft"},
        {"levels": "0.5"}, {"levels": "0.9,0.1"}, {"levels": "0,1,0"}, {"levels": "0,2"}, {"levels": 3},
        {"levels": "0,1,1,1"}, {"levels": "0,1/0"}, {"levels": (0, "x")}, {"levels": ()}, {"fill_holes": -3},
        {"drop_islands": float("inf")}, {"grow": 1, "shrink": 1},
    ],
)  # fmt: skip
def test_an_edge_that_cannot_be_is_refused(choices: Any) -> None:
    with pytest.raises(OptionError, match="give"):
        Options(**choices)


def test_a_job_shapes_every_output_alike(copy: GetClip, network: Path) -> None:
    source = copy("short_gops")
    plain = [frame.alpha for frame in birefvideo.mattes(source, model=str(network))]
    edge: Any = {"grow": 1, "feather": 1, "levels": "0.45,0.55"}
    frames = [frame.alpha for frame in birefvideo.mattes(source, model=str(network), **edge)]
    for before, after in zip(plain, frames, strict=True):
        assert np.array_equal(after, shape(before, Edge(grow=1, feather=1, levels=(0.45, 0.55, 1))))
    birefvideo.matte(source, to=["prores", "webm"], model=str(network), **edge)
    for name in ("short_gops_alpha.mov", "short_gops_alpha.webm"):
        written = [rgb_and_alpha(picture)[1][..., 0] for picture in decoded_video(source.with_name(name))]
        assert max(np.abs(a - b).mean() for a, b in zip(written, frames, strict=True)) < 0.01

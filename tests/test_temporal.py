"""Temporal smoothing: what it must leave alone, what it must repair, and how far it may look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from birefvideo.errors import OptionError
from birefvideo.frames import Frame
from birefvideo.matting.temporal import TemporalSmoother, smooth
from birefvideo.planes import plane_array

HEIGHT, WIDTH = 48, 64
Array = NDArray[np.float32]


def texture(seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).uniform(40, 220, (HEIGHT // 8, WIDTH // 8)).astype(np.float32)
    return cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).clip(16, 235).astype(np.uint8)


def disc(x: float, softness: float = 3.0) -> Array:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    return np.clip((14 - np.hypot(columns - x, rows - 24)) / softness + 0.5, 0, 1).astype(np.float32)


def frame_of(luma: NDArray[np.uint8], alpha: Array, pts: int, core: bool = True, deep: bool = False) -> Frame:
    picture = av.VideoFrame(luma.shape[1], luma.shape[0], "yuv420p10le" if deep else "yuv420p")
    plane_array(picture, 0)[:] = luma.astype(np.uint16) * 4 if deep else luma
    for index in (1, 2):
        plane_array(picture, index)[:] = 512 if deep else 128
    return Frame(picture, pts, Fraction(1, 25), 1, core=core, alpha=alpha)


def alphas(frames: Iterable[Frame]) -> list[Array]:
    result = []
    for frame in frames:
        assert frame.alpha is not None
        result.append(frame.alpha)
    return result


def boiling(count: int, seed: int = 0) -> list[Array]:
    """A still disc whose edge wobbles from frame to frame; its core is 1 and its outside 0."""
    rng = np.random.default_rng(seed)
    soft = (disc(32) > 0) & (disc(32) < 1)
    noise = rng.normal(0, 0.08, (count, HEIGHT, WIDTH)).astype(np.float32)
    return [np.clip(disc(32) + soft * n, 0, 1).astype(np.float32) for n in noise]


def moving(count: int) -> list[Frame]:
    """A bright disc that moves over a texture and a boiling matte that follows it."""
    rng = np.random.default_rng(3)
    frames = []
    for i in range(count):
        truth = disc(16 + 3 * i)
        luma = texture(1) * (1 - truth) + 230 * truth + rng.normal(0, 1.5, truth.shape)
        alpha = np.clip(truth + (truth > 0) * (truth < 1) * rng.normal(0, 0.05, truth.shape), 0, 1)
        frames.append(frame_of(np.rint(luma).clip(0, 255).astype(np.uint8), alpha.astype(np.float32), i))
    return frames


def still(mattes: Sequence[Array], seed: int = 1) -> list[Frame]:
    return [frame_of(texture(seed), alpha, i) for i, alpha in enumerate(mattes)]


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_a_constant_clip_is_unchanged(radius: int) -> None:
    out = alphas(smooth(still([disc(32)] * 6), radius))
    assert len(out) == 6
    for alpha in out:
        np.testing.assert_allclose(alpha, disc(32), rtol=0, atol=1e-6)


def test_still_edges_stop_boiling() -> None:
    raw = boiling(12)
    out = alphas(smooth(still(raw)))
    before = np.abs(np.diff(raw, axis=0)).mean()
    after = np.abs(np.diff(out, axis=0)).mean()
    assert after < 0.5 * before
    assert np.abs(np.array(out) - disc(32)).mean() < np.abs(np.array(raw) - disc(32)).mean()


@pytest.mark.parametrize("deep", [False, True])
def test_the_opaque_core_and_the_empty_background_stay_bit_identical(deep: bool) -> None:
    raw = boiling(8)
    out = alphas(smooth(frame_of(texture(1), a, i, deep=deep) for i, a in enumerate(raw)))
    core = cv2.erode((disc(32) == 1).astype(np.uint8), np.ones((9, 9))) > 0
    empty = cv2.erode((disc(32) == 0).astype(np.uint8), np.ones((9, 9))) > 0
    assert core.any() and empty.any()
    for before, after in zip(raw, out, strict=True):
        assert np.array_equal(before[core | empty], after[core | empty])
        assert not np.array_equal(before, after)


def test_what_wavers_by_less_than_a_code_of_empty_or_opaque_stays_bit_identical() -> None:
    rng = np.random.default_rng(4)
    raw = [np.clip(disc(32), w := rng.uniform(0, 0.003), 1 - w).astype(np.float32) for _ in range(6)]
    for before, after in zip(raw, alphas(smooth(still(raw))), strict=True):
        plain = cv2.dilate(((disc(32) > 0) & (disc(32) < 1)).astype(np.uint8), np.ones((9, 9))) == 0
        assert np.array_equal(before[plain], after[plain])


def test_a_moving_edge_leaves_no_ghost() -> None:
    frames = moving(8)
    for i, alpha in enumerate(alphas(smooth(frames))):
        truth = disc(16 + 3 * i)
        assert alpha[truth == 0].max() < 0.05  # a plain mean of five frames leaves 0.4
        assert alpha[truth == 1].min() > 0.95


def test_a_lasting_change_is_real() -> None:
    raw = [np.zeros((HEIGHT, WIDTH), np.float32)] * 5 + [disc(32)] * 5
    for before, after in zip(raw, alphas(smooth(still(raw))), strict=True):
        np.testing.assert_allclose(after, before, atol=0.04)


def test_a_hole_in_one_frame_is_repaired_from_both_sides() -> None:
    raw = [disc(32)] * 7
    raw[3] = disc(32).copy()
    raw[3][20:30, 26:36] = 0
    out = alphas(smooth(still(raw)))
    for alpha in out:
        np.testing.assert_allclose(alpha, disc(32), atol=0.02)


def test_a_phantom_in_one_frame_is_removed() -> None:
    raw = [disc(16)] * 7
    raw[3] = np.maximum(disc(16), disc(50))
    out = alphas(smooth(still(raw)))
    for alpha in out:
        np.testing.assert_allclose(alpha, disc(16), atol=0.02)


def test_what_appears_in_the_picture_for_one_frame_stays_in_the_matte() -> None:
    raw = [disc(16)] * 7
    raw[3] = np.maximum(disc(16), disc(50))
    frames = still(raw)
    shown = np.rint(texture(1) * (1 - disc(50)) + 235 * disc(50)).astype(np.uint8)
    frames[3] = frame_of(shown, raw[3], 3)
    np.testing.assert_allclose(alphas(smooth(frames))[3], raw[3], atol=0.03)


def test_a_cut_is_never_crossed() -> None:
    first, second = boiling(4, seed=1), [a[:, ::-1].copy() for a in boiling(4, seed=2)]
    bright = 255 - texture(1)
    joined = [*still(first), *(frame_of(bright, a, 4 + i) for i, a in enumerate(second))]
    apart = [*smooth(joined[:4]), *smooth(joined[4:])]
    for a, b in zip(alphas(smooth(joined)), alphas(apart), strict=True):
        assert np.array_equal(a, b)


def test_a_flash_keeps_its_own_alpha_and_parts_its_neighbours() -> None:
    raw = boiling(7)
    frames = still(raw)
    frames[3] = frame_of(np.full((HEIGHT, WIDTH), 235, np.uint8), raw[3], 3)
    out = alphas(smooth(frames))
    assert np.array_equal(out[3], raw[3])
    assert np.array_equal(out[2], alphas(smooth(frames[:3]))[2])


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_reversed_time_gives_the_reversed_result(radius: int) -> None:
    frames = moving(9)
    forward = alphas(smooth(frames, radius))
    backward = alphas(smooth(frames[::-1], radius))[::-1]
    for a, b in zip(forward, backward, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_segments_with_context_give_the_bits_of_the_whole(radius: int) -> None:
    frames = moving(11)
    whole = list(smooth(frames, radius))
    parts: list[Frame] = []
    for start, stop in ((0, 1), (1, 6), (6, 11)):
        held = range(max(start - radius, 0), min(stop + radius, len(frames)))
        part = [
            Frame(f.picture, f.pts, f.time_base, f.duration, core=start <= i < stop, alpha=f.alpha)
            for i, f in ((i, frames[i]) for i in held)
        ]
        parts += smooth(part, radius)
    assert [f.pts for f in parts] == [f.pts for f in whole]
    for a, b in zip(alphas(parts), alphas(whole), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("distance", [1, 2, 3])
def test_a_frame_acts_as_far_as_the_radius_and_no_farther(distance: int) -> None:
    raw = boiling(9)
    changed = list(raw)
    changed[4] = boiling(1, seed=9)[0]
    out, other = alphas(smooth(still(raw), 2)), alphas(smooth(still(changed), 2))
    for t in (4 - distance, 4 + distance):
        assert np.array_equal(out[t], other[t]) == (distance > 2)


def test_radius_zero_passes_frames_through_untouched() -> None:
    frames = still(boiling(3))
    assert [a is b for a, b in zip(smooth(frames, 0), frames, strict=True)] == [True] * 3


def test_only_core_frames_come_out_with_their_pictures_and_times() -> None:
    frames = [frame_of(texture(1), a, 10 + i, core=2 <= i < 4) for i, a in enumerate(boiling(6))]
    out = list(smooth(frames))
    assert [f.pts for f in out] == [12, 13]
    assert [f.picture is frames[i].picture for f, i in zip(out, (2, 3), strict=True)] == [True, True]


def test_clips_shorter_than_the_window_come_out_whole() -> None:
    assert len(list(smooth(still(boiling(1)), 3))) == 1
    assert len(list(smooth(still(boiling(2)), 3))) == 2
    assert list(smooth([])) == []


def test_a_frame_comes_back_when_those_after_it_are_known_and_the_rest_on_flush() -> None:
    smoother = TemporalSmoother(radius=2)
    frames = still(boiling(5))
    pushed = [smoother.push(frame) for frame in frames]
    assert [f.pts if f else None for f in pushed] == [None, None, 0, 1, 2]
    assert [f.pts for f in smoother.flush()] == [3, 4]
    assert list(smoother.flush()) == []


def test_reset_forgets_what_came_before() -> None:
    smoother = TemporalSmoother(radius=1)
    frames = still(boiling(4))
    smoother.push(frames[0])
    smoother.reset()
    out = [f for f in (smoother.push(frame) for frame in frames[1:]) if f] + list(smoother.flush())
    for a, b in zip(alphas(out), alphas(smooth(frames[1:], 1)), strict=True):
        assert np.array_equal(a, b)


def test_a_picture_that_fills_no_whole_cells_is_smoothed_to_its_edges() -> None:
    rng = np.random.default_rng(5)
    height, width = 35, 1001  # cells of 3 × 3 pixels; the last reach out of the picture
    luma = np.full((height, width), 90, np.uint8)
    raw = [np.clip(0.5 + rng.normal(0, 0.05, (height, width)), 0, 1).astype(np.float32) for _ in range(5)]
    out = alphas(smooth(frame_of(luma, a, i) for i, a in enumerate(raw)))
    for edge in (np.s_[-1], np.s_[:, -1], np.s_[0], np.s_[:, 0]):
        assert out[2][edge].std() < 0.6 * raw[2][edge].std()


def test_bad_radius_and_missing_alpha_are_refused() -> None:
    with pytest.raises(OptionError, match="smoothing radius -1"):
        next(smooth([], -1))
    bare = frame_of(texture(1), disc(32), 7)
    with pytest.raises(ValueError, match="pts 7 has no alpha"):
        list(smooth([Frame(bare.picture, bare.pts, bare.time_base, bare.duration)]))

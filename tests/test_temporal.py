"""Temporal smoothing: what it must leave alone, what it must repair, and how far it may look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from birefvideo.errors import OptionError
from birefvideo.frames import AlphaFrame
from birefvideo.jobs.options import Options
from birefvideo.matting import smoother as seam
from birefvideo.matting.smoother import make_smoother
from birefvideo.matting.temporal_smoother import TemporalSmoother
from birefvideo.planes import plane_array

HEIGHT, WIDTH = 48, 64
Array = NDArray[np.float32]


def smooth(frames: Iterable[AlphaFrame], radius: int = Options().smooth) -> Iterator[AlphaFrame]:
    return seam.smooth(frames, make_smoother(radius))


def texture(seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).uniform(40, 220, (HEIGHT // 8, WIDTH // 8)).astype(np.float32)
    return cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).clip(16, 235).astype(np.uint8)


def disc(x: float, softness: float = 3.0) -> Array:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    return np.clip((14 - np.hypot(columns - x, rows - 24)) / softness + 0.5, 0, 1).astype(np.float32)


def frame_of(
    luma: NDArray[np.uint8], alpha: Array, pts: int, core: bool = True, deep: bool = False, red: int = 128
) -> AlphaFrame:
    picture = av.VideoFrame(luma.shape[1], luma.shape[0], "yuv420p10le" if deep else "yuv420p")
    plane_array(picture, 0)[:] = luma.astype(np.uint16) * 4 if deep else luma
    for index, chroma in ((1, 128), (2, red)):
        plane_array(picture, index)[:] = chroma * 4 if deep else chroma
    return AlphaFrame(picture, pts, Fraction(1, 25), 1, core=core, alpha=alpha)


def alphas(frames: Iterable[AlphaFrame]) -> list[Array]:
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


def moving(count: int, step: int = 3) -> list[AlphaFrame]:
    """A bright disc that moves over a texture and a boiling matte that follows it."""
    rng = np.random.default_rng(3)
    frames = []
    for i in range(count):
        truth = disc(16 + step * i)
        luma = texture(1) * (1 - truth) + 230 * truth + rng.normal(0, 1.5, truth.shape)
        alpha = np.clip(truth + (truth > 0) * (truth < 1) * rng.normal(0, 0.05, truth.shape), 0, 1)
        frames.append(frame_of(np.rint(luma).clip(0, 255).astype(np.uint8), alpha.astype(np.float32), i))
    return frames


def still(mattes: Sequence[Array], seed: int = 1) -> list[AlphaFrame]:
    return [frame_of(texture(seed), alpha, i) for i, alpha in enumerate(mattes)]


def grainy(mattes: Sequence[Array], seed: int = 6) -> list[AlphaFrame]:
    """A picture that stands still under camera noise, so that no frame repeats another bit for bit."""
    rng = np.random.default_rng(seed)
    noisy = (texture(1) + rng.normal(0, 1.5, (HEIGHT, WIDTH)) for _ in mattes)
    return [
        frame_of(np.rint(luma).astype(np.uint8), a, i) for i, (luma, a) in enumerate(zip(noisy, mattes, strict=True))
    ]


@pytest.mark.parametrize("radius", [1, 2, 3])
@pytest.mark.parametrize("make", [still, grainy])
def test_a_constant_matte_is_unchanged_bit_for_bit(
    make: Callable[[Sequence[Array]], list[AlphaFrame]], radius: int
) -> None:
    out = alphas(smooth(make([disc(32)] * 6), radius))
    assert len(out) == 6
    for alpha in out:
        assert np.array_equal(alpha, disc(32))


@pytest.mark.parametrize("make", [still, grainy])
def test_still_edges_stop_boiling(make: Callable[[Sequence[Array]], list[AlphaFrame]]) -> None:
    raw = boiling(12)
    out = alphas(smooth(make(raw)))
    before = np.abs(np.diff(raw, axis=0)).mean()
    after = np.abs(np.diff(out, axis=0)).mean()
    assert after < 0.35 * before
    assert np.abs(np.array(out) - disc(32)).mean() < 0.6 * np.abs(np.array(raw) - disc(32)).mean()


def test_moving_edges_boil_less_and_err_less() -> None:
    frames, truth = moving(12, step=1), np.array([disc(16 + i) for i in range(12)])
    raw, out = np.array(alphas(frames)), np.array(alphas(smooth(frames)))
    jumps = [np.square(np.diff(a - truth, axis=0)).mean() for a in (raw, out)]
    assert jumps[1] < 0.75 * jumps[0]
    assert np.abs(out - truth).mean() < 0.9 * np.abs(raw - truth).mean()


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
    for i, alpha in enumerate(alphas(smooth(moving(8)))):
        truth = disc(16 + 3 * i)
        assert alpha[truth == 0].max() < 0.1  # a plain mean of five frames leaves 0.4
        assert alpha[truth == 1].min() > 0.9


@pytest.mark.parametrize("jump", [10, 40])
def test_an_edge_that_jumps_is_where_it_is_within_a_pixel(jump: int) -> None:
    """A hand over a texture goes to another place from one frame to the next; its matte boils."""
    rng = np.random.default_rng(8)
    height, width = 180, 320
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    room = cv2.resize(rng.uniform(40, 140, (23, 40)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    skin = cv2.resize(
        rng.uniform(150, 235, (23, 40)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    centres = [100.0] * 4 + [100.0 + jump] * 4
    frames = []
    for i, x in enumerate(centres):
        truth = np.clip((30 - np.hypot(columns - np.float32(x), rows - 90)) / 4 + 0.5, 0, 1)
        luma = room * (1 - truth) + np.roll(skin, round(x), axis=1) * truth + rng.normal(0, 1.5, truth.shape)
        boil = (truth > 0) * (truth < 1) * rng.normal(0, 0.06, truth.shape)
        alpha = np.clip(truth + boil, 0, 1).astype(np.float32)
        frames.append(frame_of(np.rint(luma).clip(0, 255).astype(np.uint8), alpha, i))
    for x, alpha in zip(centres, alphas(smooth(frames)), strict=True):
        profile = alpha[88:93].mean(axis=0)
        inside = np.flatnonzero(profile >= 0.5)
        assert abs(inside[0] - (x - 30)) <= 1 and abs(inside[-1] - (x + 30)) <= 1
        assert profile[: int(x) - 36].max() < 0.02 and profile[int(x) + 37 :].max() < 0.02


@pytest.mark.parametrize("make", [still, grainy])
def test_a_lasting_change_is_real(make: Callable[[Sequence[Array]], list[AlphaFrame]]) -> None:
    raw = [np.zeros((HEIGHT, WIDTH), np.float32)] * 5 + [disc(32)] * 5
    for before, after in zip(raw, alphas(smooth(make(raw))), strict=True):
        np.testing.assert_allclose(after, before, atol=0.06)


def test_a_hole_in_one_frame_is_repaired_from_both_sides() -> None:
    raw = [disc(32)] * 7
    raw[3] = disc(32).copy()
    raw[3][20:30, 26:36] = 0
    out = alphas(smooth(still(raw)))
    for alpha in out:
        np.testing.assert_allclose(alpha, disc(32), atol=0.02)


def test_a_hole_in_one_frame_is_repaired_in_motion() -> None:
    frames = moving(9)
    holed = frames[4].alpha.copy()
    holed[20:27, 24:32] = 0
    frames[4] = replace(frames[4], alpha=holed)
    assert alphas(smooth(frames))[4][20:27, 24:32].min() > 0.95


def test_a_second_person_in_one_frame_is_removed() -> None:
    raw = [disc(16)] * 7
    raw[3] = np.maximum(disc(16), disc(50))
    out = alphas(smooth(still(raw)))
    for alpha in out:
        np.testing.assert_allclose(alpha, disc(16), atol=0.04)


def test_what_appears_in_the_picture_for_one_frame_stays_in_the_matte() -> None:
    raw = [disc(16)] * 7
    raw[3] = np.maximum(disc(16), disc(50))
    dim = texture(1) // 3
    frames = [frame_of(dim, a, i) for i, a in enumerate(raw)]
    frames[3] = frame_of(np.rint(dim * (1 - disc(50)) + 235 * disc(50)).astype(np.uint8), raw[3], 3)
    np.testing.assert_allclose(alphas(smooth(frames))[3], raw[3], atol=0.06)


@pytest.mark.parametrize(("luma", "red"), [(255 - texture(1), 128), (texture(1), 180), (texture(7), 128)])
def test_a_cut_is_never_crossed(luma: NDArray[np.uint8], red: int) -> None:
    """To a negative, to another colour of equal luma, and to another picture of equal brightness."""
    first, second = boiling(4, seed=1), [a[:, ::-1].copy() for a in boiling(4, seed=2)]
    joined = [*grainy(first), *(frame_of(luma, a, 4 + i, red=red) for i, a in enumerate(second))]
    apart = [*smooth(joined[:4]), *smooth(joined[4:])]
    for a, b in zip(alphas(smooth(joined)), alphas(apart), strict=True):
        assert np.array_equal(a, b)


def test_a_pan_is_no_cut() -> None:
    rng = np.random.default_rng(12)
    wide = cv2.resize(rng.uniform(20, 235, (6, 24)).astype(np.float32), (192, HEIGHT), interpolation=cv2.INTER_CUBIC)
    raw = boiling(8)
    frames = [
        frame_of(wide.clip(0, 255).astype(np.uint8)[:, 4 * i : 4 * i + WIDTH].copy(), a, i) for i, a in enumerate(raw)
    ]
    alone = alphas(smooth([frames[4]]))[0]
    assert not np.array_equal(alphas(smooth(frames))[4], alone)


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_repeated_frames_give_repeated_mattes(radius: int) -> None:
    """As in a film of 15 pictures a second stored at 30, with a freeze at its end."""
    shown = moving(7)
    order = [0, 0, 1, 1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 6, 6, 6]
    out = alphas(smooth((replace(shown[k], pts=i) for i, k in enumerate(order)), radius))
    for i in range(1, len(order)):
        assert np.array_equal(out[i], out[i - 1]) == (order[i] == order[i - 1])


def test_repeats_of_one_picture_with_unlike_mattes_come_out_alike() -> None:
    shown, other = moving(7), boiling(7, seed=11)
    frames = [frame for f, a in zip(shown, other, strict=True) for frame in (f, replace(f, alpha=a))]
    out = alphas(smooth(frames, 2))
    for i in range(0, len(out), 2):
        assert np.array_equal(out[i], out[i + 1])


def test_a_flash_keeps_its_own_alpha_and_parts_its_neighbours() -> None:
    raw = boiling(7)
    frames = grainy(raw)
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
    parts: list[AlphaFrame] = []
    for start, stop in ((0, 1), (1, 6), (6, 11)):
        held = range(max(start - radius, 0), min(stop + radius, len(frames)))
        part = [
            AlphaFrame(f.picture, f.pts, f.time_base, f.duration, core=start <= i < stop, alpha=f.alpha)
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
    assert [work().pts if work else None for work in pushed] == [None, None, 0, 1, 2]
    assert [work().pts for work in smoother.flush()] == [3, 4]
    assert list(smoother.flush()) == []


def test_reset_forgets_what_came_before() -> None:
    smoother = TemporalSmoother(radius=1)
    frames = still(boiling(4))
    smoother.push(frames[0])
    smoother.reset()
    works = [work for work in (smoother.push(frame) for frame in frames[1:]) if work] + list(smoother.flush())
    out = [work() for work in works]
    for a, b in zip(alphas(out), alphas(smooth(frames[1:], 1)), strict=True):
        assert np.array_equal(a, b)


def test_a_large_picture_is_smoothed_to_its_edges_and_keeps_its_own_finest_detail() -> None:
    rng = np.random.default_rng(5)
    height, width = 35, 1001  # cells of 3 × 3 pixels; the last reach out of the picture
    luma = np.full((height, width), 90, np.uint8)
    coarse = rng.normal(0, 0.05, (12, 3, 60)).astype(np.float32)
    fine = rng.normal(0, 0.01, (height, width)).astype(np.float32)
    raw = [0.5 + fine + cv2.resize(a, (width, height), interpolation=cv2.INTER_CUBIC) for a in coarse]
    out = alphas(smooth(frame_of(luma, a, i) for i, a in enumerate(raw)))
    for edge in (np.s_[-1], np.s_[:, -1], np.s_[0], np.s_[:, 0], np.s_[:]):
        before, after = (np.abs(np.diff([a[edge] for a in mattes], axis=0)).mean() for mattes in (raw, out))
        assert after < 0.3 * before
    kept = out[2] - cv2.blur(out[2], (3, 3))
    assert np.corrcoef(kept[3:-3, 3:-3].ravel(), (fine - cv2.blur(fine, (3, 3)))[3:-3, 3:-3].ravel())[0, 1] > 0.9


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (3, 200), (200, 3), (16, 480), (4, 1920), (33, 31)])
def test_pictures_of_any_shape_are_smoothed(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(9)
    luma = np.full(size, 80)
    frames = [
        frame_of((luma + i % 2).astype(np.uint8), rng.uniform(0.4, 0.6, size).astype(np.float32), i) for i in range(5)
    ]
    out = alphas(smooth(frames))
    for before, after in zip(alphas(frames), out, strict=True):
        assert after.shape == size
        assert after.min() > 0.35 and after.max() < 0.65
        assert not np.array_equal(before, after)


def test_the_number_of_threads_changes_no_bit() -> None:
    frames, usual = moving(6), cv2.getNumThreads()
    try:
        results = []
        for threads in (1, 2, 5):
            cv2.setNumThreads(threads)
            results.append(alphas(smooth(frames)))
    finally:
        cv2.setNumThreads(usual)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_no_input_is_written_to() -> None:
    frames = moving(5)
    kept = [a.copy() for a in alphas(frames)]
    list(smooth(frames))
    assert all(np.array_equal(a, b) for a, b in zip(kept, alphas(frames), strict=True))


def test_a_bad_radius_is_refused() -> None:
    with pytest.raises(OptionError, match="smoothing radius -1"):
        make_smoother(-1)

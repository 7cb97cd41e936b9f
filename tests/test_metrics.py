"""The errors of mattes, against cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from birefvideo.errors import InputError
from birefvideo.scoring import metrics


def flat(value: float, shape: tuple[int, int] = (10, 20)) -> NDArray[np.float32]:
    return np.full(shape, value, np.float32)


def test_mad_and_mse_average_over_all_pixels_times_a_thousand() -> None:
    alpha, truth = flat(0.0), flat(0.0)
    alpha[0, :10] = 0.5  # 10 of 200 pixels are off by 0.5
    assert metrics.mad(alpha, truth) == pytest.approx(0.5 * 10 / 200 * 1e3)
    assert metrics.mse(alpha, truth) == pytest.approx(0.25 * 10 / 200 * 1e3)


def test_grad_of_a_ramp_is_its_slope_times_the_filters_response() -> None:
    slope, size = 1 / 64, 32
    ramp = np.tile(np.arange(size, dtype=np.float32) * slope, (size, 1))
    # By hand: taps -x exp(-(x² + y²) / 2σ²), |x|, |y| <= 4, of unit energy; on a ramp they give slope · Σ x · tap.
    offsets = range(-4, 5)
    taps = {(x, y): -x * math.exp(-(x * x + y * y) / (2 * 1.4**2)) for x in offsets for y in offsets}
    response = abs(sum(x * tap for (x, _), tap in taps.items())) / math.sqrt(sum(tap**2 for tap in taps.values()))
    inner = (size - 8) * size  # columns whose 9-wide window lies inside; replicated borders weaken the rest
    expected = inner * (slope * response) ** 2 / 1e3
    error = metrics.grad(ramp, np.zeros_like(ramp))
    assert expected < error < expected * size / (size - 8)


def test_grad_sees_edges_and_not_level() -> None:
    edge = flat(0.0)
    edge[:, 10:] = 1
    assert metrics.grad(flat(0.3), flat(0.9)) == pytest.approx(0, abs=1e-9)
    assert metrics.grad(edge, edge) == 0
    assert metrics.grad(flat(0.0), edge) > 0.01


def test_conn_counts_a_patch_that_floats_free_of_the_body() -> None:
    truth = flat(0.0)
    truth[:, :8] = 1
    alpha = truth.copy()
    alpha[2:4, 15:18] = 0.8  # six pixels, joined to nothing in the truth: each loses 0.8
    assert metrics.conn(alpha, truth) == pytest.approx(6 * 0.8 / 1e3, rel=1e-6)


def test_conn_forgives_what_stays_below_its_tolerance() -> None:
    truth = flat(0.0)
    truth[:, :8] = 1
    alpha = truth.copy()
    alpha[2:4, 15:18] = 0.14
    assert metrics.conn(alpha, truth) == 0


def test_conn_counts_connected_pixels_from_their_common_level() -> None:
    truth, alpha = flat(1.0), flat(1.0)
    alpha[0, 0] = 0.45  # both mattes hang together up to 0.4: truth is 0.6 above it, alpha 0.05 (below 0.15, so 0)
    assert metrics.conn(alpha, truth) == pytest.approx(0.6 / 1e3, rel=1e-5)


def test_conn_of_an_empty_truth_takes_the_whole_matte_as_disconnected() -> None:
    assert metrics.conn(flat(0.5), flat(0.0)) == pytest.approx(200 * 0.5 / 1e3)


def test_dtssd_compares_changes_and_not_levels() -> None:
    before, after = flat(0.2), flat(0.2)
    after[:, :5] = 0.6  # a quarter of the pixels changes by 0.4 more than the truth: sqrt(0.16 / 4) = 0.2
    assert metrics.dtssd(after, before, flat(0.9), flat(0.9)) == pytest.approx(0.2 * 1e2, rel=1e-6)
    assert metrics.dtssd(flat(0.5), flat(0.3), flat(1.0), flat(0.8)) == pytest.approx(0, abs=1e-5)


def test_edge_band_reaches_three_pixels_from_soft_truth() -> None:
    truth = flat(0.0)
    truth[5, 10] = 0.5
    truth[0, 0] = 0.015  # not soft: below 0.02
    band = metrics.edge_band(truth)
    assert band.sum() == 49
    assert band[2:9, 7:14].all()


def test_flicker_counts_changes_of_the_matte_where_soft_truth_stands_still() -> None:
    truth, moved = flat(0.0), flat(0.0)
    truth[5, 10] = moved[5, 10] = 0.5  # a band of 7 × 7 pixels around it
    moved[5, 13] = 0.8  # widens the band to 7 × 10; this pixel itself does not stand still
    before, after = flat(0.3), flat(0.3)
    after[2:9, 7] = 0.4  # 7 of the band's pixels change by 0.1
    after[5, 13] = 0.9  # does not count
    after[0, 0] = 1.0  # outside the band
    still = 7 * 10 - 1
    assert metrics.flicker(after, before, moved, truth) == pytest.approx(7 * 0.1 / still * 1e3, rel=1e-5)
    assert metrics.flicker(after, before, moved, truth + np.float32(1 / 255)) is not None  # rounding is no motion
    assert metrics.flicker(after, before, flat(0.5), flat(0.4)) is None
    assert metrics.flicker(after, before, flat(1.0), flat(1.0)) is None


def test_foreground_sad_sums_the_mean_over_channels_where_there_is_foreground() -> None:
    truth = flat(0.0)
    truth[0, :4] = (0.01, 0.5, 1, 1)
    found, true = (np.zeros((*truth.shape, 3), np.float32) for _ in range(2))
    found[0, :2] = (0.3, 0, 0)  # a tenth a pixel, whatever its alpha
    found[5, 5] = 1  # not foreground
    assert metrics.foreground_sad(found, true, truth) == pytest.approx(2 * 0.1 / 1e3, rel=1e-5)


def test_every_frame_is_told_by_itself_too() -> None:
    clip = metrics.ClipScore(with_conn=False)
    soft = flat(0.5)
    first, second = clip.add(flat(0.6), soft), clip.add(flat(0.9), soft)
    assert (first.dtssd, first.flicker, first.conn, first.foreground_sad) == (None, None, None, None)
    assert (first.mad, second.mad) == (pytest.approx(100, rel=1e-5), pytest.approx(400, rel=1e-5))
    assert (second.dtssd, second.flicker) == (pytest.approx(30, rel=1e-5), pytest.approx(300, rel=1e-5))
    colours = np.ones((*soft.shape, 3), np.float32)
    third = clip.add(soft, soft, (colours, 0 * colours))
    assert third.foreground_sad == pytest.approx(0.2)  # 200 pixels, all wrong by 1
    assert clip.score().foreground_sad == pytest.approx(0.2)
    assert clip.score().flicker == pytest.approx((300 + 400) / 2, rel=1e-5)


def test_a_clips_score_is_the_mean_over_its_frames() -> None:
    truth = flat(0.0)
    truth[:, 8:12] = 0.5
    frames = [truth + np.float32(0.1), truth, truth + np.float32(0.2)]
    score = metrics.score_clip((alpha, truth) for alpha in frames)
    assert score.frames == 3
    assert score.mad == pytest.approx(100, rel=1e-5)
    assert score.mse == pytest.approx((0.01 + 0 + 0.04) / 3 * 1e3, rel=1e-5)
    assert score.dtssd == pytest.approx((10 + 20) / 2, rel=1e-5)
    assert score.band_mad == pytest.approx(100, rel=1e-5)
    assert score.conn is not None and score.conn > 0


def test_a_clips_band_error_counts_every_band_pixel_once() -> None:
    narrow, wide = flat(0.0), flat(0.5)
    narrow[:, 0] = 0.5  # a band of 4 columns, 40 pixels; the other frame's has 200
    score = metrics.score_clip([(narrow + np.float32(0.3), narrow), (wide, wide)])
    assert score.band_mad == pytest.approx(0.3 * 40 / 240 * 1e3, rel=1e-5)


def test_what_a_clip_cannot_tell_is_none() -> None:
    score = metrics.score_clip([(flat(1.0), flat(0.0))], with_conn=False)
    assert (score.conn, score.dtssd, score.band_mad) == (None, None, None)


def test_a_score_starts_again_after_reset() -> None:
    clip = metrics.ClipScore()
    clip.add(flat(1.0), flat(0.0))
    clip.reset()
    clip.add(flat(0.0), flat(0.0))
    assert clip.score().frames == 1
    assert clip.score().mad == 0


def test_sizes_that_differ_and_empty_clips_are_refused() -> None:
    clip = metrics.ClipScore()
    with pytest.raises(InputError, match=r"20×10 against truth of 10×10 at frame 0"):
        clip.add(flat(0.0), flat(0.0, (10, 10)))
    with pytest.raises(InputError, match="no frames"):
        clip.score()

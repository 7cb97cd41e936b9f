"""The stages of one segment joined: any smoother fits between prediction and foreground."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from predictors import predictor_of
from torch import nn

from birefvideo.frames import AlphaFrame, Span, VideoInfo
from birefvideo.matting.foreground import with_foreground
from birefvideo.matting.input_size import InputSize
from birefvideo.matting.smoother import NoSmoother, Smoother, Smoothing, make_smoother, smooth
from birefvideo.media.reading.decode import DecodeReport, read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.pipeline import finished_frames, matted_frames
from birefvideo.planes import plane_array


class Brightness(nn.Module):
    """Logits that are the picture's red."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels[:, :1] * self.weight


class HoldsTheFrameBefore:
    """A made-up smoother: each frame shows the alpha of the frame `radius` before it, the first ones their own."""

    def __init__(self, radius: int) -> None:
        self.radius = radius
        self.pushed: list[int] = []
        self.reset()

    def reset(self) -> None:
        self._held: list[AlphaFrame] = []

    def push(self, frame: AlphaFrame) -> Smoothing | None:
        self.pushed.append(frame.pts)
        self._held = [*self._held, frame][-self.radius - 1 :]
        before = self._held[0] if len(self._held) > self.radius else frame
        return partial(replace, frame, alpha=before.alpha) if frame.core else None

    def flush(self) -> Iterator[Smoothing]:
        self.reset()
        yield from ()


def mattes(info: VideoInfo, smoother: Smoother, *spans: Span) -> list[tuple[int, NDArray[np.float32]]]:
    """Times and alpha of the frames of some spans, one after another, as a job's segments."""
    predictor = predictor_of(Brightness(), InputSize(fixed=(32, 32)), torch.device("cpu"), dtype=torch.float32)
    found = []
    for span in spans:
        for frame in matted_frames(info, span, predictor, smoother, DecodeReport()):
            assert frame.core and frame.foreground is not None and frame.alpha is not None
            found.append((frame.pts, frame.alpha))
    return found


def test_another_smoother_gets_its_context_and_gives_the_core_frames_in_order(clip: Callable[[str], Path]) -> None:
    info = probe(clip("short_gops"))
    plain = mattes(info, NoSmoother(), Span())
    times = [pts for pts, _ in plain]
    assert len({alpha.tobytes() for _, alpha in plain}) == len(times) == 24
    for radius in (1, 3):
        smoother = HoldsTheFrameBefore(radius)
        first, second = Span(end=times[10]), Span(start=times[10])
        found = mattes(info, smoother, first, second)
        assert smoother.pushed == times[: 10 + radius] + times[10 - radius :]
        assert [pts for pts, _ in found] == times
        for index, (_, alpha) in enumerate(found):
            np.testing.assert_array_equal(alpha, plain[index - radius if index >= radius else index][1])


def test_a_smoother_that_was_left_early_starts_anew(clip: Callable[[str], Path]) -> None:
    info, smoother = probe(clip("short_gops")), HoldsTheFrameBefore(2)
    predictor = predictor_of(Brightness(), InputSize(fixed=(32, 32)), torch.device("cpu"), dtype=torch.float32)
    stopped = matted_frames(info, Span(), predictor, smoother, DecodeReport())
    for _ in range(5):
        next(stopped)
    stopped.close()
    plain = mattes(info, NoSmoother(), Span())
    np.testing.assert_array_equal(mattes(info, smoother, Span())[0][1], plain[0][1])


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_frames_finished_side_by_side_are_those_finished_one_after_another(
    clip: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    predictor = predictor_of(Brightness(), InputSize(fixed=(32, 32)), torch.device("cpu"), dtype=torch.float32)
    mattes = list(predictor.predict(read_frames(probe(clip("short_gops")))))
    expected = [with_foreground(frame) for frame in smooth(mattes, make_smoother(2))]
    monkeypatch.setattr("birefvideo.pipeline.AT_ONCE", at_once)
    found = list(finished_frames(mattes, make_smoother(2)))
    assert [frame.pts for frame in found] == [frame.pts for frame in expected]
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.alpha, other.alpha)
        for index in range(3):
            assert np.array_equal(plane_array(one.foreground, index), plane_array(other.foreground, index))


def test_finished_frames_left_early_leave_no_thread(clip: Callable[[str], Path]) -> None:
    before = threading.active_count()
    predictor = predictor_of(Brightness(), InputSize(fixed=(32, 32)), torch.device("cpu"), dtype=torch.float32)
    frames = matted_frames(probe(clip("short_gops")), Span(), predictor, make_smoother(2), DecodeReport())
    next(frames)
    assert threading.active_count() > before
    frames.close()
    assert threading.active_count() == before

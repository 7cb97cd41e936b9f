"""The stages of one segment joined: any smoother fits between prediction and foreground."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from predictors import predictor_of
from torch import nn

from birefvideo.frames import AlphaFrame, Span, VideoInfo
from birefvideo.matting.input_size import InputSize
from birefvideo.matting.smoother import NoSmoother, Smoother
from birefvideo.media.reading.decode import DecodeReport
from birefvideo.media.reading.probe import probe
from birefvideo.pipeline import matted_frames


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

    def push(self, frame: AlphaFrame) -> AlphaFrame | None:
        self.pushed.append(frame.pts)
        self._held = [*self._held, frame][-self.radius - 1 :]
        before = self._held[0] if len(self._held) > self.radius else frame
        return replace(frame, alpha=before.alpha) if frame.core else None

    def flush(self) -> Iterator[AlphaFrame]:
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

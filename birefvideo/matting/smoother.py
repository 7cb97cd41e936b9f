"""The seam of temporal smoothing: what a smoother is, which one a radius asks for, and running one over frames.

A new smoother is a module of its own and a line of `make_smoother`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeAlias

from birefvideo.errors import OptionError
from birefvideo.frames import AlphaFrame
from birefvideo.matting.temporal_smoother import TemporalSmoother

Smoothing: TypeAlias = Callable[[], AlphaFrame]
"""The rest of the work on one frame, which gives the frame with its smoothed alpha."""


class Smoother(Protocol):
    """Changes the alpha of frames by that of the frames around them, with finite support.

    Frame t may depend on frames t - radius … t + radius only, so that a clip cut into segments with that much context
    comes out the same. Core frames come out in the order in which they were pushed, each once; others never do.
    A frame comes out as work that is still to be done: in any thread, beside that of other frames.
    """

    @property
    def radius(self) -> int:
        """How many frames of context each frame needs on either side."""

    def push(self, frame: AlphaFrame) -> Smoothing | None:
        """Take the next frame; return one whose neighbours are all known, if there is one."""

    def flush(self) -> Iterator[Smoothing]:
        """Yield the frames still held, at the end of the stream, and forget them."""

    def reset(self) -> None:
        """Forget all frames."""


class NoSmoother:
    """Passes core frames through as they are."""

    radius = 0

    def push(self, frame: AlphaFrame) -> Smoothing | None:
        """Return the frame itself, if it is core."""
        return (lambda: frame) if frame.core else None

    def flush(self) -> Iterator[Smoothing]:
        """Yield nothing: no frame is held."""
        yield from ()

    def reset(self) -> None:
        """Do nothing: no frame is held."""


def make_smoother(radius: int) -> Smoother:
    """Return the smoother over `radius` frames on each side; 0 passes frames through.

    Raises:
        OptionError: radius is negative.
    """
    if radius < 0:
        raise OptionError(f"smoothing radius {radius}: give 0 (off) or a number of frames")
    return TemporalSmoother(radius) if radius else NoSmoother()


def smoothings(frames: Iterable[AlphaFrame], smoother: Smoother) -> Iterator[Smoothing]:
    """Yield the work that makes each core frame, as `smoother` says; it is reset first."""
    smoother.reset()
    for frame in frames:
        smoothing = smoother.push(frame)
        if smoothing is not None:
            yield smoothing
        del frame, smoothing
    yield from smoother.flush()


def smooth(frames: Iterable[AlphaFrame], smoother: Smoother) -> Iterator[AlphaFrame]:
    """Yield the core frames as `smoother` makes them; it is reset first."""
    for smoothing in smoothings(frames, smoother):
        yield smoothing()

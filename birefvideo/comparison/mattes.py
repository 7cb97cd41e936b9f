"""A model's mattes of the frames that are looked at, with what they cost: the very ones that `matte` makes of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median

from birefvideo.advice.look import Seen, look
from birefvideo.comparison.choices import Size, Wish
from birefvideo.comparison.cutouts import Cutouts
from birefvideo.comparison.peak import PeakMemory
from birefvideo.errors import OptionError, named
from birefvideo.frames import AlphaFrame, DecodedFrame, Span, VideoInfo
from birefvideo.jobs.loaded_model import LoadedModel
from birefvideo.matting.predict import Predictor
from birefvideo.matting.smoother import make_smoother
from birefvideo.memory import check_memory
from birefvideo.pipeline import finished_frames, spill_light

FRAMES = 6
"""Frames that are looked at where the user says nothing."""
_MOST_FRAMES = 12
_HARDEST = 2
"""How many of them are the hardest ones by motion and detail; the others are spread."""
_BYTES_A_PIXEL = 6
"""What a frame that waits takes: 4:4:4 in 16 bits."""
_TIMED_AGAIN = 2.0
"""Seconds that a single batch may take to be computed again, for a time that is not that of a first one."""


@dataclass(frozen=True)
class Row:
    """One model at one size on this machine."""

    label: str
    """What it is called in the comparison."""
    model: str
    """What `matte --model` takes."""
    size: Size
    """What `matte --size` takes; None is the model's own."""
    input: tuple[int, int]
    """(width, height) at which the network saw the frames."""
    native: tuple[int, int]
    """What it would see by itself."""
    seconds: float
    """Seconds a frame, from the decoded picture to its alpha; decoding, smoothing and encoding come on top."""
    memory: int | None
    """Peak bytes: of the device's memory on CUDA, else of this process; None where the system does not tell."""
    coverage: tuple[float, ...]
    """Share of each frame that is subject, 0 to 1."""


class TooSlowError(Exception):
    """The frames of a model would take longer than there is time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds:.0f} s a frame")
        self.seconds = seconds


def chosen_frames(info: VideoInfo, span: Span, count: int) -> list[Seen]:
    """Return the frames to look at, in order of time: some spread, and the hardest; fewer where there are fewer.

    Raises:
        OptionError: `count` is not allowed, or so many frames do not fit into memory.
        InputError: nothing can be decoded.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= _MOST_FRAMES:
        raise OptionError(f"{named('frames')} is {count!r}: give a number from 1 to {_MOST_FRAMES}")
    needed = count * info.width * info.height * _BYTES_A_PIXEL
    check_memory(
        needed, f"{count} frames of {info.width}×{info.height}", f"choose fewer {named('frames')}", OptionError
    )
    hardest = _HARDEST if count > _HARDEST else 0
    seen = list(islice(look(info, span, spread=count - hardest), count))
    return sorted(seen, key=lambda one: one.frame.pts)


def matted_row(
    wish: Wish,
    number: int,
    frames: Sequence[DecodedFrame],
    info: VideoInfo,
    model: LoadedModel,
    cutouts: Cutouts,
    *,
    most_seconds: float | None = None,
    on_frame: Callable[[], object] = lambda: None,
) -> Row:
    """Matte the frames one by one, without smoothing, into `cutouts`.

    Args:
        wish: what the model was asked for as.
        number: which row of the comparison it is.
        frames: what is looked at.
        info: the clip.
        model: the network.
        cutouts: where the results go.
        most_seconds: time for all frames.
        on_frame: called after each.

    Raises:
        TooSlowError: they would take longer; after the first ones.
        BirefvideoError: the device fails.
    """
    peak = PeakMemory(model.device)
    model.check_fits(info)
    batch = int(str(model.settings(info)["batch"]))
    predictor, spill = model.predictor(batch), spill_light(model.options.despill, info.colour)
    times: list[float] = []
    coverage: list[float] = []
    for chunk in _chunks(frames, batch):
        mattes, took = _timed(predictor, chunk)
        times.append(took / batch)
        left = len(frames) - len(coverage) - len(chunk)
        if most_seconds is not None and len(times) == 1 and took + left * took / batch > most_seconds:
            raise TooSlowError(took / batch)
        if len(frames) <= batch and took < _TIMED_AGAIN:
            times.append(_timed(predictor, chunk)[1] / batch)
        for frame in finished_frames(mattes, make_smoother(0), spill, model.options.edge):
            cutouts.keep(number, len(coverage), frame)
            coverage.append(round(float(frame.alpha.mean()), 4))
            on_frame()
    assert predictor.report.size is not None
    return Row(
        label=wish.label,
        model=wish.model,
        size=wish.size,
        input=predictor.report.size,
        native=model.native.network_size(info.width, info.height, info.sample_aspect_ratio),
        seconds=round(median(times[1:] or times), 4),  # the first batch also makes what the next ones use again
        memory=peak.bytes(),
        coverage=tuple(coverage),
    )


def _chunks(frames: Sequence[DecodedFrame], size: int) -> Iterator[list[DecodedFrame]]:
    return (list(frames[first : first + size]) for first in range(0, len(frames), size))


def _timed(predictor: Predictor, frames: list[DecodedFrame]) -> tuple[list[AlphaFrame], float]:
    started = time.perf_counter()
    mattes = list(predictor.predict(frames))
    return mattes, time.perf_counter() - started

"""What a run would cost: a few frames in a row go the whole way of a job, into files that are thrown away."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from birefvideo.frames import Alpha, AlphaFrame, DecodedFrame, Span, VideoInfo
from birefvideo.jobs.loaded_model import LoadedModel
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import Target
from birefvideo.jobs.segment_work import looks_at, write_parts

_FRAMES = 16
"""Frames in a row that are encoded."""
_PATIENCE = 10.0
"""Seconds that the network may take for them; a slower one is not run again."""
_KEY_FRAMES = 128
"""Frames from one that stands alone to the next, as libvpx has it at most; x264 has 250."""


@dataclass(frozen=True)
class OutputCost:
    """What an output would take."""

    path: Path
    """Its name."""
    bytes: int
    """About how large it would be, without sound."""


@dataclass(frozen=True)
class Trial:
    """What was measured on frames in a row."""

    frames: int
    """How many."""
    seconds: float
    """Seconds a frame: decoding, network, smoothing and encoding, as they go on beside each other in a job."""
    network: float
    """What of it the network takes where it goes by itself first, as in a job in two passes; else 0."""
    outputs: tuple[OutputCost, ...]
    """What each output would take for the whole clip."""


@dataclass(frozen=True)
class Run:
    """A run that is to be tried."""

    info: VideoInfo
    """The clip."""
    span: Span
    """The part of it that the run covers."""
    count: int
    """Frames of the whole run."""
    segments: int
    """Pieces of it, each of which begins anew."""
    targets: Sequence[Target]
    """The outputs."""
    options: Options
    """The user's."""
    in_two_passes: bool = False
    """Whether the network has gone over all frames before the outputs are made."""


def trial(run: Run, model: LoadedModel, seconds: float, start: int, alpha: Alpha, folder: Path) -> Trial:
    """Send frames in a row the way of a job; a slow network is spared, and they get a matte that is there already.

    Args:
        run: what is tried.
        model: the network.
        seconds: what it takes for a frame.
        start: pts of the first frame, if enough come after it.
        alpha: its matte, float32 (height, width).
        folder: where the parts go.

    Raises:
        BirefvideoError: an output cannot be made of such frames, or the machine fails.
    """
    info, options = run.info, run.options
    settings = model.settings(info)
    batch = int(str(settings["batch"]))
    wanted = max(1, min(run.count, max(_FRAMES, 2 * batch)))
    is_slow = seconds * (wanted + 2 * options.smooth) > _PATIENCE
    is_given = is_slow or run.in_two_passes
    span = Span() if info.still else _around(run, start, wanted)
    parts = [(target, folder / f"{index}{target.format.extension}") for index, target in enumerate(run.targets)]
    ends: list[float] = []
    report = write_parts(
        info,
        span,
        parts,
        options,
        _SameMatte(alpha) if is_given else model.predictor(batch),
        lambda: ends.append(time.perf_counter()),
        second_look=looks_at(info, settings),
        first=span.start,
    )
    pace = _pace(ends, time.perf_counter(), 1 if is_given else batch)
    outputs = (
        OutputCost(target.path, _scaled(part, len(report.pts), max(1, run.count), run.segments))
        for target, part in parts
    )
    if run.in_two_passes:
        pace += seconds
    elif is_slow:  # on a GPU it computes beside the rest; a CPU does both
        pace = max(pace, seconds) if model.device.kind.scales_pictures else pace + seconds
    network = seconds if run.in_two_passes else 0.0
    return Trial(len(report.pts), round(max(pace, seconds), 4), round(network, 4), tuple(outputs))


def _around(run: Run, start: int, wanted: int) -> Span:
    """Return so many frames from `start` on, or the last ones of the run where there are fewer."""
    info = run.info
    length = max(1, round(wanted / (info.rate * info.time_base)))
    first = info.start if run.span.start is None else run.span.start
    last = info.start + round(info.duration / info.time_base) if info.duration else start + length
    last = last if run.span.end is None else min(last, run.span.end)
    start = max(first, min(start, last - length))
    return Span(start, start + length)


class _SameMatte:
    """Gives all frames one matte."""

    def __init__(self, alpha: Alpha) -> None:
        self._alpha = alpha

    def predict(self, frames: Iterable[DecodedFrame]) -> Iterator[AlphaFrame]:
        """Yield the frames with it; see `Matter`."""
        return (frame.with_alpha(self._alpha.copy()) for frame in frames)


def _pace(ends: Sequence[float], done: float, batch: int) -> float:
    """Return seconds a frame, by when each of them was ready and when all were written; 0 where that does not say.

    Up to the first batch it was mostly opening, seeking and warming up, which a run does once.
    """
    ready = min(batch, len(ends) - 1)
    return (done - ends[ready - 1]) / (len(ends) - ready) if ready > 0 else 0.0


def _scaled(part: Path, frames: int, count: int, segments: int) -> int:
    """Return how large the output of `count` frames would be, by a part of some of them."""
    if part.is_dir():
        sizes = [file.stat().st_size for file in part.iterdir() if file.suffix != ".json"]
        return round(sum(sizes) * count / max(1, len(sizes)))
    size = part.stat().st_size
    keys, others = _packets(part)
    if not others:
        return round(size * count / frames)
    alone = min(count, max(segments, -(-count // _KEY_FRAMES)))
    mean_key, mean_other = sum(keys) / max(1, len(keys)), sum(others) / len(others)
    shown = sum(keys) + sum(others)
    return round(size * (alone * mean_key + (count - alone) * mean_other) / shown)


def _packets(part: Path) -> tuple[list[int], list[int]]:
    """Return the bytes of the packets that stand alone, and of those that build on others."""
    keys: list[int] = []
    others: list[int] = []
    with av.open(str(part)) as container:
        for packet in container.demux(video=0):
            if packet.size:
                (keys if packet.is_keyframe else others).append(packet.size)
    return keys, others

"""What a run would cost: a few frames in a row go the whole way of a job, into files that are thrown away."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from birefvideo.frames import Span, VideoInfo
from birefvideo.jobs.loaded_model import LoadedModel
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import Target
from birefvideo.jobs.segment_work import write_parts
from birefvideo.media.output_format import Format

_FRAMES = 16
"""Frames in a row that are encoded where the network is fast."""
_PATIENCE = 12.0
"""Seconds that the network may take for them."""
_KEY_FRAMES = 250
"""Frames from one that stands alone to the next, as encoders that predict frames have it at most."""


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
    outputs: tuple[OutputCost, ...]
    """What each output would take for the whole clip."""


def trial(
    info: VideoInfo,
    start: int,
    count: int,
    segments: int,
    targets: Sequence[Target],
    options: Options,
    model: LoadedModel,
    seconds: float,
    folder: Path,
) -> Trial:
    """Send frames in a row the way of a job.

    Args:
        info: the clip.
        start: pts of the first.
        count: frames of the whole run.
        segments: pieces of it, each of which begins anew.
        targets: the outputs.
        options: the user's.
        model: the network.
        seconds: what it takes for a frame.
        folder: where the parts go.

    Raises:
        BirefvideoError: an output cannot be made of such frames, or the machine fails.
    """
    batch = int(str(model.settings(info)["batch"]))
    wanted = max(1, min(_FRAMES, count, int(_PATIENCE / max(seconds, 1e-3)) - 2 * options.smooth))
    if count > batch > wanted:
        wanted = min(count, 2 * batch)
    step = 1 / (info.rate * info.time_base)
    span = Span() if info.still else Span(start, start + max(1, round(wanted * step)))
    parts = [(target, folder / f"{index}{target.format.extension}") for index, target in enumerate(targets)]
    ends: list[float] = []
    report = write_parts(
        info,
        span,
        parts,
        options if wanted > 2 or info.still else options.changed(smooth=0),
        model.predictor(batch),
        lambda: ends.append(time.perf_counter()),
        model=model.checkpoint.name,
        first=span.start,
    )
    done, ready = time.perf_counter(), min(batch, len(ends) - 1)
    # Up to the first batch it was mostly opening, seeking and warming up, which a run does once.
    took = (done - ends[ready - 1]) / (len(ends) - ready) if ready else seconds
    return Trial(
        frames=len(report.pts),
        seconds=round(max(took, seconds), 4),
        outputs=tuple(
            OutputCost(target.path, _scaled(part, target.format, len(report.pts), max(1, count), segments))
            for target, part in parts
        ),
    )


def _scaled(part: Path, format: Format, frames: int, count: int, segments: int) -> int:
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

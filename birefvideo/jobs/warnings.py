"""What the user should know about a finished job, one line each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import av

from birefvideo.errors import named
from birefvideo.frames import Span, VideoInfo
from birefvideo.jobs.doubts import doubt_lines
from birefvideo.matting.predict import PredictReport
from birefvideo.media.clip_notes import clock_jumps, file_losses, missing
from birefvideo.media.metadata import counted
from birefvideo.media.reading.decode import DecodeReport
from birefvideo.pipeline import SegmentReport

TONE_MAPS_FROM = 18
"""First major version of PyAV whose swscale brings HDR to BT.709."""

_REPEATS = (4, 0.1)
"""Frames, and share of all, that may have the time of the one before: more is a clock that stands still."""


def job_warnings(
    info: VideoInfo, span: Span, reports: Sequence[SegmentReport], computed: PredictReport, model: str
) -> list[str]:
    """Return what the user should know of decoding and prediction, besides what `job_losses` says.

    Args:
        info: the clip.
        span: the part of it that the job covers.
        reports: of all segments.
        computed: what prediction met.
        model: the checkpoint's name.
    """
    decode = _whole(reports)
    warnings = [*info.doubts, *clock_jumps(info, span), *_few_repeats(decode)]
    warnings += _conversions(decode, info.colour.is_hdr)
    warnings += doubt_lines(info, reports, model)
    return [*warnings, *_device_trouble(computed)]


def job_losses(info: VideoInfo, span: Span, reports: Sequence[SegmentReport]) -> list[str]:
    """Return what the clip once had and the outputs lack, one line each: damage that the container or decoder shows."""
    decode = _whole(reports)
    lines = file_losses(info, span)
    if decode.corrupt_packets:
        lines.append(f"{counted(decode.corrupt_packets, 'corrupt packet')} skipped: frames are missing")
    if decode.damaged_frames:
        lines.append(f"{counted(decode.damaged_frames, 'frame')} damaged in the file and used as found")
    if not any(loss.is_end for loss in info.losses):
        if decode.read_error:
            lines.append(f"a part of the file could not be read ({decode.read_error}): its frames are missing")
        elif decode.short_by > Fraction(1, 2):
            lines.append(f"the file ends {float(decode.short_by):.1f} s before it says: it looks truncated")
    if decode.dropped_frames > max(_REPEATS[0], _REPEATS[1] * decode.frames):
        lines.append(_repeated(decode))
    if decode.backward_frames:
        lines.append(f"{counted(decode.backward_frames, 'frame')} dropped: earlier than the one before")
    silent = info.frame_count - sum(len(report.pts) for report in reports) - _told(decode)
    if info.every_packet_shows and span == Span() and silent > 0:
        lines.append(f"{missing(silent)}: the decoder made nothing of what the file holds of them")
    return lines


def _told(decode: DecodeReport) -> int:
    """Return how many of the file's packets are no frames of the outputs for a reason that is told."""
    return decode.corrupt_packets + decode.dropped_frames + decode.backward_frames


def _whole(reports: Sequence[SegmentReport]) -> DecodeReport:
    decode = DecodeReport()
    for report in reports:
        decode.add(report.decode)
    return decode


def _few_repeats(decode: DecodeReport) -> Iterator[str]:
    if 0 < decode.dropped_frames <= max(_REPEATS[0], _REPEATS[1] * decode.frames):
        yield _repeated(decode)


def _repeated(decode: DecodeReport) -> str:
    return f"{counted(decode.dropped_frames, 'frame')} dropped: not later than the one before"


def _conversions(decode: DecodeReport, hdr: bool) -> Iterator[str]:
    if decode.sorted_frames:
        yield f"{counted(decode.sorted_frames, 'frame')} out of order in the file's clock: put in the order of showing"
    if decode.untimed_frames:
        yield f"{counted(decode.untimed_frames, 'frame')} without a time in the file, timed by the rate"
    if decode.rescaled_frames:
        yield f"{counted(decode.rescaled_frames, 'frame')} of another size, scaled to the first one's"
    if decode.deinterlaced_frames:
        what = f"{counted(decode.deinterlaced_frames, 'interlaced frame')} deinterlaced"
        yield f"{what}; for pictures wrongly flagged pass {named('deinterlace', False)}"
    if decode.transparent_frames:
        what = (
            f"{counted(decode.transparent_frames, 'frame')} with transparency of the input's own, multiplied into alpha"
        )
        yield f"{what}; to show what it hides pass {named('ignore_alpha', True)}"
    if hdr and int(av.__version__.split(".")[0]) < TONE_MAPS_FROM:
        yield f"this PyAV does not convert HDR correctly: use Python 3.11 and PyAV 18, or only {named('to', 'prores')}"


def _device_trouble(computed: PredictReport) -> Iterator[str]:
    if computed.out_of_memory:
        batches = ", ".join(str(batch) for batch in sorted(set(computed.out_of_memory)))
        yield (
            f"batches of {batches} frames did not fit in the device's memory and were halved: no frame is missing, "
            f"but another run may differ by 1/255; pass a smaller {named('batch')}"
        )
    if computed.form:
        yield computed.form
    if computed.not_captured:
        yield f"the GPU refused a CUDA graph ({computed.not_captured}): this cost speed, nothing else"

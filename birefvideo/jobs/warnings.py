"""What the user should know about a finished job, one line each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import av

from birefvideo.errors import named
from birefvideo.family.variants import VARIANTS
from birefvideo.frames import VideoInfo
from birefvideo.matting.predict import PredictReport
from birefvideo.media.metadata import counted
from birefvideo.media.reading.decode import DecodeReport
from birefvideo.pipeline import SegmentReport

TONE_MAPS_FROM = 18
"""First major version of PyAV whose swscale brings HDR to BT.709."""
LEAST_COVERAGE = 0.002
"""Share of the picture under which a clip counts as having nobody in it."""


def job_warnings(info: VideoInfo, reports: Sequence[SegmentReport], computed: PredictReport, model: str) -> list[str]:
    """Return what the user should know of decoding and prediction.

    Args:
        info: the clip.
        reports: of all segments.
        computed: what prediction met.
        model: the checkpoint's name.
    """
    decode = DecodeReport()
    for report in reports:
        decode.add(report.decode)
    warnings = [*info.doubts, *_damage(decode), *_conversions(decode, info.colour.is_hdr)]
    if max(share for report in reports for share in report.curve.coverage) < LEAST_COVERAGE:
        row = VARIANTS.get(model)
        hint = f"try {named('model', 'general')}" if row and row.embedded else f"try another {named('model')}"
        warnings.append(f"{model} found no person in this clip: for other subjects {hint}")
    return [*warnings, *_device_trouble(computed)]


def _damage(decode: DecodeReport) -> Iterator[str]:
    if decode.corrupt_packets:
        yield f"{counted(decode.corrupt_packets, 'corrupt packet')} skipped: frames are missing"
    if decode.damaged_frames:
        yield f"{counted(decode.damaged_frames, 'frame')} damaged in the file and used as found"
    if decode.read_error:
        yield f"a part of the file could not be read ({decode.read_error}): its frames are missing"
    elif decode.short_by > Fraction(1, 2):
        yield f"the file ends {float(decode.short_by):.1f} s before it says: it looks truncated"
    if decode.dropped_frames:
        yield f"{counted(decode.dropped_frames, 'frame')} dropped: not later than the one before"


def _conversions(decode: DecodeReport, hdr: bool) -> Iterator[str]:
    if decode.untimed_frames:
        yield f"{counted(decode.untimed_frames, 'frame')} without a time in the file, timed by the rate"
    if decode.rescaled_frames:
        yield f"{counted(decode.rescaled_frames, 'frame')} of another size, scaled to the first one's"
    if decode.deinterlaced_frames:
        what = f"{counted(decode.deinterlaced_frames, 'interlaced frame')} deinterlaced"
        yield f"{what}; for pictures wrongly flagged pass {named('deinterlace', False)}"
    if hdr and int(av.__version__.split(".")[0]) < TONE_MAPS_FROM:
        yield f"this PyAV does not convert HDR correctly: use Python 3.11 and PyAV 18, or only {named('to', 'prores')}"


def _device_trouble(computed: PredictReport) -> Iterator[str]:
    if computed.out_of_memory:
        batches = ", ".join(str(batch) for batch in sorted(set(computed.out_of_memory)))
        yield (
            f"batches of {batches} frames did not fit in the device's memory and were halved: no frame is missing, "
            f"but another run may differ by 1/255; pass a smaller {named('batch')}"
        )
    if computed.not_captured:
        yield f"the GPU refused a CUDA graph ({computed.not_captured}): this cost speed, nothing else"

"""Proving that an animation shows what was planned of the source's pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from birefvideo.errors import InputError
from birefvideo.frames import VideoInfo
from birefvideo.media.animation_schedule import schedule
from birefvideo.media.expected import Expected, Verification, wrong
from birefvideo.media.format_table import Format
from birefvideo.media.output_format import output_size
from birefvideo.media.reading.alpha import alpha_of
from birefvideo.media.verification.finished_output import read_finished_output

_EXACT = 1e-4
"""How far mean alpha may be from what the encoder was given: it is lossless, and this is rounding."""


def verify_animation(output: Path, format: Format, info: VideoInfo, expected: Expected) -> Verification:
    """Compare an animation with what `schedule` plans of the source's times; every picture is decoded.

    Raises:
        OutputError: it cannot be read or differs; the message says in what.
    """
    assert format.clock is not None, "animations have a clock of their own"
    source = [pts * info.time_base for pts in expected.pts]
    plan = schedule(source, source[-1] + expected.last_duration * info.time_base, format)
    wanted = [Fraction(tick, format.clock) for tick in plan.ticks]
    try:
        finished = read_finished_output(output, format)
        found: list[tuple[str, object, object]] = [
            ("codec", finished.codec, format.written_codec),
            ("size", finished.size, output_size(format, info)),
            ("number of pictures", len(finished.times), len(plan.indices)),
        ]
        for what, got, meant in found:
            if got != meant:
                raise wrong(output, f"its {what} is {got} instead of {meant}")
        for index, (time, meant_time) in enumerate(zip((*finished.times, finished.end), wanted, strict=True)):
            if time != meant_time:
                raise wrong(output, f"picture {index} begins, or the last ends, at {time} s instead of {meant_time} s")
        shares = [_share(picture, index, output) for index, picture in enumerate(finished.pictures())]
    except (av.FFmpegError, InputError) as error:
        raise wrong(output, f"it cannot be read back ({error})") from error
    if len(shares) != len(finished.times):
        raise wrong(output, f"{len(shares)} of {len(finished.times)} pictures can be decoded")
    off = [abs(got - meant) for got, meant in zip(shares, expected.coverage, strict=False)]
    if off and max(off) > _EXACT:
        index = off.index(max(off))
        got, meant = shares[index], expected.coverage[index]
        raise wrong(output, f"alpha covers {got:.2%} of picture {index} instead of {meant:.2%}")
    errors = [abs(time - (source[i] - source[0])) for i, time in zip(plan.indices, finished.times, strict=True)]
    return Verification(
        len(finished.times), len(shares), finished.end, max(errors), 0, round(max(off), 6) if off else None
    )


def _share(picture: av.VideoFrame, index: int, output: Path) -> float:
    """Mean alpha of an animation's picture."""
    alpha = alpha_of(picture)
    if alpha is None:
        raise wrong(output, f"picture {index} has no alpha")
    return float(alpha.mean())

"""Proving a finished output without the plan that made it: by itself, by its receipt, and by its source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median

import av

from birefvideo.errors import InputError
from birefvideo.frames import Span, VideoInfo
from birefvideo.media.animation_schedule import shown_until
from birefvideo.media.clip_notes import clock_jumps, file_losses
from birefvideo.media.format_table import Content, Format
from birefvideo.media.output_format import output_aspect, output_colour, output_size
from birefvideo.media.reading.numbered_pictures import at_rate, series_of
from birefvideo.media.reading.probe import probe
from birefvideo.media.verification.finished_output import FinishedOutput, read_finished_output
from birefvideo.media.verification.observe import Observations, observe
from birefvideo.media.verification.source_count import count_source
from birefvideo.media.verification.verify_sound import SoundClaims, check_sound

_EMPTY = 0.02  # alpha that no pixel exceeds, or range of alpha, under which there is no matte to use
_COLOUR_SLACK = 4 / 255  # median difference of luma that a codec may leave in solid areas
_GAP = (Fraction(1, 2), 10)  # a picture this many seconds and times the usual long is reported


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    """One word."""
    passed: bool | None
    """Whether it is as it should be; None where nothing says."""
    finding: str
    """What was found, in words."""


@dataclass(frozen=True)
class Claims:
    """What a receipt, or the user, says of an output."""

    format: Format | None = None
    """What it was written as."""
    frames: int | None = None
    """Number of pictures."""
    sound: SoundClaims = SoundClaims()  # noqa: RUF009 - frozen
    """Its audio streams."""
    span: Span = Span()  # noqa: RUF009 - frozen
    """The part of the source that it shows."""
    fps: Fraction | None = None
    """Rate at which a source of pictures is shown."""
    premultiplied: bool = False
    """Whether colour was meant to be multiplied by alpha."""
    recoloured: bool = False
    """Whether solid colour was meant to differ from the source's."""
    deinterlaced: bool = True
    """Whether frames flagged interlaced were meant to become progressive. Where nothing says, an output made otherwise
    passes too: half of the lines are the same, and the median of pixels is compared."""


def prove(output: Path, format: Format, source: Path | None, claims: Claims) -> list[Check]:
    """Reopen an output, decode all of it, and return what was found; with the source, compare it frame by frame.

    Raises:
        InputError: the source cannot be read.
    """
    info = None if source is None else _read_as_meant(source, claims)
    try:
        finished = read_finished_output(output, format)
    except (av.FFmpegError, InputError, OSError) as error:
        return [Check("file", False, f"it cannot be read: {_reason(error)}")]
    if not finished.times:
        return [_codec(finished, format), Check("frames", False, "no pictures")]
    seen = Observations(finished)
    broken: list[Check] = []
    try:
        observe(seen, format, info, claims.span, compared=not claims.recoloured)
    except (av.FFmpegError, InputError, OSError) as error:
        broken = [Check("file", False, f"decoding stops at picture {seen.decoded}: {_reason(error)}")]
    return [
        *broken,
        _codec(finished, format),
        _size(finished, format, info),
        _tags(seen, format, info),
        _frames(seen, claims),
        *_whole_source(seen, info, claims),
        *([] if format.is_still else [*_times(seen), _gaps(seen)]),
        *_matte(seen, format, claims),
        *_pixels(seen),
        *_sound(seen, info, claims),
    ]


def _reason(error: OSError | av.FFmpegError | InputError) -> str:
    return str(getattr(error, "strerror", None) or error)


def _read_as_meant(source: Path, claims: Claims) -> VideoInfo:
    return replace(at_rate(probe(source), claims.fps), deinterlace=claims.deinterlaced)


def _codec(finished: FinishedOutput, format: Format) -> Check:
    if finished.codec != format.written_codec:
        return Check(
            "codec", False, f"{finished.codec} instead of {format.written_codec}, as --to {format.asked_by} has it"
        )
    if format.codec_tag is not None and finished.codec_tag != format.codec_tag:
        wrong = f"tagged {finished.codec_tag} instead of {format.codec_tag}"
        return Check("codec", False, f"{finished.codec} {wrong}: programs drop its alpha")
    if format.tags_alpha and finished.alpha_mode != "1":
        return Check("codec", False, f"{finished.codec} without AlphaMode: browsers show it opaque")
    tag = f" ({finished.codec_tag})" if format.codec_tag else ""
    return Check("codec", True, f"{finished.codec}{tag}, as --to {format.asked_by} has it")


def _size(finished: FinishedOutput, format: Format, info: VideoInfo | None) -> Check:
    (width, height), shape = finished.size, finished.aspect
    said = f"{width}×{height}" + ("" if shape == 1 else f", pixels {shape.numerator}:{shape.denominator}")
    if info is None:
        return Check("size", None if width and height else False, said)
    wanted = (
        output_size(format, info),
        info.sample_aspect_ratio if format.is_sequence else output_aspect(format, info),
    )
    if (finished.size, shape) == wanted:
        return Check("size", True, f"{said}, right for the source")
    (width, height), shape = wanted
    return Check("size", False, f"{said} instead of {width}×{height}, pixels {shape.numerator}:{shape.denominator}")


def _tags(seen: Observations, format: Format, info: VideoInfo | None) -> Check:
    # Of RGB the tags do not matter here, and an APNG has them on its first picture alone.
    if len(seen.pix_fmts) != 1 or not (len(seen.colours) == 1 or (seen.colours and format.is_rgb)):
        few = "no picture to read them from" if not seen.colours else "pictures differ in tags or pixel format"
        return Check("tags", False, few)
    colour, pix_fmt = next(iter(seen.colours)), next(iter(seen.pix_fmts))
    if format.is_rgb:
        return Check("tags", None, f"{pix_fmt}, which needs none")
    got = (colour.matrix, colour.range, *seen.finished.tags)
    said = "matrix {} range {} primaries {} transfer {}".format(*got) + f", {pix_fmt}"
    if colour.guessed or {0, 2} & set(seen.finished.tags):
        return Check("tags", False, f"{said}: some are unspecified, so programs guess")
    if info is None:
        return Check("tags", True, f"{said}, all given")
    wanted = output_colour(format, info.colour)
    expected = (wanted.matrix, wanted.range, wanted.primaries, wanted.transfer)
    if got == expected:
        return Check("tags", True, f"{said}, right for the source")
    return Check("tags", False, f"{said} instead of {' '.join(map(str, expected))}")


def _frames(seen: Observations, claims: Claims) -> Check:
    count = len(seen.finished.times)
    if seen.decoded != count or seen.damaged:
        return Check("frames", False, f"{seen.decoded} of {count} can be decoded, {seen.damaged} are damaged")
    if seen.source_times and len(seen.source_times) != count:
        is_told = claims.frames is not None or claims.span != Span()
        hint = "" if is_told else "; was it trimmed? Pass the --start and --end it was made with"
        return Check("frames", False, f"{count}, the source has {len(seen.source_times)}{hint}")
    if claims.frames not in (None, count):
        return Check("frames", False, f"{count}, the receipt says {claims.frames}")
    by = "as the source has" if seen.source_times else "as the receipt says" if claims.frames else "all decoded"
    return Check("frames", True, f"{count}, {by}")


def _whole_source(seen: Observations, info: VideoInfo | None, claims: Claims) -> Iterator[Check]:
    """Check that what was taken for the source's pictures is all that its decoder makes, and say what the file lacks.

    Of a part of the source, and of an animation, which leaves pictures out, only what the file lacks can be said.
    """
    if info is None:
        return
    for line in (*file_losses(info, claims.span), *clock_jumps(info, claims.span)):
        yield Check("source", None, line)
    if claims.span != Span() or seen.finished.format.is_animation or info.still or series_of(info.path):
        return
    count = count_source(info)
    repeats = f", {count.repeats} of them at the time of the one before" if count.repeats else ""
    said = f"{count.packets} packets, of which the decoder makes {count.pictures} pictures{repeats}"
    shown = len(seen.source_times)
    if shown == count.shown:
        yield Check("source", True, said)
    else:
        yield Check("source", False, f"{said}, but only {shown} were used")


def _times(seen: Observations) -> Iterator[Check]:
    finished, source = seen.finished, seen.source_times
    whole = f"{float(finished.times[0]):.3f} to {float(finished.end):.3f} s"
    doubled = sum(one == other for one, other in pairwise(finished.times))
    if finished.times[0] < 0:
        yield Check("times", False, f"{whole}: they start below 0")
    elif doubled and not source:  # which a clock of 1 ms may do to a clip of odd times
        yield Check("times", None, f"{whole}, {doubled} pictures have the time of the one before")
    elif len(source) != len(finished.times):
        yield Check("times", None if source else True, f"{whole}, each after the one before")
    else:
        shift = source[0] - finished.times[0]
        slack = max(finished.tick, Fraction(1, 1000))
        worst = max(abs(b - a - shift) for a, b in zip(finished.times, source, strict=True))
        yield Check("times", worst <= slack, f"{whole}, at most {float(worst) * 1000:.2f} ms from the source's")
        end = seen.source_end - shift
        if finished.format.is_animation:
            end = shown_until(finished.times[-1], end, finished.format)
        late = finished.end - end
        with_sound = " with the sound's last packet" if finished.end_slack else ""
        length = f"{float(finished.end - finished.times[0]):.3f} s{with_sound}"
        said = f"{length}, {abs(float(late)) * 1000:.1f} ms from the source's"
        yield Check("duration", abs(late) <= 2 * slack + finished.end_slack, said)


def _gaps(seen: Observations) -> Check:
    finished = seen.finished
    lengths = [b - a for a, b in pairwise([*finished.times, finished.end])]
    if finished.end_slack and len(lengths) > 1:
        lengths.pop()
    longest, usual = max(lengths), median(lengths)
    at = finished.times[lengths.index(longest)]
    said = f"longest picture {float(longest) * 1000:.0f} ms, usual {float(usual) * 1000:.0f} ms"
    if seen.source_times:
        is_same = len(seen.source_times) == len(finished.times)
        return Check("gaps", is_same, f"{said}, {'as' if is_same else 'not as'} in the source")
    if longest >= _GAP[0] and longest > _GAP[1] * usual:
        return Check("gaps", None, f"{said}, at {float(at):.3f} s: --source shows whether the clip has it too")
    return Check("gaps", True, said)


def _matte(seen: Observations, format: Format, claims: Claims) -> Iterator[Check]:
    """Check whether there is a matte, and colour to go with it."""
    if format.has_alpha or format.content is Content.MATTE:
        said = f"from {seen.least:.2f} to {seen.most:.2f}"
        if seen.most < seen.least:
            yield Check("alpha", False, "there is none")
            return
        if seen.most <= _EMPTY:
            yield Check("alpha", False, f"empty: {said}; the model found nobody")
        elif seen.most - seen.least <= _EMPTY:
            yield Check("alpha", False, f"the same everywhere: {said}")
        else:
            yield Check("alpha", True, said)
    if not format.has_alpha:
        return
    darkening = seen.edges.darkening
    if darkening is None:
        yield Check("colour", None, "too few soft edges beside solid picture to tell straight from premultiplied")
        return
    kind, said = seen.edges.kind, f"soft edges darken by {darkening:.2f} (0 straight, 1 premultiplied)"
    if kind is None:
        yield Check("colour", None, f"{said}, which is neither")
        return
    meant = claims.premultiplied if format.premultiplied is None else format.premultiplied
    yield Check("colour", (kind == "premultiplied") == meant, f"{kind}: {said}")


def _pixels(seen: Observations) -> Iterator[Check]:
    for what, wrong in (("brightness", seen.wrong_luma), ("colour as it is shown", seen.wrong_colour)):
        if wrong:
            worst = max(wrong)
            said = f"where alpha is 1, {what} is within {worst * 255:.1f}/255 of the source's"
            yield Check("pixels", worst <= _COLOUR_SLACK, f"{said} (median, worst of {len(wrong)} pictures)")


def _sound(seen: Observations, info: VideoInfo | None, claims: Claims) -> Iterator[Check]:
    """Check whether every track is there, as long as it should be, and in time with the pictures."""
    finished = seen.finished
    if not finished.format.can_have_sound:
        return
    shift = seen.source_times[0] - finished.times[0] if seen.source_times else None
    end = None if info is None or claims.span.end is None else claims.span.end * info.time_base
    for passed, finding in check_sound(finished, info, shift, end, claims.sound):
        yield Check("sound", passed, finding)

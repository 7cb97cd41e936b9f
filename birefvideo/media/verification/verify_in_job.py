"""Reopening a finished output and proving that it holds what it was meant to hold."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av

from birefvideo.errors import InputError, OutputError
from birefvideo.frames import VideoInfo
from birefvideo.media.expected import Expected, Sound, Verification, apart, wrong
from birefvideo.media.output_format import (
    Content,
    Format,
    decoded_pix_fmts,
    output_aspect,
    output_colour,
    output_size,
)
from birefvideo.media.reading.alpha import alpha_of, luma_matte
from birefvideo.media.sequence_json import SIDECAR, picture_name, read_sidecar
from birefvideo.media.verification.finished_output import FinishedOutput, read_finished_output
from birefvideo.media.verification.still_colour import check_profile, check_still_tags
from birefvideo.media.verification.verify_animation_in_job import verify_animation

_COVERAGE_SLACK = 0.02
"""How far a lossy codec, or padding to even sides, may move a picture's mean alpha."""


def verify(
    output: Path, format: Format, info: VideoInfo, expected: Expected, *, decode_all: bool = False
) -> Verification:
    """Reopen `output` and compare it with what it was meant to hold.

    Every packet is read; the first, middle and last pictures are decoded, or all of them with `decode_all`, and always
    of an animation, which is short, and of a folder, whose files are damaged one by one. Times may differ by the
    container's tick, sound by one packet.

    Args:
        output: the finished file.
        format: what it was written as.
        info: the clip it was made from.
        expected: pictures' times and sound.
        decode_all: decode every picture.

    Raises:
        OutputError: the file cannot be read or differs; the message says in what.
    """
    if format.is_animation:
        return verify_animation(output, format, info, expected)
    decode_all |= format.has_own_pictures
    if format.is_sequence:
        _check_folder(output, format, info, expected)
    try:
        finished = read_finished_output(output, format)
        _check_head(finished, info)
        check_profile(output, format, info)
        _check_sounds(finished, expected.sounds)
        worst = _check_times(finished, info, expected)
        count = len(finished.times)
        chosen = finished.pictures_at(sorted({0, count // 2, count - 1}))
        decoded = 0
        off: list[float] = []
        for index, picture in enumerate(finished.pictures()) if decode_all else chosen:
            if picture is None:
                raise wrong(output, f"its picture {index} cannot be decoded")
            _check_picture(picture, index, finished, info)
            off += _coverage_error(picture, index, finished, expected)
            decoded += 1
    except (av.FFmpegError, InputError) as error:
        raise wrong(output, f"it cannot be read back ({error})") from error
    if decode_all and decoded != count:
        raise wrong(output, f"{decoded} of {count} pictures can be decoded")
    return Verification(count, decoded, finished.end, worst, len(finished.sounds), max(off, default=None))


def _check_folder(output: Path, format: Format, info: VideoInfo, expected: Expected) -> None:
    """Compare what lies in a folder, and the times that its sidecar gives, which are exact."""
    if not output.is_dir():
        raise wrong(output, "it is no folder")
    try:
        sidecar = read_sidecar(output)
    except ValueError as error:
        raise OutputError(f"{output} has no readable {SIDECAR}: remove it and run again") from error
    _check_count(output, len(sidecar.pts), expected)
    wanted = [pts * info.time_base - expected.origin for pts in expected.pts]
    if [*sidecar.times] != wanted or sidecar.last_duration != expected.last_duration:
        raise wrong(output, f"{SIDECAR} has other times than the source")
    names = [picture_name(output, index, format) for index in range(len(wanted))]
    found = {path.name: path.stat().st_size for path in output.iterdir()}
    for name in names:
        if not found.get(name):
            raise wrong(output, f"{name} is {'empty' if name in found else 'missing'}")
    if extra := sorted(found.keys() - {*names, SIDECAR}):
        raise wrong(output, f"{extra[0]} does not belong to it")


def _check_count(output: Path, count: int, expected: Expected) -> None:
    if count != len(expected.pts):
        raise wrong(output, f"it holds {count} pictures instead of {len(expected.pts)}")


def _check_head(finished: FinishedOutput, info: VideoInfo) -> None:
    """Compare what the container says of the pictures."""
    format, colour = finished.format, output_colour(finished.format, info.colour)
    found: list[tuple[str, object, object]] = [
        ("codec", finished.codec, format.written_codec),
        ("size", finished.size, output_size(format, info)),
    ]
    if not format.has_own_pictures:  # whose files, or sidecar, say the rest
        primaries, transfer = finished.tags
        found += [
            ("primaries", primaries, colour.primaries),  # VP9 leaves these two to the container
            ("transfer function", transfer, colour.transfer),
            ("sample aspect ratio", finished.aspect, output_aspect(format, info)),
        ]
    if format.codec_tag is not None:
        found.append(("codec tag", finished.codec_tag, format.codec_tag))
    if format.tags_alpha:
        found.append(("alpha mode", finished.alpha_mode, "1"))
    for what, got, wanted in found:
        if got != wanted:
            raise wrong(finished.path, f"its {what} is {got} instead of {wanted}")


def _check_sounds(finished: FinishedOutput, sounds: Sequence[Sound]) -> None:
    output = finished.path
    if len(finished.sounds) != len(sounds):
        raise wrong(output, f"it has {len(finished.sounds)} audio streams instead of {len(sounds)}")
    for found, sound in zip(finished.sounds, sounds, strict=True):
        if found.codec != sound.codec:
            raise wrong(output, f"audio stream {found.index} is {found.codec} instead of {sound.codec}")
        if found.channels != sound.channels:
            raise wrong(output, f"audio stream {found.index} has {found.channels} channels instead of {sound.channels}")
        slack = sound.grain + Fraction(2, 1000)  # Matroska's rounding at either side
        # What a decoder needs before the first sample heard lies before 0.
        if abs(max(found.start, Fraction(0)) - sound.start) > slack or abs(found.end - sound.end) > slack:
            raise wrong(
                output,
                "audio stream {} runs from {} to {} s instead of {} to {} s".format(
                    found.index, *apart(found.start, found.end, sound.start, sound.end)
                ),
            )


def _check_times(finished: FinishedOutput, info: VideoInfo, expected: Expected) -> Fraction:
    """Compare every picture's time; return the largest error in seconds."""
    output, tick = finished.path, finished.tick
    if not finished.times:
        raise wrong(output, "it holds no pictures")
    _check_count(output, len(finished.times), expected)
    worst = Fraction(0)
    for index, (time, pts) in enumerate(zip(finished.times, expected.pts, strict=True)):
        error = abs(time - (pts * info.time_base - expected.origin))
        if error > tick:
            raise wrong(output, f"picture {index} is {float(error) * 1000:.1f} ms away from its time")
        worst = max(worst, error)
    if expected.last_duration:
        wanted = (expected.pts[-1] + expected.last_duration) * info.time_base - expected.origin
        sound = max((sound.end + sound.grain for sound in expected.sounds), default=Fraction(0))
        end = finished.end
        if end < wanted - 2 * tick or end > max(wanted, sound) + 2 * tick:
            raise wrong(output, "it ends at {} s instead of {} s".format(*apart(end, wanted)))
    return worst


def _check_picture(picture: av.VideoFrame, index: int, finished: FinishedOutput, info: VideoInfo) -> None:
    output, format, time = finished.path, finished.format, float(finished.times[index])
    if picture.is_corrupt:
        raise wrong(output, f"the picture at {time:.3f} s is damaged")
    if picture.format.name not in decoded_pix_fmts(format, info):
        raise wrong(output, f"it decodes as {picture.format.name}: the alpha is missing or wrong")
    colour = output_colour(format, info.colour)
    found: list[tuple[str, object, object]] = [("size", (picture.width, picture.height), output_size(format, info))]
    if not format.has_own_pictures:  # of R'G'B' by definition
        found.append(("colour matrix", int(picture.colorspace), colour.matrix))
    if not format.is_rgb:  # whose range is full, whether the file says so or not
        found.append(("colour range", int(picture.color_range), colour.range))
    for what, got, wanted in found:
        if got != wanted:
            raise wrong(output, f"the {what} of the picture at {time:.3f} s is {got} instead of {wanted}")
    check_still_tags(picture, output, format, info)


def _coverage_error(picture: av.VideoFrame, index: int, finished: FinishedOutput, expected: Expected) -> list[float]:
    """Compare a picture's mean alpha with the matte's; return the difference, or nothing where it cannot be sidecar."""
    alpha = luma_matte(picture) if finished.format.content is Content.MATTE else alpha_of(picture)
    is_opaque = alpha is None and finished.format.is_still and finished.format.has_alpha  # as a WebP may be
    if (alpha is None and not is_opaque) or not expected.coverage:
        return []
    wanted, got = expected.coverage[index], 1.0 if alpha is None else float(alpha.mean())
    if abs(got - wanted) > _COVERAGE_SLACK:
        time = float(finished.times[index])
        raise wrong(finished.path, f"alpha covers {got:.1%} of the picture at {time:.3f} s instead of {wanted:.1%}")
    return [round(abs(got - wanted), 6)]

"""Reopening a finished file and proving that it holds what it was meant to hold."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from birefvideo.errors import InputError, OutputError
from birefvideo.frames import VideoInfo
from birefvideo.media.expected import Expected, Sound, Verification, wrong
from birefvideo.media.formats import Content, Format
from birefvideo.media.output_format import decoded_pix_fmts, output_aspect, output_colour, output_size
from birefvideo.media.reading.alpha import alpha_of, decoder_with_alpha, luma_matte
from birefvideo.media.reading.decode import open_input
from birefvideo.media.reading.probe import codec_name
from birefvideo.media.sidecar import SIDECAR, picture_name, read_sidecar
from birefvideo.media.verification.against_plan_animation import verify_animation

_COVERAGE_SLACK = 0.02
"""How far a lossy codec, or padding to even sides, may move a picture's mean alpha."""


def verify(
    output: Path, format: Format, info: VideoInfo, expected: Expected, *, decode_all: bool = False
) -> Verification:
    """Reopens `output` and compares it with what it was meant to hold.

    Every packet is read; the first, middle and last pictures are decoded, or all of them with `decode_all`, and always
    of an animation, which is short. Times may differ by the container's tick, sound by one packet.

    Args:
        output: the finished file.
        format: what it was written as.
        info: the clip it was made from.
        expected: pictures' times and sound.
        decode_all: decode every picture.

    Raises:
        OutputError: the file cannot be read or differs; the message says in what.
    """
    if format.is_sequence:
        return _verify_sequence(output, format, info, expected, decode_all)
    if format.is_animation:
        return verify_animation(output, format, info, expected)
    try:
        with open_input(output) as container:
            stream = _only_video(container, output)
            _check_stream(stream, output, format, info)
            times, end = _read(container, stream, output, format, expected)
            worst = _check_times(times, end, stream, output, info, expected)
            pictures = (
                _decoded_all(container, stream, format)
                if decode_all
                else _sampled(container, stream, output, format, times)
            )
            decoded = 0
            off: list[float] = []
            for picture in pictures:
                _check_picture(picture, output, format, info)
                off += _coverage_error(picture, output, format, expected, times)
                decoded += 1
            if decode_all and decoded != len(times):
                raise wrong(output, f"{decoded} of {len(times)} pictures can be decoded")
            audio_streams = len(container.streams.audio)
    except (av.FFmpegError, InputError) as error:
        raise wrong(output, f"it cannot be read back ({error})") from error
    return Verification(len(times), decoded, end, worst, audio_streams, max(off, default=None))


def _verify_sequence(
    output: Path, format: Format, info: VideoInfo, expected: Expected, decode_all: bool
) -> Verification:
    """Compares a folder of pictures and its times; each file is looked at, three or all are decoded."""
    if not output.is_dir():
        raise wrong(output, "it is no folder")
    try:
        times = read_sidecar(output)
    except ValueError as error:
        raise OutputError(f"{output} has no readable {SIDECAR}: remove it and run again") from error
    wanted = [pts * info.time_base - expected.origin for pts in expected.pts]
    if len(times.pts) != len(wanted):
        raise wrong(output, f"it holds {len(times.pts)} pictures instead of {len(wanted)}")
    if [pts * info.time_base for pts in times.pts] != wanted or times.last_duration != expected.last_duration:
        raise wrong(output, f"{SIDECAR} tells other times than the source's")
    names = [picture_name(output, index, format) for index in range(len(wanted))]
    found = {path.name: path.stat().st_size for path in output.iterdir()}
    for name in names:
        if not found.get(name):
            raise wrong(output, f"{name} is {'empty' if name in found else 'missing'}")
    if extra := sorted(found.keys() - {*names, SIDECAR}):
        raise wrong(output, f"{extra[0]} does not belong to it")
    chosen = range(len(names)) if decode_all else sorted({0, len(names) // 2, len(names) - 1})
    off = [error for index in chosen for error in _single(output / names[index], format, info, expected, index)]
    return Verification(len(names), len(chosen), times.end, Fraction(0), 0, max(off, default=None))


def _single(path: Path, format: Format, info: VideoInfo, expected: Expected, index: int) -> list[float]:
    """Decodes one picture of a sequence; returns how far its mean alpha is off, where that can be told."""
    try:
        with open_input(path) as container:
            picture = next(container.decode(video=0))
    except (av.FFmpegError, InputError, StopIteration) as error:
        raise wrong(path, f"it cannot be read back ({error})") from error
    picture.pts = index
    shown = ((picture.width, picture.height), picture.format.name)
    if shown[0] != output_size(format, info) or shown[1] not in decoded_pix_fmts(format, info):
        raise wrong(path, f"it is {shown[0][0]}x{shown[0][1]} of {shown[1]}")
    return _coverage_error(picture, path, format, expected, range(len(expected.pts)))


def _only_video(container: InputContainer, output: Path) -> VideoStream:
    if len(container.streams.video) != 1:
        raise wrong(output, f"it has {len(container.streams.video)} video streams instead of 1")
    return container.streams.video[0]


def _check_stream(stream: VideoStream, output: Path, format: Format, info: VideoInfo) -> None:
    """Compares what the container says of the pictures."""
    context, colour = stream.codec_context, output_colour(format, info.colour)
    found: list[tuple[str, object, object]] = [
        ("codec", codec_name(stream), format.written_codec),
        ("size", (context.width, context.height), output_size(format, info)),
        ("primaries", context.color_primaries, colour.primaries),  # VP9 leaves these two to the container
        ("transfer function", context.color_trc, colour.transfer),
        ("sample aspect ratio", stream.sample_aspect_ratio or Fraction(1), output_aspect(format, info)),
    ]
    if format.codec_tag is not None:
        found.append(("codec tag", context.codec_tag, format.codec_tag))
    if format.tags_alpha:
        metadata = {key.lower(): value for key, value in stream.metadata.items()}
        found.append(("alpha mode", metadata.get("alpha_mode"), "1"))
    for what, got, wanted in found:
        if got != wanted:
            raise wrong(output, f"its {what} is {got} instead of {wanted}")


def _read(
    container: InputContainer, stream: VideoStream, output: Path, format: Format, expected: Expected
) -> tuple[list[int], Fraction]:
    """Reads every packet; returns the pictures' pts and the end of the last, having compared the sound."""
    times: list[int] = []
    length = 0
    heard: dict[int, tuple[Fraction, Fraction]] = {}
    for packet in container.demux():
        if packet.pts is None or packet.time_base is None:
            continue
        if packet.stream.index == stream.index:
            times.append(packet.pts)
            length = packet.duration or 0
        elif packet.stream.type == "audio":
            start = packet.pts * packet.time_base
            end = start + (packet.duration or 0) * packet.time_base
            first, last = heard.get(packet.stream.index, (start, end))
            heard[packet.stream.index] = (min(first, start), max(last, end))
    _check_sounds(container, heard, output, expected.sounds)
    if not times:
        raise wrong(output, "it holds no pictures")
    if not format.container.keeps_last_length:
        return times, Fraction(container.duration or 0, av.time_base)
    assert stream.time_base is not None
    return times, (times[-1] + length) * stream.time_base


def _check_times(
    times: Sequence[int], end: Fraction, stream: VideoStream, output: Path, info: VideoInfo, expected: Expected
) -> Fraction:
    """Compares every picture's time; returns the largest error in seconds."""
    if len(times) != len(expected.pts):
        raise wrong(output, f"it holds {len(times)} pictures instead of {len(expected.pts)}")
    tick = stream.time_base or info.time_base
    worst = Fraction(0)
    for index, (time, pts) in enumerate(zip(times, expected.pts, strict=True)):
        error = abs(time * tick - (pts * info.time_base - expected.origin))
        if error > tick:
            raise wrong(output, f"picture {index} is {float(error) * 1000:.1f} ms away from its time")
        worst = max(worst, error)
    if expected.last_duration:
        wanted = (expected.pts[-1] + expected.last_duration) * info.time_base - expected.origin
        sound = max((sound.end + sound.grain for sound in expected.sounds), default=Fraction(0))
        if end < wanted - 2 * tick or end > max(wanted, sound) + 2 * tick:
            raise wrong(output, f"it ends at {float(end):.3f} s instead of {float(wanted):.3f} s")
    return worst


def _check_sounds(
    container: InputContainer, heard: dict[int, tuple[Fraction, Fraction]], output: Path, sounds: Sequence[Sound]
) -> None:
    streams = container.streams.audio
    if len(streams) != len(sounds):
        raise wrong(output, f"it has {len(streams)} audio streams instead of {len(sounds)}")
    for stream, sound in zip(streams, sounds, strict=True):
        name = codec_name(stream)
        if name != sound.codec:
            raise wrong(output, f"audio stream {stream.index} is {name} instead of {sound.codec}")
        start, end = heard.get(stream.index, (Fraction(0), Fraction(0)))
        slack = sound.grain + Fraction(2, 1000)  # Matroska's rounding at either side
        # What a decoder needs before the first sample heard lies before 0.
        if abs(max(start, Fraction(0)) - sound.start) > slack or abs(end - sound.end) > slack:
            raise wrong(
                output,
                f"audio stream {stream.index} runs from {float(start):.3f} to {float(end):.3f} s instead of "
                f"{float(sound.start):.3f} to {float(sound.end):.3f} s",
            )


def _check_picture(picture: av.VideoFrame, output: Path, format: Format, info: VideoInfo) -> None:
    colour = output_colour(format, info.colour)
    found: list[tuple[str, object, object]] = [
        ("size", (picture.width, picture.height), output_size(format, info)),
        ("colour matrix", int(picture.colorspace), colour.matrix),
    ]
    if not format.is_rgb:  # whose range is full, whether the file says so or not
        found.append(("colour range", int(picture.color_range), colour.range))
    if picture.is_corrupt:
        raise wrong(output, f"the picture at {picture.time:.3f} s is damaged")
    if picture.format.name not in decoded_pix_fmts(format, info):
        raise wrong(output, f"it decodes as {picture.format.name}: the alpha is missing or wrong")
    for what, got, wanted in found:
        if got != wanted:
            raise wrong(output, f"the {what} of the picture at {picture.time:.3f} s is {got} instead of {wanted}")


def _coverage_error(
    picture: av.VideoFrame, output: Path, format: Format, expected: Expected, times: Sequence[int]
) -> list[float]:
    """Compares a picture's mean alpha with the matte's; returns the difference, or nothing where it cannot be told."""
    alpha = luma_matte(picture) if format.content is Content.MATTE else alpha_of(picture)
    if alpha is None or not expected.coverage or picture.pts is None:
        return []
    wanted = expected.coverage[bisect_left(times, picture.pts)]
    got = float(alpha.mean())
    if abs(got - wanted) > _COVERAGE_SLACK:
        raise wrong(output, f"alpha covers {got:.1%} of the picture at {picture.time:.3f} s instead of {wanted:.1%}")
    return [round(abs(got - wanted), 6)]


def _decoder(stream: VideoStream, format: Format) -> VideoCodecContext:
    """A fresh decoder, one that keeps alpha where the output has it."""
    return decoder_with_alpha(stream) if format.has_alpha else stream.codec_context


def _decoded_all(container: InputContainer, stream: VideoStream, format: Format) -> Iterator[av.VideoFrame]:
    container.seek(0, stream=stream)
    decoder = _decoder(stream, format)
    for packet in container.demux(stream):
        yield from decoder.decode(packet if packet.size else None)


def _sampled(
    container: InputContainer, stream: VideoStream, output: Path, format: Format, times: Sequence[int]
) -> Iterator[av.VideoFrame]:
    """Decodes the first, the middle and the last picture, each from the key frame before it."""
    for target in sorted({times[0], times[len(times) // 2], times[-1]}):
        container.seek(target, stream=stream)
        decoder = _decoder(stream, format)
        decoder.flush_buffers()
        picture = _picture_at(container.demux(stream), decoder, target)
        if picture is None:
            raise wrong(output, f"its picture {times.index(target)} cannot be decoded")
        yield picture


def _picture_at(
    packets: Iterator[Packet[VideoStream]], decoder: VideoCodecContext, target: int
) -> av.VideoFrame | None:
    for packet in packets:
        for picture in decoder.decode(packet if packet.size else None):
            if picture.pts is not None and picture.pts >= target:
                return picture
    return None

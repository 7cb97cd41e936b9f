"""What a clip is: streams, sizes, times, colour and orientation, resolved to values that every stage can trust."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.sidedata.sidedata import SideData, Type
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from birefvideo.colour import FULL_RANGE, LIMITED_RANGE, Colour
from birefvideo.errors import InputError
from birefvideo.frames import AudioInfo, VideoInfo
from birefvideo.media.reading.decode import decoded, read_frames
from birefvideo.media.reading.normalize import format_depth, has_chroma, is_gray, upright_format
from birefvideo.media.reading.open_input import open_input

_PICTURES_BESIDE = Disposition.attached_pic | Disposition.timed_thumbnails
_FALLBACK_RATE = Fraction(25)
_MAX_RATE = 1000  # frames a second; transport streams and raw streams give their clock's 90000 instead

# Code points of ITU-T H.273: BT.709 1, BT.470BG 5, SMPTE 170M 6, SMPTE 240M 7, BT.2020 9 (matrix also 10).
_MATRIX_OF_PRIMARIES = {1: 1, 5: 5, 6: 6, 7: 7, 9: 9}
_BT2020_TRANSFERS = frozenset({14, 15, 16, 18})
_BY_MATRIX = {1: (1, 1), 7: (7, 7), 9: (9, 14), 10: (9, 14)}  # primaries, transfer


def probe(path: Path) -> VideoInfo:
    """Open a clip, decode its first frame, and say what the clip is.

    Raises InputError where there is no file, FFmpeg cannot read it, or no frame of a video can be decoded.
    """
    with open_input(path) as container:
        stream = _video_stream(container, path)
        stream.codec_context.thread_count = 1
        picture = next(decoded(container, stream), None)
        if picture is None:
            raise InputError(f"{path} has a video track without a single frame; record or export it again")
        info = _describe(path, container, stream, picture)
    # What read_frames says first is where the clip starts, by definition.
    with closing(read_frames(info)) as frames:
        first = next(frames)
    return replace(info, start=first.pts)


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the stream a player would show: the default one, then the largest; never cover art."""
    moving = [s for s in container.streams.video if not s.disposition & _PICTURES_BESIDE]
    if not moving:
        has = "only a cover picture" if container.streams.video else "no video track"
        sound = " beside its sound" if container.streams.audio else ""
        raise InputError(f"{path} has {has}{sound}; name a file with moving pictures")
    # A stream without a decoder has no codec context, whatever PyAV's annotations say.
    known = [s for s in moving if getattr(s, "codec_context", None) is not None]
    if not known:
        raise InputError(f"{path} is in a codec that this FFmpeg cannot decode; convert it to H.264 or ProRes")
    return max(known, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height))


def _describe(path: Path, container: InputContainer, stream: VideoStream, picture: av.VideoFrame) -> VideoInfo:
    time_base = stream.time_base or Fraction(1, 90000)
    rate = _rate(stream, picture, time_base)
    duration = _duration(container, stream, time_base)
    quarter_turns, mirrored = orientation(picture)
    turned = quarter_turns % 2 == 1
    width, height = picture.width, picture.height
    aspect = stream.sample_aspect_ratio or Fraction(1)
    pix_fmt = upright_format(picture.format.name, width, height, quarter_turns, mirrored)
    return VideoInfo(
        path=path,
        stream_index=stream.index,
        width=height if turned else width,
        height=width if turned else height,
        pix_fmt=pix_fmt,
        bit_depth=format_depth(av.VideoFormat(pix_fmt)),
        time_base=time_base,
        rate=rate,
        start=stream.start_time or 0,
        duration=duration,
        frame_count=max(stream.frames, 0) or round(duration * rate),
        colour=resolve_colour(picture),
        sample_aspect_ratio=1 / aspect if turned else aspect,
        quarter_turns=quarter_turns,
        mirrored=mirrored,
        interlaced=picture.interlaced_frame,
        audio=tuple(_audio(s) for s in container.streams.audio if getattr(s, "codec_context", None) is not None),
    )


def _rate(stream: VideoStream, picture: av.VideoFrame, time_base: Fraction) -> Fraction:
    """Return the average rate, or the most trustworthy thing there is instead."""
    own = 1 / (picture.duration * time_base) if picture.duration > 0 else None
    for rate in (stream.average_rate, stream.guessed_rate, own, stream.base_rate):
        if rate is not None and 0 < rate <= _MAX_RATE:
            return rate
    return _FALLBACK_RATE


def _duration(container: InputContainer, stream: VideoStream, time_base: Fraction) -> Fraction:
    if stream.duration is not None and stream.duration > 0:
        return stream.duration * time_base
    if container.duration is None or container.duration <= 0:
        return Fraction(0)
    # Matroska counts from 0 to the end, whatever comes first.
    whole = Fraction(container.duration, av.time_base)
    is_matroska = "matroska" in container.format.name
    return max(Fraction(0), whole - (stream.start_time or 0) * time_base) if is_matroska else whole


def _audio(stream: AudioStream) -> AudioInfo:
    time_base = stream.time_base or Fraction(1, stream.codec_context.sample_rate or 1)
    return AudioInfo(
        index=stream.index,
        codec=stream.codec_context.name,
        rate=stream.codec_context.sample_rate,
        channels=stream.codec_context.layout.nb_channels,
        start=(stream.start_time or 0) * time_base,
        duration=stream.duration * time_base if stream.duration else None,
    )


def orientation(picture: av.VideoFrame) -> tuple[int, bool]:
    """Counter-clockwise quarter turns, then whether to flip left to right, that bring a decoded picture upright.

    Read from the display matrix, for row vectors with y downwards; another angle is taken for the nearest quarter.
    """
    try:
        beside = list(_side_data(picture))
    except ValueError:  # PyAV does not know every kind, such as a photo's EXIF; it gives the turn alone, then
        return round(picture.rotation / 90) % 4, False
    for data in beside:
        if data.type == Type.DISPLAYMATRIX:
            matrix = np.frombuffer(bytes(data), np.int32).reshape(3, 3)[:2, :2].astype(float)
            determinant = np.linalg.det(matrix)
            if determinant == 0:
                break
            if determinant < 0:
                matrix[:, 0] = -matrix[:, 0]
            angle = math.atan2(-matrix[0, 1], matrix[0, 0])
            return round(angle / (math.pi / 2)) % 4, bool(determinant < 0)
    return 0, False


def _side_data(picture: av.VideoFrame) -> Iterator[SideData]:
    # PyAV's annotation is a dictionary; iterating gives the data themselves, and .values() fails.
    return cast("Iterator[SideData]", iter(picture.side_data))


def resolve_colour(picture: av.VideoFrame) -> Colour:
    """Return the colour tags of a decoded picture, unspecified ones filled in from the others or, at last, by its size.

    YUV without a word is BT.709 from HD on and SMPTE 170M below, as players take it (mpv's limits); `guessed` says
    so. RGB has the tags of the limited-range YUV it will be converted to: BT.2020 where its primaries are, else
    BT.709. Gray is full range unless tagged otherwise, as FFmpeg has it.
    """
    matrix = _specified(picture.colorspace)
    primaries = _specified(picture.color_primaries)
    transfer = _specified(picture.color_trc)
    is_hd = max(picture.width, picture.height) >= 1280 or min(picture.width, picture.height) > 576
    guessed = False
    if matrix is None:
        matrix = _MATRIX_OF_PRIMARIES.get(primaries or 0) or (9 if transfer in _BT2020_TRANSFERS else None)
    if matrix is None:
        guessed = has_chroma(picture.format)
        matrix = 1 if is_hd or not guessed else 6
    default_primaries, default_transfer = _BY_MATRIX.get(matrix) or ((1, 1) if is_hd else (matrix, 6))
    return Colour(matrix, _range(picture), primaries or default_primaries, transfer or default_transfer, guessed)


def _range(picture: av.VideoFrame) -> int:
    if is_gray(picture.format):
        return picture.color_range or FULL_RANGE
    if not has_chroma(picture.format):
        return LIMITED_RANGE
    return FULL_RANGE if picture.format.name.startswith("yuvj") else picture.color_range or LIMITED_RANGE


def _specified(code: int) -> int | None:
    return None if code in (0, 2, 3) else code  # H.273: 2 is unspecified, 0 and 3 reserved; matrix 0 is RGB


def codec_name(stream: Stream) -> str:
    """Return FFmpeg's name of a stream's codec, whichever decoder or encoder handles it: 'mp3', not 'mp3float'."""
    return str(stream.codec_context.codec.canonical_name)

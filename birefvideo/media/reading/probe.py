"""What a clip is: streams, sizes, times, colour and orientation, resolved to values that every stage can trust."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from birefvideo.colour import FULL_RANGE, LIMITED_RANGE, LUMA_WEIGHTS, Colour
from birefvideo.errors import InputError
from birefvideo.frames import AudioInfo, VideoInfo
from birefvideo.media.animation_containers import is_animated_webp
from birefvideo.media.metadata import counted
from birefvideo.media.reading.alpha import has_alpha, hides_alpha
from birefvideo.media.reading.alpha_beside import stream_of_alpha
from birefvideo.media.reading.channel_order import channel_count, settled_layout
from birefvideo.media.reading.chroma_siting import site_of
from birefvideo.media.reading.clean_aperture import clean_aperture
from birefvideo.media.reading.decode import decoded, read_frames
from birefvideo.media.reading.losses import find_losses, promised
from birefvideo.media.reading.movie_tracks import lies_elsewhere, only_refers, speed_doubts
from birefvideo.media.reading.normalize import format_depth, has_chroma, is_gray, upright_format
from birefvideo.media.reading.numbered_pictures import members, series_of
from birefvideo.media.reading.open_input import check_size, open_input
from birefvideo.media.reading.orientation import orientation
from birefvideo.media.reading.photo_decoder import decoder_of
from birefvideo.media.reading.scan import Scan, scan
from birefvideo.media.reading.stills import as_still, is_still
from birefvideo.media.reading.tagged_end import tagged_end
from birefvideo.timeline import Timeline

_PICTURES_BESIDE = Disposition.attached_pic | Disposition.timed_thumbnails
_ELSEWHERE = (
    "only refers to pictures in another file, and no other file is opened: name that one, or export a film that "
    "holds its media"
)
_FALLBACK_RATE = Fraction(25)
_MOST_STRETCHED = Fraction(10)  # anamorphic lenses give 2:1, half-wide broadcast pictures 3:1
_TRUSTED = Fraction(1, 2)  # seconds that a container's length may differ from what its packets show
_ONE_EACH = frozenset({"h264", "hevc", "prores", "mjpeg", "dnxhd", "ffv1"})
# Packets may hold a picture that is not shown, or one field.
_HIDING = frozenset({"vp7", "vp8", "vp9", "mpeg2video", "mpeg1video", "vc1", "wmv3"})
_PHOTO_CODECS = frozenset({"webp", "av1"})
_FASTEST = Fraction(100_000)  # frames a second of high-speed cameras, which write files of an ordinary rate
_MAX_RATE = 1000  # frames a second; transport streams and raw streams give their clock's 90000 instead

# Code points of ITU-T H.273: BT.709 1, BT.470BG 5, SMPTE 170M 6, SMPTE 240M 7, BT.2020 9 (matrix also 10).
_MATRIX_OF_PRIMARIES = {1: 1, 5: 5, 6: 6, 7: 7, 9: 9}
_PRIMARIES = frozenset({1, *range(4, 13), 22})
_TRANSFERS = frozenset({1, *range(4, 19)})
_UNSPECIFIED, _FROM_PRIMARIES = 2, 12
_OTHER_MATRICES = {
    **{0: "RGB", 8: "YCgCo", 11: "SMPTE ST 2085", 12: "their primaries say", 14: "ICtCp", 15: "IPT-C2"},
    **{13: "their primaries say, in constant luminance", 16: "YCgCo-Re", 17: "YCgCo-Ro"},
}
_BT2020_TRANSFERS = frozenset({14, 15, 16, 18})
_BY_MATRIX = {1: (1, 1), 7: (7, 7), 9: (9, 14), 10: (9, 14)}  # primaries, transfer


def probe(path: Path) -> VideoInfo:
    """Open a clip, decode its first frame, and say what the clip is.

    Raises InputError where there is no file, FFmpeg cannot read it, or no frame of a video can be decoded.
    """
    with open_input(path) as container:
        stream = _video_stream(container, path)
        stream.codec_context.thread_count = 1
        decoder = decoder_of(stream, path, with_alpha=False)
        picture = next(decoded(container, stream, decoder=decoder), None)
        if picture is None:
            raise InputError(f"{path} has a video track without a single frame; record or export it again")
        check_size(path, picture.width, picture.height)
        info = _describe(path, container, stream, picture)
    if is_still(path):
        info = as_still(info, picture)
    if info.still or series_of(path) is not None:
        return replace(info, start=_first_time(info))
    with open_input(path) as container:
        return _as_scanned(info, container)


def _first_time(info: VideoInfo) -> int:
    """Return where a clip starts: at what read_frames says first, by definition."""
    with closing(read_frames(info)) as frames:
        return next(frames).pts


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the stream a player would show: the default one, then the largest; never cover art.

    An animated AVIF has its first picture beside the moving ones.
    """
    moving = [s for s in container.streams.video if not s.disposition & _PICTURES_BESIDE]
    if not moving and only_refers(path):
        raise InputError(f"{path} {_ELSEWHERE}")
    if not moving:
        has = "only a cover picture" if container.streams.video else "no video track"
        sound = " beside its sound" if container.streams.audio else ""
        raise InputError(f"{path} has {has}{sound}; name a file with moving pictures")
    tiles = [s for s in moving if s.disposition & Disposition.dependent]
    if tiles and not any(s.disposition & Disposition.default for s in moving):  # a thumbnail is not default either
        raise InputError(
            f"{path} is one photo in {len(tiles)} tiles, which this FFmpeg does not put together; "
            "convert it to JPEG or PNG"
        )
    # A stream without a decoder has no codec context, whatever PyAV's annotations say.
    known = [s for s in moving if getattr(s, "codec_context", None) is not None]
    if not known:
        kinds = "JPEG or PNG" if is_still(path) else "H.264 or ProRes"
        raise InputError(f"{path} is in a codec that this FFmpeg cannot decode; convert it to {kinds}")
    own = [s for s in known if not lies_elsewhere(path, container, s.id)]
    if not own:
        raise InputError(f"{path} {_ELSEWHERE}")
    return max(own, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height, s.frames != 1))


def _describe(path: Path, container: InputContainer, stream: VideoStream, picture: av.VideoFrame) -> VideoInfo:
    time_base = stream.time_base or Fraction(1, 90000)
    rate = _rate(stream, picture, time_base)
    duration = _duration(container, stream, time_base)
    quarter_turns, mirrored = orientation(picture, members(path)[0])
    turned = quarter_turns % 2 == 1
    crop = clean_aperture(path, container, stream, picture)
    width, height = (crop.width, crop.height) if crop else (picture.width, picture.height)
    aspect, doubts = _aspect(stream)
    colour = resolve_colour(picture)
    is_photo = is_animated_webp(path) or (codec_name(stream) in _PHOTO_CODECS and is_still(path))
    site = site_of(picture, colour, is_photo=is_photo)
    pix_fmt = upright_format(picture.format.name, bool(quarter_turns or mirrored), site, crop)
    beside = stream_of_alpha(container, stream, path)
    elsewhere = {one.index for one in container.streams.audio if lies_elsewhere(path, container, one.id)}
    sounds = {one.index: None if one.index in elsewhere else _audio(one) for one in container.streams.audio}
    tracks = [stream.id, *(one.id for one in container.streams.audio if sounds[one.index])]
    silent = (index for index, sound in sounds.items() if not sound)
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
        colour=colour,
        sample_aspect_ratio=1 / aspect if turned else aspect,
        quarter_turns=quarter_turns,
        mirrored=mirrored,
        chroma_site=site,
        crop=crop,
        has_alpha=has_alpha(picture) or picture.format.has_palette or hides_alpha(stream) or beside is not None,
        alpha_index=beside,
        is_premultiplied=codec_name(stream) == "exr",  # by its specification; no other kind says
        interlaced=picture.interlaced_frame,
        audio=tuple(sound for sound in sounds.values() if sound),
        unreadable_audio=tuple(
            (index, "it is in another file" if index in elsewhere else "FFmpeg cannot decode it") for index in silent
        ),
        doubts=(*doubts, *_colour_doubts(picture), *speed_doubts(path, container, tracks)),
    )


def _aspect(stream: VideoStream) -> tuple[Fraction, list[str]]:
    """Return the width to height of a pixel, 1 where that is absurd, and a line that says so."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if 1 / _MOST_STRETCHED <= aspect <= _MOST_STRETCHED:
        return aspect, []
    says = f"{aspect.numerator}:{aspect.denominator}"
    return Fraction(1), [
        f"the file says that its pixels are {says} in shape, which cannot be: they are taken as square"
    ]


def _as_scanned(info: VideoInfo, container: InputContainer) -> VideoInfo:
    """Return a clip with what its packets say: the clock, the number of pictures, and a length that can be trusted."""
    stream = container.streams[info.stream_index]
    if not isinstance(stream, VideoStream):
        raise InputError(f"{info.path} has changed while it was read; start again")
    index = promised(container, stream)
    is_one_each = stream.codec.name not in _HIDING and not info.interlaced and container.format.name != "avi"
    found = scan(container, stream, is_one_each=is_one_each)
    ticks = info.time_base / dict(found.timeline.finer).get(stream.index, 1)
    doubts = (*info.doubts, *_repeats(found.timeline), *_haste(found, ticks))
    info = replace(info, timeline=found.timeline, time_base=ticks, doubts=doubts)
    info = replace(info, start=_first_time(info))
    if not len(found.times):
        return replace(info, frame_count=found.packets)
    first, last = int(found.times[0]), int(found.times[-1])
    length = (found.end - first) * info.time_base
    # The last packet's length may be that of another one, where pictures are reordered: the head knows better.
    is_near = abs(info.duration - length) <= _TRUSTED or (last - first) * info.time_base < info.duration < length
    is_true = info.duration and not found.timeline.joints and is_near
    return replace(
        info,
        duration=info.duration if is_true else length,
        frame_count=found.packets - int((found.times < info.start).sum()),
        every_packet_shows=stream.codec.name in _ONE_EACH and not info.interlaced,
        stretches=found.stretches,
        losses=find_losses(info, container, stream, index, found),
    )


def _repeats(timeline: Timeline) -> Iterator[str]:
    """Yield a line where pictures have the time of another one."""
    if timeline.repeats:
        some = counted(timeline.repeats, "frame")
        yield f"the file gives {some} the time of another one: all are kept, spread over the time until the next"


def _haste(found: Scan, tick: Fraction) -> Iterator[str]:
    """Yield a line where pictures follow one another faster than any camera takes them."""
    whole = (found.end - int(found.times[0])) * tick if len(found.times) else Fraction(0)
    if len(found.times) > 1 and 0 < whole < len(found.times) / _FASTEST:
        yield (
            f"the file says that its {counted(len(found.times), 'frame')} last {float(whole):.1g} s, which cannot be: "
            "they are kept, at those times; to see them, make the file again with a true rate"
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


def _audio(stream: AudioStream) -> AudioInfo | None:
    """Return what an audio stream is, or None where nothing here can decode it."""
    context = getattr(stream, "codec_context", None)  # None where there is no decoder
    layout = settled_layout(stream)
    channels = channel_count(layout)
    if context is None or context.sample_rate <= 0 or not channels:
        return None
    time_base = stream.time_base or Fraction(1, context.sample_rate)
    return AudioInfo(
        index=stream.index,
        codec=codec_name(stream),
        rate=context.sample_rate,
        channels=channels,
        start=(stream.start_time or 0) * time_base,
        duration=stream.duration * time_base if stream.duration else tagged_end(stream) or None,
        layout=layout,
        is_deep=context.codec.lossless and context.format.bytes > 2,
    )


def resolve_colour(picture: av.VideoFrame) -> Colour:
    """Return the colour tags of a decoded picture, unspecified ones filled in from the others or, at last, by its size.

    YUV without a word is BT.709 from HD on and SMPTE 170M below, as players take it (mpv's limits); `guessed` says
    so. RGB has the tags of the limited-range YUV it will be converted to: BT.2020 where its primaries are, else
    BT.709. Gray is full range unless tagged otherwise, as FFmpeg has it.
    """
    matrix = _known(picture.colorspace, LUMA_WEIGHTS)
    primaries = _known(picture.color_primaries, _PRIMARIES)
    transfer = _known(picture.color_trc, _TRANSFERS)
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


def _known(code: int, codes: Container[int]) -> int | None:
    """Return a code point that means something here; 0 and 3 are reserved, 2 is unspecified, matrix 0 is RGB."""
    return code if code in codes else None


def _colour_doubts(picture: av.VideoFrame) -> list[str]:
    """Return a line where YUV is tagged with a matrix that is not one, or not read here."""
    code = int(picture.colorspace)
    is_derived = code == _FROM_PRIMARIES and picture.color_primaries in _MATRIX_OF_PRIMARIES
    if not has_chroma(picture.format) or code == _UNSPECIFIED or code in LUMA_WEIGHTS or is_derived:
        return []
    taken = {1: "BT.709", 9: "BT.2020"}.get(resolve_colour(picture).matrix, "BT.601")
    name = _OTHER_MATRICES.get(code, f"number {code} of ITU-T H.273")
    return [f"the file says that its colours are coded as {name}, which is not read: they are taken as {taken}"]


def codec_name(stream: Stream) -> str:
    """Return FFmpeg's name of a stream's codec, whichever decoder or encoder handles it: 'mp3', not 'mp3float'.

    'unknown' where no decoder here does.
    """
    context = getattr(stream, "codec_context", None)
    return "unknown" if context is None else str(context.codec.canonical_name)

"""The output formats as data: one row each says what is written, by which codec, and which sound goes with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

from birefvideo.errors import OptionError
from birefvideo.media.format_names import no_ending, single_names, unknown_format
from birefvideo.media.output_format import ColourPolicy, Container, Content, Format

__all__ = ["FORMATS", "PAIRS", "Content", "Format", "format_for_suffix", "get_format", "get_formats"]

_PCM = {"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be"}
_MOV_AUDIO = frozenset({"aac", "mp3", "ac3", "alac"} | _PCM)
# Opus and PCM in mp4 are legal, but too many players and editors refuse them.
_MP4_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})

# mbtree=0: with it, the same pictures give other bytes now and then (3 of 1,000 short segments on a busy machine).
# bf=0: without reordering dts equals pts, so that parts of a variable-frame-rate clip join packet by packet.
_H264 = MappingProxyType({"preset": "veryfast", "crf": "18", "bf": "0", "profile": "high", "x264-params": "mbtree=0"})
_MP4_OPTIONS = MappingProxyType({"movflags": "+faststart+write_colr"})

_MOV = Container("mov", has_movie_clock=True, has_timecode_track=True, has_apple_languages=True)
_MP4 = Container("mp4", has_movie_clock=True, has_timecode_track=True)
_MATROSKA = Container("matroska", hides_priming=False, has_speakers=False, keeps_chapters=True, keeps_last_length=False)
_PICTURES = Container("image2")

_YUV420 = frozenset({"yuv420p", "yuvj420p"})  # by range, with some decoders
_PRORES = Format(
    name="prores",
    suffix="_alpha.mov",
    description="ProRes 4444 with straight 16-bit alpha, for editors",
    container=_MOV,
    codec="prores_ks",
    written_codec="prores",
    pix_fmt="yuva444p10le",
    content=Content.STRAIGHT,
    colour_policy=ColourPolicy.KEEP_LIMITED,
    opens_in="Premiere, After Effects, Resolve, Final Cut, Nuke, Kdenlive, FFmpeg",
    codec_tag="ap4h",
    compressor="Apple ProRes 4444",
    stands_alone=True,
    # At 2 the mean error (0.1/255 of a 1080p camera clip) is below the rounding of an 8-bit source and the rate
    # (27–35 MB/s at 1080p30) is near Apple's own for 4444 (41 MB/s); 1 takes half as many bytes again.
    quantiser=2,
    codec_options=MappingProxyType({"profile": "4444", "alpha_bits": "16", "vendor": "apl0"}),
    container_options=MappingProxyType({"movflags": "+write_colr"}),
    audio_copy=_MOV_AUDIO,
    audio_codec="pcm_s24le",
    decoded_pix_fmts=frozenset({"yuva444p10le", "yuva444p12le"}),  # FFmpeg decodes 4444 to 12 bits
)
_WEBM = Format(
    name="webm",
    suffix="_alpha.webm",
    description="VP9 with straight alpha, for web pages (Chrome, Edge, Firefox)",
    container=replace(_MATROSKA, muxer="webm"),
    codec="libvpx-vp9",
    written_codec="vp9",
    pix_fmt="yuva420p",
    content=Content.STRAIGHT,
    colour_policy=ColourPolicy.ALWAYS_BT709,
    opens_in="Chrome, Edge, Firefox, OBS, FFmpeg; not Safari",
    # auto-alt-ref=0: libvpx cannot put hidden frames and alpha into one stream. Tiles instead of row-mt: as fast,
    # and the bytes do not depend on the number of threads.
    codec_options=MappingProxyType(
        {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "auto-alt-ref": "0", "tile-columns": "2"}
    ),
    audio_copy=frozenset({"opus", "vorbis"}),
    audio_codec="libopus",
    bit_rate=80_000,
    audio_rate=48_000,
    review_shows_it=True,
    square_pixels=True,
    tags_alpha=True,
)
_GREEN = Format(
    name="green",
    suffix="_green.mp4",
    description="H.264 over chroma-key green (or --background), for editors without alpha",
    container=_MP4,
    codec="libx264",
    written_codec="h264",
    pix_fmt="yuv420p",
    content=Content.COMPOSITE,
    colour_policy=ColourPolicy.KEEP_SDR,
    opens_in="everything that has a chroma key",
    codec_options=_H264,
    container_options=_MP4_OPTIONS,
    audio_copy=_MP4_AUDIO,
    audio_codec="aac",
    bit_rate=96_000,
    decoded_pix_fmts=_YUV420,
    needs_even_size=True,
)
_MATTE = Format(
    name="matte",
    suffix="_matte.mp4",
    description="H.264 with alpha as a grey picture, to be used as a luma matte",
    container=_MP4,
    codec="libx264",
    written_codec="h264",
    pix_fmt="yuv420p",
    content=Content.MATTE,
    colour_policy=ColourPolicy.ALWAYS_BT709,
    opens_in="everything that has a track matte",
    # A matte is data: at 4 soft pixels are off by 0.2 of 255 (4 at most), for twice the bytes of 18 (0.7, 15).
    codec_options=MappingProxyType({**_H264, "crf": "4"}),
    container_options=_MP4_OPTIONS,
    audio_copy=_MP4_AUDIO,
    audio_codec="aac",
    bit_rate=96_000,
    decoded_pix_fmts=_YUV420,
    needs_even_size=True,
)

_GIF = Format(
    name="gif",
    suffix="_alpha.gif",
    description="GIF sticker, 255 colours a picture, hard edges, at most 512 pixels, 50 pictures/s and 60 s, loops",
    container=Container("gif"),
    codec="gif",
    written_codec="gif",
    pix_fmt="pal8",
    content=Content.STRAIGHT,
    colour_policy=ColourPolicy.WEB,
    opens_in="everything",
    premultiplied=False,
    # Every picture whole, with colours of its own.
    codec_options=MappingProxyType({"gifflags": "-offsetting-transdiff", "global_palette": "0"}),
    square_pixels=True,
    clock=100,
    shortest=Fraction(2, 100),  # browsers slow 1/100 s down to 10/100
    long_side=512,
    has_hard_edges=True,
)

_ROWS = (
    _PRORES,
    replace(
        _PRORES,
        name="prores-xq",
        suffix="_xq.mov",
        description="ProRes 4444 XQ: the same with less coding error, for grading",
        codec_tag="ap4x",
        compressor="Apple ProRes 4444 XQ",
        quantiser=1,
        codec_options=MappingProxyType({**_PRORES.codec_options, "profile": "4444xq"}),
    ),
    _WEBM,
    _GREEN,
    replace(
        _GREEN,
        name="blue",
        suffix="_blue.mp4",
        description="H.264 over chroma-key blue, for people in green",
        background="blue",
    ),
    _MATTE,
    replace(
        _GREEN,
        name="fill",
        suffix="_fill.mp4",
        description="H.264 of the foreground colour, extended beyond its edges; its alpha is the matte's file",
        content=Content.FILL,
        opens_in=_MATTE.opens_in,
    ),
    Format(
        name="ffv1",
        suffix="_alpha.mkv",
        description="FFV1 with straight alpha, lossless in the source's own codes and bit depth, for archives",
        container=_MATROSKA,
        codec="ffv1",
        written_codec="ffv1",
        pix_fmt="yuva444p",
        deep_pix_fmt="yuva444p10le",
        content=Content.STRAIGHT,
        colour_policy=ColourPolicy.KEEP,
        opens_in="FFmpeg, VLC, mpv, Shotcut, Kdenlive, Blender",
        # g=1: every picture stands alone. Four slices with checksums, so that one damaged bit costs a quarter picture.
        codec_options=MappingProxyType({"level": "3", "g": "1", "slices": "4", "slicecrc": "1"}),
        # Sound with priming, such as AAC's, would move the pictures: FFmpeg's muxer lets no time be negative.
        audio_copy=frozenset({"flac", "opus", "vorbis"} | _PCM),
        audio_codec="flac",
        square_pixels=True,
    ),
    Format(
        name="qtrle",
        suffix="_rle.mov",
        description="QuickTime Animation, RGB with straight alpha, lossless in 8 bits",
        container=_MOV,
        codec="qtrle",
        written_codec="qtrle",
        pix_fmt="argb",
        content=Content.STRAIGHT,
        colour_policy=ColourPolicy.RGB_SDR,
        opens_in="After Effects, Premiere, Nuke, Resolve, FFmpeg",
        codec_options=MappingProxyType({"g": "1"}),
        container_options=_PRORES.container_options,
        audio_copy=_MOV_AUDIO,
        audio_codec="pcm_s24le",
    ),
    Format(
        name="png",
        suffix="_png",
        description="PNG pictures in a folder, 16-bit RGB with straight alpha, times beside them",
        container=_PICTURES,
        codec="png",
        written_codec="png",
        pix_fmt="rgba64be",
        content=Content.STRAIGHT,
        colour_policy=ColourPolicy.RGB,
        opens_in="everything",
        picture_suffix=".png",
        premultiplied=False,  # as the format's specification has it
        # A third of the default's time for a few per cent more bytes.
        codec_options=MappingProxyType({"pred": "sub", "compression_level": "1"}),
    ),
    Format(
        name="tiff",
        suffix="_tiff",
        description="TIFF pictures in a folder, 16-bit RGB with straight alpha, times beside them",
        container=_PICTURES,
        codec="tiff",
        written_codec="tiff",
        pix_fmt="rgba64le",
        content=Content.STRAIGHT,
        colour_policy=ColourPolicy.RGB,
        opens_in="Photoshop, Affinity, Nuke, After Effects, Resolve, GIMP",
        picture_suffix=".tif",
        premultiplied=False,  # which its ExtraSamples tag says
        codec_options=MappingProxyType({"compression_algo": "deflate"}),
    ),
    Format(
        name="exr",
        suffix="_exr",
        description="OpenEXR pictures in a folder, half float, linear light, premultiplied, times beside them",
        container=_PICTURES,
        codec="exr",
        written_codec="exr",
        pix_fmt="gbrapf32le",
        content=Content.STRAIGHT,
        colour_policy=ColourPolicy.RGB_LINEAR,
        opens_in="Nuke, Fusion, Resolve, Blender, Natron, After Effects",
        picture_suffix=".exr",
        premultiplied=True,
        codec_options=MappingProxyType({"format": "half", "compression": "zip1"}),
        decoded_pix_fmts=frozenset({"gbrapf16le"}),
    ),
    Format(
        name="hevc-alpha",
        suffix="_hevc.mov",
        description="HEVC with straight alpha, for Safari and iPhones",
        container=_MOV,
        codec="libx265",
        written_codec="hevc",
        pix_fmt="yuva420p",
        content=Content.STRAIGHT,
        colour_policy=ColourPolicy.ALWAYS_BT709,
        opens_in="Safari, QuickTime Player, Final Cut, Keynote",
        codec_tag="hvc1",
        codec_options=MappingProxyType(
            {"preset": "medium", "crf": "20", "bf": "0", "x265-params": "log-level=none:pools=none:frame-threads=1"}
        ),
        container_options=_PRORES.container_options,
        audio_copy=_MOV_AUDIO,
        audio_codec="aac",
        bit_rate=96_000,
    ),
    _GIF,
    replace(
        _GIF,
        name="apng",
        suffix="_alpha.apng",
        description="APNG sticker, lossless 8-bit RGB with straight alpha, at most 512 pixels and 60 s, loops",
        container=Container("apng"),
        codec="png",
        written_codec="apng",
        pix_fmt="rgba",
        opens_in="Chrome, Edge, Firefox, Safari, Signal, FFmpeg",
        clock=1000,
        # Blink and Gecko show what would be shown for 10 ms or less for 100 ms, in every kind of animation.
        shortest=Fraction(11, 1000),
        has_hard_edges=False,
        codec_options=MappingProxyType({"pred": "mixed"}),
    ),
    replace(
        _GIF,
        name="webp-anim",
        suffix="_alpha.webp",
        description="WebP sticker, small files, exact straight alpha, at most 512 pixels and 60 s, loops",
        container=Container("webp", is_read_by_us=True),
        codec="libwebp",
        written_codec="webp",
        pix_fmt="bgra",
        opens_in="Chrome, Edge, Firefox, Safari, WhatsApp",
        clock=1000,
        shortest=Fraction(11, 1000),
        has_hard_edges=False,
        codec_options=MappingProxyType({"quality": "80"}),
    ),
)

FORMATS: Mapping[str, Format] = MappingProxyType({row.name: row for row in _ROWS})
"""Every output format by its name."""

PAIRS: Mapping[str, tuple[str, ...]] = MappingProxyType({"fill+matte": ("fill", "matte")})
"""Names that ask for several files, which belong together."""


def get_formats(names: Sequence[str]) -> list[Format]:
    """Return the formats that names ask for, each once, in order; a name may be a pair's, or several with commas.

    Raises:
        OptionError: as `get_format`.
    """
    parts = (part for word in single_names(names) for part in PAIRS.get(word, (word,)))
    return [get_format(name) for name in dict.fromkeys(parts)]


def get_format(name: str) -> Format:
    """Return the output format called `name`.

    Raises:
        OptionError: there is no such format; the message lists the names.
    """
    if name not in FORMATS:
        raise OptionError(unknown_format(name, _ROWS, PAIRS))
    return FORMATS[name]


def format_for_suffix(path: Path) -> Format:
    """Return the format that a file name asks for: the longest suffix that fits, else its extension alone.

    `clip_matte.mp4` is the matte; any other `.mp4` is the composite, which comes first.

    Raises:
        OptionError: no format has this extension; the message lists the suffixes.
    """
    name = path.name.lower()
    for row in _ROWS:
        if name.endswith(row.suffix):
            return row
    for row in _ROWS:
        if row.extension and name.endswith(row.extension):
            return row
    raise OptionError(no_ending(path, _ROWS))

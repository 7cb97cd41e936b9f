"""What a decoded picture says of opacity, and the decoders that let it say so."""

from __future__ import annotations

import re
from typing import Any, cast

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from numpy.typing import NDArray

from birefvideo.colour import FULL_RANGE, code_scale
from birefvideo.frames import Alpha
from birefvideo.planes import bit_depth, plane_array

_ALPHA_DECODERS = {"vp9": "libvpx-vp9", "vp8": "libvpx"}
"""Decoders that give alpha, where FFmpeg's own drops it."""
_PACKED = {
    "rgba": ("u1", 4, 3),
    "bgra": ("u1", 4, 3),
    "argb": ("u1", 4, 0),
    "abgr": ("u1", 4, 0),
    "ya8": ("u1", 2, 1),
    "ya16le": ("<u2", 2, 1),
    "ya16be": (">u2", 2, 1),
    "rgba64le": ("<u2", 4, 3),
    "rgba64be": (">u2", 4, 3),
    "bgra64le": ("<u2", 4, 3),
    "bgra64be": (">u2", 4, 3),
}
"""Sample type, samples a pixel and place of alpha in packed formats. swscale's own alpha is off by a code or more."""


def decoder_with_alpha(stream: VideoStream) -> VideoCodecContext:
    """Return a decoder of a stream that keeps alpha: the stream's own, but for VP8 and VP9."""
    context = stream.codec_context
    name = _ALPHA_DECODERS.get(context.codec.canonical_name)
    if name is None:
        return context
    decoder = cast(VideoCodecContext, av.CodecContext.create(name, "r"))
    decoder.options = dict(context.options)  # the limit on a picture's size
    return decoder


def alpha_mode(stream: VideoStream) -> str:
    """Return what Matroska's AlphaMode says of a stream: '1' for alpha beside the pictures, else mostly ''."""
    return {key.lower(): value for key, value in stream.metadata.items()}.get("alpha_mode", "")


def hides_alpha(stream: VideoStream) -> bool:
    """Return whether a stream has alpha that FFmpeg's own decoder drops."""
    return alpha_mode(stream) == "1" and stream.codec_context.codec.canonical_name in _ALPHA_DECODERS


def has_alpha(picture: av.VideoFrame) -> bool:
    """Return whether a picture has an alpha plane or channel."""
    return any(component.is_alpha for component in picture.format.components)


def alpha_of(picture: av.VideoFrame) -> Alpha | None:
    """Return a picture's alpha, float32 (height, width) in [0, 1], or None where it has none.

    Exact in the layouts that `exact_alpha` reads; of others within three codes of 8 bits.
    """
    if not has_alpha(picture):
        return None
    alpha = exact_alpha(picture)
    if alpha is not None:
        return alpha
    deep = picture.reformat(format="rgba64le", threads=1).to_ndarray()
    return level(deep[..., 3], 16, FULL_RANGE)


def alpha_or_palette(picture: av.VideoFrame) -> Alpha | None:
    """Return a picture's alpha as `alpha_of`, or that of the colours of its palette."""
    if picture.format.has_palette:
        picture = picture.reformat(format="rgba", threads=1)
    return alpha_of(picture)


def unmultiplied(picture: av.VideoFrame) -> av.VideoFrame:
    """Return planar RGB in floats, whose colour is multiplied by alpha, as straight; other pictures as they are."""
    name = picture.format.name
    sample = np.dtype("<f2" if name == "gbrapf16le" else "<f4")
    if name not in ("gbrapf16le", "gbrapf32le"):
        return picture
    straight = picture.reformat(format=name, threads=1)
    straight.make_writable()
    planes: list[NDArray[Any]] = [
        np.ndarray((p.height, p.width), sample, memoryview(p), strides=(p.line_size, sample.itemsize))
        for p in straight.planes
    ]
    alpha = planes[3].astype(np.float32)
    for plane in planes[:3]:
        plane[:] = np.where(alpha > 0, plane / np.where(alpha > 0, alpha, 1), 0)
    return straight


def exact_alpha(picture: av.VideoFrame) -> Alpha | None:
    """Return a picture's alpha, float32 (height, width) in [0, 1], or None where it has none or hides it well.

    Read are packed RGBA and gray with alpha, planar YUV and RGB with alpha in integers, and OpenEXR's floats.
    """
    name = picture.format.name
    if name in _PACKED:
        return _packed_alpha(picture)
    if name in ("gbrapf16le", "gbrapf32le"):  # as OpenEXR has it
        plane, sample = picture.planes[3], np.dtype(f"<f{picture.format.components[3].bits // 8}")
        levels: NDArray[Any] = np.ndarray((plane.height, plane.line_size // sample.itemsize), sample, memoryview(plane))
        alpha: Alpha = levels[:, : plane.width].astype(np.float32)
        np.clip(alpha, 0, 1, out=alpha)
        return alpha
    if name.startswith(("yuva", "gbrap")) and not is_float(picture):
        plain = little_endian(picture)
        return level(plane_array(plain, 3), plain.format.components[-1].bits, FULL_RANGE)
    return None


def luma_matte(picture: av.VideoFrame) -> Alpha:
    """Return the alpha that a grey YUV picture stands for, float32 (height, width) in [0, 1]."""
    return level(plane_array(picture, 0), bit_depth(picture), picture.color_range or 1)


def level(codes: NDArray[Any], bits: int, colour_range: int) -> Alpha:
    """Return luma or alpha codes as levels, 0 to 1."""
    (scale, *_), (offset, *_) = code_scale(colour_range, bits)
    levels: Alpha = (codes.astype(np.float32) - np.float32(offset)) * np.float32(1 / scale)
    np.clip(levels, 0, 1, out=levels)
    return levels


def is_float(picture: av.VideoFrame) -> bool:
    """Return whether a picture's samples are floating-point numbers."""
    return bool(re.search(r"f(16|32)(le|be)$", picture.format.name))


def little_endian(picture: av.VideoFrame) -> av.VideoFrame:
    """Return a picture with its bytes in the order that is read here; itself where they are."""
    name = picture.format.name
    return picture.reformat(format=f"{name[:-2]}le", threads=1) if name.endswith("be") else picture


def _packed_alpha(picture: av.VideoFrame) -> Alpha:
    sample, count, place = _PACKED[picture.format.name]
    dtype, plane = np.dtype(sample), picture.planes[0]
    shape = (plane.height, plane.width, count)
    strides = (plane.line_size, count * dtype.itemsize, dtype.itemsize)
    codes: NDArray[Any] = np.ndarray(shape, dtype, memoryview(plane), strides=strides)
    return level(codes[..., place], dtype.itemsize * 8, FULL_RANGE)

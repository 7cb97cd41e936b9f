"""Pictures as the project hands them on: planar YUV 4:2:0, 4:2:2 or 4:4:4 in 8 or 10 bit, upright, colour-tagged."""

from __future__ import annotations

from dataclasses import replace

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation

from birefvideo.colour import FULL_RANGE, Colour, code_scale, rgb_to_normal, tag
from birefvideo.errors import InputError
from birefvideo.frames import LEFT, Alpha, ChromaSite, Crop, VideoInfo
from birefvideo.media.reading.alpha import alpha_or_palette, has_alpha, unmultiplied
from birefvideo.media.reading.chroma_siting import with_chroma_moved
from birefvideo.planes import plane_array

# FFmpeg's AVColorSpace to swscale's matrices. Between YUV formats of one matrix any entry serves.
_SWS_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_PLANAR = {(2, 2): "yuv420p", (2, 1): "yuv422p", (4, 1): "yuv411p", (4, 4): "yuv410p", (1, 2): "yuv440p"}
"""Planar formats by the luma columns and rows that a chroma sample stands for."""
_ROTATE = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


def has_chroma(source: av.VideoFormat) -> bool:
    """Return whether pictures of a format are YUV: not gray, RGB, a palette or raw sensor data."""
    return not (source.is_rgb or source.is_bayer or source.has_palette or is_gray(source))


def is_gray(source: av.VideoFormat) -> bool:
    """Return whether pictures of a format are luma only, with or without alpha."""
    return not (source.is_rgb or source.is_bayer or source.has_palette) and len(source.components) < 3


def format_depth(source: av.VideoFormat) -> int:
    """Return the bits of a format's deepest component."""
    return max((component.bits for component in source.components), default=8)


def working_format(pix_fmt: str) -> str:
    """Planar YUV format that pictures of `pix_fmt` are handed on in.

    4:2:0, 4:2:2 or 4:4:4 as the source has it (RGB, palettes and gray: 4:4:4), in 8 bit, or 10 bit for anything
    deeper. Alpha is dropped. Whether codes are full range is said by the picture's tag, never by the format's name.
    """
    source = av.VideoFormat(pix_fmt, 64, 64)
    suffix = "10le" if format_depth(source) > 8 else ""
    if not has_chroma(source) or source.chroma_width() == 64:
        return f"yuv444p{suffix}"
    return f"yuv420p{suffix}" if source.chroma_height() < 64 else f"yuv422p{suffix}"


def upright_format(pix_fmt: str, is_turned: bool, site: ChromaSite = LEFT, crop: Crop | None = None) -> str:
    """Return `working_format`, but 4:4:4 where an upright picture's chroma would not lie as `LEFT` has it.

    That is so of other sites, of crops that begin within a chroma sample, and of every turn: chroma on the left comes
    to lie above, below or on the right.
    """
    name = working_format(pix_fmt)
    is_left = site[0] == LEFT[0] and (site[1] == LEFT[1] or "420" not in name)
    splits = crop is not None and (crop.left % 2 or (crop.top % 2 and "420" in name))
    return name if is_left and not is_turned and not splits else whole(name)


def whole(pix_fmt: str) -> str:
    """Return the 4:4:4 of a planar YUV format."""
    return pix_fmt.replace("420", "444").replace("422", "444")


def _subsampling(pix_fmt: str) -> tuple[int, int]:
    """Return how many luma columns and rows a chroma sample stands for."""
    source = av.VideoFormat(pix_fmt, 64, 64)
    return 64 // source.chroma_width(), 64 // source.chroma_height()


def prepare(picture: av.VideoFrame, info: VideoInfo) -> av.VideoFrame:
    """Return a decoded picture as `info` promises it: its format and size, upright, with all four colour tags.

    A picture that is so already, the commonest case, is passed on itself, only tagged.
    """
    if info.is_premultiplied:
        picture = unmultiplied(picture)
    turned = info.quarter_turns % 2 == 1
    width, height = (info.height, info.width) if turned else (info.width, info.height)
    crop = crop_of((picture.width, picture.height), info)
    if crop is not None:
        width, height = crop.whole
    if _needs_conversion(picture, width, height, info):
        picture = _converted(picture, width, height, info)
    if crop is not None:
        picture = _cropped(picture, crop)
    if info.quarter_turns or info.mirrored:
        picture = _turned(picture, info.quarter_turns, info.mirrored)
    tag(picture, info.colour)
    return picture


def crop_of(size: tuple[int, int], info: VideoInfo) -> Crop | None:
    """Return the part to show of a decoded picture of a (width, height)."""
    return info.crop if info.crop is not None and size == info.crop.whole else None


def is_resized(picture: av.VideoFrame, info: VideoInfo) -> bool:
    """Return whether `prepare` brings a decoded picture to another size, because it differs from the first one."""
    size = (picture.height, picture.width) if info.quarter_turns % 2 else (picture.width, picture.height)
    return crop_of((picture.width, picture.height), info) is None and size != (info.width, info.height)


def opacity_of(picture: av.VideoFrame, info: VideoInfo) -> Alpha | None:
    """Return a decoded picture's own opacity as `prepare` returns the picture: cropped, in size and upright.

    None where it is opaque, or its opacity is not to count.
    """
    return upright_opacity(alpha_or_palette(picture) if info.has_alpha else None, picture, info)


def upright_opacity(opacity: Alpha | None, picture: av.VideoFrame, info: VideoInfo) -> Alpha | None:
    """Return an opacity of a decoded picture's size as `opacity_of` does."""
    if opacity is None or opacity.min() >= 1:
        return None
    turned = info.quarter_turns % 2 == 1
    size = (info.height, info.width) if turned else (info.width, info.height)
    crop = crop_of((picture.width, picture.height), info)
    if crop is not None:
        opacity = opacity[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    elif size != (picture.width, picture.height):
        opacity = cv2.resize(opacity, size, interpolation=cv2.INTER_LINEAR)
    opacity = np.rot90(opacity, info.quarter_turns)
    upright: Alpha = np.ascontiguousarray(opacity[:, ::-1] if info.mirrored else opacity)
    return upright


def planar(picture: av.VideoFrame, info: VideoInfo) -> av.VideoFrame:
    """Return a decoded picture in `info`'s depth and range, tagged, but at its own size and not yet turned.

    Its chroma keeps its rows, since it may be of two fields.
    """
    pix_fmt = info.pix_fmt
    if has_chroma(picture.format):
        pix_fmt = _PLANAR.get(_subsampling(picture.format.name), "yuv444p") + info.pix_fmt[7:]
    if info.has_alpha and has_alpha(picture) and pix_fmt.startswith(("yuv420p", "yuv422p", "yuv444p")):
        pix_fmt = pix_fmt.replace("yuv", "yuva")
    info = replace(info, pix_fmt=pix_fmt)
    if _needs_conversion(picture, picture.width, picture.height, info):
        picture = _converted(picture, picture.width, picture.height, info)
        tag(picture, info.colour)
    return picture


def _needs_conversion(picture: av.VideoFrame, width: int, height: int, info: VideoInfo) -> bool:
    is_same = picture.format.name == info.pix_fmt and (picture.width, picture.height) == (width, height)
    return not is_same or _range(picture, info) != info.colour.range


def _range(picture: av.VideoFrame, info: VideoInfo) -> int:
    if picture.format.name.startswith("yuvj") or not (has_chroma(picture.format) or is_gray(picture.format)):
        return FULL_RANGE
    return picture.color_range or info.colour.range


def _converted(picture: av.VideoFrame, width: int, height: int, info: VideoInfo) -> av.VideoFrame:
    if picture.format.has_palette:  # swscale rounds a palette's colours before it converts them
        picture = picture.reformat(format="rgb24", threads=1)
    if not has_chroma(picture.format) and info.bit_depth > 8:
        picture = _in_ten_bits(picture, info)
    size, own = (picture.width, picture.height), _subsampling(picture.format.name)
    is_resized = size != (width, height)
    wanted = whole(info.pix_fmt) if is_resized else info.pix_fmt
    if has_chroma(picture.format) and own not in ((1, 1), _subsampling(wanted)):
        # swscale would take chroma to lie in the middle on one side or the other.
        picture = _reformatted(picture, *size, _PLANAR[own] + wanted[7:], info)
        picture = with_chroma_moved(picture, info.chroma_site, wanted)
    if is_resized or picture.format.name != wanted or _range(picture, info) != info.colour.range:
        picture = _reformatted(picture, width, height, wanted, info)
    return picture if wanted == info.pix_fmt else with_chroma_moved(picture, LEFT, info.pix_fmt)


def _reformatted(picture: av.VideoFrame, width: int, height: int, pix_fmt: str, info: VideoInfo) -> av.VideoFrame:
    matrix = _SWS_MATRIX.get(info.colour.matrix, 1)
    # One thread: with more, swscale garbles the rows where its slices meet.
    try:
        result = picture.reformat(
            width=width,
            height=height,
            format=pix_fmt,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=_range(picture, info),
            dst_color_range=info.colour.range,
            interpolation=Interpolation.BICUBIC,
            threads=1,
        )
    except av.FFmpegError as error:
        kind = f"{picture.format.name} of {picture.width}×{picture.height}"
        raise InputError(
            f"{info.path}: pictures in {kind} cannot be converted ({error.strerror}); export it as H.264 or ProRes"
        ) from error
    tag(result, info.colour)
    return result


def _in_ten_bits(picture: av.VideoFrame, info: VideoInfo) -> av.VideoFrame:
    """RGB, a palette or gray as yuv444p10le, rounded to the nearest code: of 8 bits every code can come back.

    swscale is up to 4 of 1023 codes off here, puts neutral chroma on 511, and widens 8 bits inexactly.
    """
    gray = is_gray(picture.format)
    if format_depth(picture.format) > 8:
        source = picture.reformat(format="gray16le" if gray else "rgb48le", threads=1).to_ndarray()
    else:
        source = picture.reformat(format="gray" if gray else "rgb24", threads=1).to_ndarray() * np.uint16(257)
    if gray:
        # A gray picture's range is its own, so that its codes stay.
        codes = np.rint(source * (1023 / 65535))
        planes = [codes, np.full_like(codes, 512), np.full_like(codes, 512)]
    else:
        scale, offset = code_scale(info.colour.range, 10)
        rows = rgb_to_normal(info.colour.matrix) * scale[:, None] / 65535
        codes = cv2.transform(source, np.column_stack([rows, offset]))
        planes = [np.minimum(codes[..., i], 1023) for i in range(3)]
    result = av.VideoFrame(picture.width, picture.height, "yuv444p10le")
    for index, plane in enumerate(planes):
        plane_array(result, index)[:] = plane
    tag(result, info.colour)
    return result


def _cropped(picture: av.VideoFrame, crop: Crop) -> av.VideoFrame:
    result = av.VideoFrame(crop.width, crop.height, picture.format.name)
    for index in range(3):
        plane, out = plane_array(picture, index), plane_array(result, index)
        across, down = -(-picture.width // plane.shape[1]), -(-picture.height // plane.shape[0])
        top, left = crop.top // down, crop.left // across
        out[:] = plane[top : top + out.shape[0], left : left + out.shape[1]]
    tag(result, Colour(picture.colorspace, picture.color_range, picture.color_primaries, picture.color_trc))
    return result


def _turned(picture: av.VideoFrame, quarter_turns: int, mirrored: bool) -> av.VideoFrame:
    width, height = picture.width, picture.height
    if quarter_turns % 2:
        width, height = height, width
    result = av.VideoFrame(width, height, picture.format.name)
    for index in range(3):
        plane = plane_array(picture, index)
        if quarter_turns:
            plane = cv2.rotate(plane, _ROTATE[quarter_turns])  # np.rot90, five times as fast
        plane_array(result, index)[:] = plane[:, ::-1] if mirrored else plane
    return result

"""From a picture, its foreground and its alpha to the frame that an encoder takes.

Everything stays in the source's YUV codes for as long as it can: nothing passes through RGB, and where alpha is 1 a
code reaches the encoder unchanged unless the output has another matrix, range, depth or gamut than the source.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.colour import BT709, Colour, Values, code_scale, conversion, rgb_to_yuv, same_matrix, shows_alike, tag
from birefvideo.frames import Alpha
from birefvideo.media.writing.conversion import converted
from birefvideo.planes import bit_depth, plane_array, subsampled, to_444

Plane = NDArray[Any]
"""One plane of codes, uint8 or uint16 (height, width)."""
BackgroundCodes: TypeAlias = "tuple[int, int, int] | Sequence[Plane]"
"""What is under a composite: one colour's (Y, U, V) codes, or a picture's three planes."""

_STRIP = 1 << 16
"""Pixels that are blended at a time: what is between codes and codes stays in a core's cache."""


_OPAQUE = np.float32(0.9980393)
"""The least alpha that is 255 in 8 bits: 254.5 / 255, which is rounded to the even code, and a little more."""


def with_alpha_444(
    foreground: av.VideoFrame,
    alpha: Alpha,
    source: Colour,
    target: Colour,
    *,
    premultiplied: bool = False,
    pix_fmt: str = "yuva444p10le",
) -> av.VideoFrame:
    """Return foreground and alpha as 4:4:4 with an alpha plane, for ProRes 4444 and FFV1.

    Args:
        foreground: planar 4:4:4, 8 or 10 bit, in the codes of `source`.
        alpha: float32 (height, width) in [0, 1]; the plane is round(1023 alpha), or round(255 alpha) in 8 bits.
        source: colour of `foreground`.
        target: colour of the result: of the same matrix, in its own range.
        premultiplied: multiply the colour by alpha (over black).
        pix_fmt: yuva444p10le, or yuva444p where the foreground has 8 bits.

    In one range and depth codes are copied, and 8-bit codes multiplied by 4 for 10 bits: both exact.
    """
    height, width = alpha.shape
    frame = av.VideoFrame(width, height, pix_fmt)
    *planes, opacity = _planes(frame)
    depth, depth_out = bit_depth(foreground), bit_depth(frame)
    scale_in, offset_in = code_scale(source.range, depth)
    scale_out, offset_out = code_scale(target.range, depth_out)
    gains = scale_out / scale_in
    offsets = offset_out - gains * offset_in
    for i, (codes, out) in enumerate(zip(_planes(foreground), planes, strict=True)):
        if (source.range, depth) == (target.range, depth_out):
            out[:] = codes
        elif source.range == target.range:
            # Without dtype, NumPy before 2 shifts in the codes' 8 bits and loses the highest.
            np.left_shift(codes, depth_out - depth, out=out, dtype=np.uint16)
        else:
            _affine(codes, gains[i], offsets[i], out)
        if premultiplied:
            for rows in _strips(alpha):
                _blend(out[rows], alpha[rows], offset_out[i], out[rows])
    _affine(alpha, (1 << depth_out) - 1, 0, opacity)
    tag(frame, target)
    return frame


def with_alpha_420(
    picture: av.VideoFrame,
    foreground: av.VideoFrame | None,
    alpha: Alpha,
    source: Colour,
    target: Colour,
    *,
    premultiplied: bool = False,
) -> av.VideoFrame:
    """Return foreground and alpha as 8-bit yuva420p in `target`, for VP9; arguments as for `composite_420`.

    Chroma samples whose four pixels are opaque are the picture's own; the others are the foreground's mean.
    """
    height, width = alpha.shape
    frame = av.VideoFrame(width, height, "yuva420p")
    *planes, opacity = _planes(frame)
    black = rgb_to_yuv((0, 0, 0), target) if premultiplied else None
    _write_420(planes, picture, foreground, alpha, black, source, target)
    _affine(alpha, 255, 0, opacity)
    tag(frame, target)
    return frame


def composite_420(
    picture: av.VideoFrame,
    foreground: av.VideoFrame | None,
    alpha: Alpha,
    background: BackgroundCodes | None,
    source: Colour,
    target: Colour,
) -> av.VideoFrame:
    """Return alpha x foreground + (1 - alpha) x background as 8-bit yuv420p, blended on the codes as editors do.

    Args:
        picture: planar YUV of the source, 8 or 10 bit, in the codes of `source`.
        foreground: planar 4:4:4 of the same depth and codes; None shows the picture itself.
        alpha: float32 (height, width) in [0, 1].
        background: (Y, U, V) codes or planes, 8 bit, in the codes of `target`, the planes as large as the picture's
            in 4:2:0; None leaves the foreground unblended, which fills the picture with its colour.
        source: colour of picture and foreground.
        target: colour of the result, BT.709 or BT.601.

    An odd size is padded to even by repeating the last column or row: libx264 takes no other, and cropping would
    lose picture. Where alpha is 1 and `target` equals an 8-bit 4:2:0 `source`, codes are the picture's own.
    """
    height, width = alpha.shape
    frame, (luma, *chroma) = _even_420(width, height)
    planes = [luma[:height, :width], *chroma]
    _write_420(planes, picture, foreground, alpha, background, source, target)
    _repeat_edge(luma, width, height)
    tag(frame, target)
    return frame


def matte_420(alpha: Alpha, target: Colour = BT709) -> av.VideoFrame:
    """Return alpha, float32 (height, width) in [0, 1], as a grey 8-bit yuv420p frame padded to an even size.

    Alpha 0 and 1 are black and white of `target`'s range: codes 16 and 235 where it is limited.
    """
    height, width = alpha.shape
    frame, (luma, *chroma) = _even_420(width, height)
    scale, offset = code_scale(target.range, 8)
    _affine(alpha, scale[0], offset[0], luma[:height, :width])
    for plane in chroma:
        plane[:] = 128
    _repeat_edge(luma, width, height)
    tag(frame, target)
    return frame


def stretched(frame: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    """Return a planar frame resampled to another size; the frame itself if that is its size."""
    if (frame.width, frame.height) == (width, height):
        return frame
    result = av.VideoFrame(width, height, frame.format.name)
    planes, outs = _planes(frame), _planes(result)
    if outs[1].shape != outs[0].shape:
        # Half-size chroma lies beside the middle of its pixels, which is where a resized plane would have it.
        for codes, out in zip(_planes(to_444(frame))[1:], outs[1:3], strict=True):
            out[:] = subsampled(cv2.resize(codes, (width, height), interpolation=cv2.INTER_CUBIC))
        planes, outs = [planes[0], *planes[3:]], [outs[0], *outs[3:]]
    for codes, out in zip(planes, outs, strict=True):
        cv2.resize(codes, out.shape[::-1], dst=out, interpolation=cv2.INTER_CUBIC)
        if out.itemsize > 1:
            np.minimum(out, (1 << bit_depth(frame)) - 1, out=out)
    tag(result, Colour(frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc))
    return result


def _planes(frame: av.VideoFrame) -> list[Plane]:
    return [plane_array(frame, index) for index in range(len(frame.planes))]


def _strips(alpha: Alpha) -> Iterator[slice]:
    """Yield the rows of a picture, an even number at a time."""
    height, width = alpha.shape
    step = 2 * max(1, _STRIP // width // 2)
    yield from (slice(top, top + step) for top in range(0, height, step))


def _write_420(
    out: Sequence[Plane],
    picture: av.VideoFrame,
    foreground: av.VideoFrame | None,
    alpha: Alpha,
    background: BackgroundCodes | None,
    source: Colour,
    target: Colour,
) -> None:
    """Write 8-bit 4:2:0 codes of the foreground into `out`, in `target`'s colour, blended with a background if any.

    Some rows pass through all steps before the next ones: what is between codes and codes stays in a core's cache.
    """
    if not shows_alike(source, target):
        # Not linear in the codes, so the picture's own chroma planes are of no use.
        picture = foreground = converted(foreground or to_444(picture), source, target)
        source = target
    luma, *own = _planes(picture)
    is_subsampled = own[0].shape == out[1].shape
    if foreground is None and not is_subsampled:
        foreground = to_444(picture)
    wide: list[Plane] = []
    if foreground is not None:
        luma, *wide = _planes(foreground)
    tint = [] if same_matrix(source, target) else wide or _planes(to_444(picture))[1:]
    maps = conversion(source, target, bit_depth(picture))
    is_same = not tint and bit_depth(picture) == 8 and source.range == target.range
    for rows in _strips(alpha):
        halves = slice(rows.start // 2, rows.stop // 2)
        strip = [out[0][rows], out[1][halves], out[2][halves]]
        chroma = [plane[halves] for plane in own] if is_subsampled else []
        if wide:
            chroma = _narrowed([plane[rows] for plane in wide], chroma, alpha[rows])
        codes = [luma[rows], *chroma]
        if not is_same:
            _convert(codes, [plane[rows] for plane in tint], *maps, strip)
            codes = strip
        half = None if background is None else _halve(alpha[rows])
        for i, (plane, written) in enumerate(zip(codes, strip, strict=True)):
            if half is None or background is None:
                written[:] = plane
                continue
            below = background[i]
            part = below if isinstance(below, int) else below[halves if i else rows]
            _blend(plane, half if i else alpha[rows], part, written)


def _narrowed(wide: Sequence[Plane], own: Sequence[Plane], alpha: Alpha) -> list[Plane]:
    """Return full-size chroma as 4:2:0 has it, from `own` 4:2:0 samples, if any, where their four pixels are opaque."""
    if not own:
        return [subsampled(plane) for plane in wide]
    soft = _is_soft(alpha)
    return [_choose(_halve(plane), codes, soft) for plane, codes in zip(wide, own, strict=True)]


def _convert(
    codes: Sequence[Plane], tint: Sequence[Plane], gains: Values, offsets: Values, out: Sequence[Plane]
) -> None:
    """Write 4:2:0 codes in another matrix, which needs full-size U and V as `tint`, or in another range or depth."""
    if not tint:
        for i, (plane, written) in enumerate(zip(codes, out, strict=True)):
            _affine(plane, gains[i, i], offsets[i], written)
        return
    luma, *chroma = codes
    shift = cv2.addWeighted(tint[0], gains[0, 1], tint[1], gains[0, 2], offsets[0], dtype=cv2.CV_32F)
    cv2.addWeighted(luma, gains[0, 0], shift, 1, 0, dst=out[0], dtype=cv2.CV_8U)
    for i in (1, 2):
        cv2.addWeighted(chroma[0], gains[i, 1], chroma[1], gains[i, 2], offsets[i], dst=out[i], dtype=cv2.CV_8U)


def _blend(codes: Plane, weight: Alpha, background: float | Plane, out: Plane) -> None:
    """Write round(weight x codes + (1 - weight) x background) to a plane, exact where the weight is 1."""
    total = codes.astype(np.float32)
    total -= background
    total *= weight
    if isinstance(background, np.ndarray):
        total += background
        background = 0
    _affine(total, 1, background, out)


def _affine(values: Plane | Alpha, gain: float, offset: float, out: Plane) -> None:
    """Write round(gain x values + offset) into a plane, cut at the type's ends."""
    if out.dtype == np.uint8 and offset >= 0:
        cv2.convertScaleAbs(values, out, gain, offset)
    else:
        cv2.addWeighted(values, gain, values, 0, offset, dst=out, dtype=cv2.CV_8U if out.itemsize == 1 else cv2.CV_16U)


def _choose(codes: Plane, otherwise: Plane, mask: Plane) -> Plane:
    """Return `codes` where the mask is set and `otherwise` elsewhere, as a new plane."""
    chosen: Plane = otherwise.copy()
    cv2.copyTo(codes, mask, chosen)
    return chosen


def _even(plane: Plane) -> Plane:
    """Return a plane with its last column and row repeated where its size is odd."""
    height, width = plane.shape
    if height % 2 or width % 2:
        plane = cv2.copyMakeBorder(plane, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return plane


def _halve(plane: Plane) -> Plane:
    """Return the mean of each 2x2 block."""
    plane = _even(plane)
    height, width = plane.shape
    half: Plane = cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return half


def _is_soft(alpha: Alpha) -> Plane:
    """Mark the 2x2 blocks with a pixel whose alpha is not 255 in 8 bits."""
    mask = _even(np.less(alpha, _OPAQUE, order="C").view(np.uint8))
    # Two columns are one number of twice the size: looking at every other one takes NumPy three times as long.
    soft: Plane = ((mask[0::2] | mask[1::2]).view(np.uint16) != 0).view(np.uint8)
    return soft


def _even_420(width: int, height: int) -> tuple[av.VideoFrame, list[Plane]]:
    frame = av.VideoFrame(width + width % 2, height + height % 2, "yuv420p")
    return frame, _planes(frame)


def _repeat_edge(luma: Plane, width: int, height: int) -> None:
    """Fill what `_even_420` added; chroma planes of odd and padded pictures have the same size."""
    luma[:height, width:] = luma[:height, width - 1 : width]
    luma[height:] = luma[height - 1]

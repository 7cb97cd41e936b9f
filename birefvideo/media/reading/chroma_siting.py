"""Where a picture's chroma samples lie among its luma samples, and moving them to where everything here expects them.

A site is (across, down): the place of a chroma sample within the luma samples that it stands for, 0 at the first of
them, 0.5 in the middle, 1 at the last. An axis that is not subsampled has no place to choose.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import av.filter
import cv2
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from birefvideo.colour import Colour
from birefvideo.frames import LEFT, ChromaSite
from birefvideo.planes import Codes, bit_depth, copy_with_tags, plane_array, subsampled

CENTRE: ChromaSite = (0.5, 0.5)
"""Amid its luma samples, as in JPEG and MPEG-1."""
TOP_LEFT: ChromaSite = (0.0, 0.0)
"""On the first of them, as in BT.2020 and DV."""

Weights = NDArray[np.float32]

_BT2020 = frozenset({9, 10})  # matrices
_SIDE = 32
_DOT = 2  # column and row of the only chroma sample that is not 0
_TAGS = "range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
_CORNER = f"max(4,floor(min(iw,{_SIDE})/4)*4):max(4,floor(min(ih,{_SIDE})/4)*4):0:0"
_ONE_DOT = f"lum=128:cb='if(eq(X,{_DOT})*eq(Y,{_DOT}),255,0)':cr=128"
_STRICT = Interpolation.BILINEAR | 0x800  # SWS_STRICT: an error where a tag is missing


def site_of(picture: av.VideoFrame, colour: Colour, *, is_photo: bool = False) -> ChromaSite:
    """Return where a decoded picture's chroma lies: as its decoder says, else as pictures of its kind have it.

    Unsaid, JPEG's is in the middle, and so is that of photos in WebP and AVIF, `is_photo`, which libwebp and libavif
    make and show so; that of HDR in BT.2020 on the first sample (BT.2100 table 9), any other to the
    left (H.264, figure 6-1).
    """
    components = picture.format.components
    if len(components) < 3 or (components[1].width, components[1].height) == (picture.width, picture.height):
        return LEFT
    said = _said_site(picture)
    if said is not None:
        return said
    if is_photo or picture.format.name.startswith("yuvj"):
        return CENTRE
    return TOP_LEFT if colour.matrix in _BT2020 and colour.is_hdr else LEFT


def with_chroma_moved(picture: av.VideoFrame, site: ChromaSite, pix_fmt: str) -> av.VideoFrame:
    """Return planar YUV with its chroma resampled to another subsampling, sited `LEFT`, tags kept; luma is exact.

    Args:
        picture: planar YUV, 8 or 10 bit.
        site: where its chroma lies.
        pix_fmt: yuv420p, yuv422p or yuv444p, of the same depth; of 4:4:4 any, of others none that has fewer samples.
    """
    moved = copy_with_tags(picture, pix_fmt)
    luma = plane_array(picture, 0)
    plane_array(moved, 0)[:] = luma
    peak = (1 << bit_depth(picture)) - 1
    for index in (1, 2):
        chroma, out = plane_array(picture, index), plane_array(moved, index)
        if out.size < chroma.size:
            out[:] = np.minimum(subsampled(chroma, is_halved_down=len(out) < len(chroma)), peak)
            continue
        down, across = (
            _filters(luma.shape[axis], chroma.shape[axis], out.shape[axis], site[1 - axis], LEFT[1 - axis])
            for axis in (0, 1)
        )
        # One axis after the other: OpenCV filters both at once at a third of the speed.
        for row, rows in enumerate(down):
            filtered = rows.applied(chroma, axis=0)
            for column, columns in enumerate(across):
                part = out[row :: len(down), column :: len(across)]
                codes = columns.applied(filtered, axis=1)[: part.shape[0], : part.shape[1]]
                part[:] = np.minimum(codes, peak) if codes.itemsize > 1 else codes
    return moved


@dataclass(frozen=True)
class _Filter:
    """What makes one of several interleaved sets of samples along an axis."""

    weights: Weights
    """Of four samples."""
    anchor: int
    """Which of them has the number of the sample made."""

    def applied(self, codes: Codes, axis: int) -> Codes:
        """Return the samples made, as many as there are."""
        if self.weights[self.anchor] == 1:
            return codes
        kernel = self.weights.reshape((4, 1) if axis == 0 else (1, 4))
        anchor = (0, self.anchor) if axis == 0 else (self.anchor, 0)
        made: Codes = cv2.filter2D(codes, -1, kernel, anchor=anchor, borderType=cv2.BORDER_REPLICATE)
        return made


def _filters(luma: int, length: int, wanted: int, place: float, place_wanted: float) -> list[_Filter]:
    """Return what makes, of `length` samples along an axis, each in turn of the `wanted` ones.

    The weights are those of Catmull-Rom's cubic (Keys 1981); `luma` is the axis's length in luma samples.
    """
    step, step_wanted = (1 << round(np.log2(luma / count)) for count in (length, wanted))
    first = (place_wanted * (step_wanted - 1) - place * (step - 1)) / step
    positions = [first + phase * step_wanted / step for phase in range(step // step_wanted)]
    return [_Filter(_cubic(position % 1), 1 - int(position // 1)) for position in positions]


def _cubic(t: float) -> Weights:
    """Return the weights of the four samples at -1, 0, 1 and 2 for a value at `t` in [0, 1)."""
    weights = [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]
    return np.array([weight / 2 for weight in weights], np.float32)


def _said_site(picture: av.VideoFrame) -> ChromaSite | None:
    """Return the site that the decoder says, or None.

    PyAV does not tell it, but swscale goes by it: so a dot of chroma in a small picture with the same properties is
    enlarged, and its place is looked at.
    """
    try:
        corner = _filtered(picture, ("crop", _CORNER))
        small = _filtered(corner.reformat(format="yuv420p", threads=1), ("setparams", _TAGS), ("geq", _ONE_DOT))
        large = small.reformat(
            format="yuv444p", src_colorspace=1, dst_colorspace=1, src_color_range=1, dst_color_range=1,
            dst_color_trc=1, dst_color_primaries=1, interpolation=_STRICT, threads=1,
        )  # fmt: skip
    except (av.FFmpegError, ValueError):
        return None
    dot = plane_array(large, 1).astype(np.float64)
    rows, columns = np.mgrid[: large.height, : large.width]
    total = max(1.0, float(dot.sum()))
    across, down = (round(2 * float((dot * place).sum()) / total - 4 * _DOT) / 2 for place in (columns, rows))
    return across, down


def _filtered(picture: av.VideoFrame, *filters: tuple[str, str]) -> av.VideoFrame:
    """Return what FFmpeg's filters make of one picture."""
    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(1, 1000)
    )
    graph.link_nodes(source, *(graph.add(*one) for one in filters), graph.add("buffersink")).configure()
    graph.push(picture)
    return cast(av.VideoFrame, graph.pull())

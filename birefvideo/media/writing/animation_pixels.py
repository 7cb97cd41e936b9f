"""A frame as an animation shows it: 8-bit R'G'B'A at its size, hard-edged or with a palette where the format is so."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import av.filter
import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.frames import Alpha

THRESHOLD = 128
"""Alpha code of 255 from which on a GIF's pixel is there."""

# Ordered dithering stays where it is from picture to picture, error diffusion boils. At scale 4 its pattern hardly
# shows on skin and still breaks the bands that a palette without dithering has.
_DITHER = "bayer:bayer_scale=4"

Codes = NDArray[np.uint8]
"""R'G'B'A codes, uint8 (height, width, 4), straight; transparent pixels are 0."""


def scaled(rgb: NDArray[Any], alpha: Alpha, size: tuple[int, int]) -> Codes:
    """Return colour and alpha at (width, height): averaged as premultiplied, so that no hidden colour bleeds in.

    Args:
        rgb: float32 (height, width, 3) in [0, 255], straight.
        alpha: float32 (height, width) in [0, 1].
        size: width and height of the result; where it is the picture's own, values are only rounded.
    """
    if size != alpha.shape[::-1]:
        whole = cv2.resize(np.dstack([rgb * alpha[..., None], alpha]), size, interpolation=cv2.INTER_AREA)
        alpha = whole[..., 3]
        rgb = np.clip(whole[..., :3] / np.maximum(alpha, 1e-6)[..., None], 0, 255)
    codes: Codes = np.rint(np.dstack([rgb, alpha * np.float32(255)])).astype(np.uint8)
    codes[codes[..., 3] == 0] = 0
    return codes


def harden(codes: Codes) -> None:
    """Make every pixel of R'G'B'A codes opaque or empty, in place."""
    codes[codes[..., 3] < THRESHOLD] = 0
    codes[codes[..., 3] > 0, 3] = 255


def paletted(codes: Codes) -> av.VideoFrame:
    """Return a picture as pal8 with the best 255 colours for it, and one that is transparent."""
    height, width = codes.shape[:2]
    graph = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgba"), time_base=Fraction(1))
    split, sink = graph.add("split"), graph.add("buffersink")
    palette = graph.add("palettegen", "stats_mode=single:reserve_transparent=1")
    use = graph.add("paletteuse", f"new=1:alpha_threshold={THRESHOLD}:dither={_DITHER}")
    source.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    picture = av.VideoFrame.from_ndarray(codes, format="rgba")
    picture.pts = 0
    graph.push(picture)
    graph.push(None)
    paletted = graph.pull()
    assert isinstance(paletted, av.VideoFrame), "pictures become pictures"
    return paletted

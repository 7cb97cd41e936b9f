#!/usr/bin/env python
"""Make samples/before_after.jpg: one frame of the talking head, its matte, and the foreground over green.

python scripts/make_readme_picture.py [SECONDS]
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

import birefvideo

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
GREEN = (63, 177, 0)  # BGR
HEIGHT = 300


def main() -> None:
    start = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    frame = next(iter(birefvideo.mattes(SAMPLES / "talking_head.mp4", start=start, end=start + 1)))
    picture, foreground = (
        f.to_ndarray(format="bgr24", src_colorspace="ITU709", threads=1).astype(np.float32)
        for f in (frame.picture, frame.foreground)
    )
    alpha = frame.alpha[..., None]
    composite = foreground * alpha + np.array(GREEN, np.float32) * (1 - alpha)
    row = np.hstack([picture, np.repeat(255 * alpha, 3, axis=2), composite])
    scale = HEIGHT / row.shape[0]
    small = cv2.resize(row, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).round().astype(np.uint8)
    cv2.imwrite(str(SAMPLES / "before_after.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()

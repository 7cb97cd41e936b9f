"""Cut-outs of a few frames at their source's size, kept as files: memory does not grow with models and frames."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.errors import OutputError
from birefvideo.frames import Frame
from birefvideo.matting.network_input import RGB, PictureScaler

RGBA = NDArray[np.uint8]
"""Straight R'G'B' and alpha, uint8 (height, width, 4)."""

_QUICK = (cv2.IMWRITE_PNG_COMPRESSION, 1)


class Cutouts:
    """The source pictures of the frames, and of each row of the comparison their cut-outs, in a folder of ours."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._scaler = PictureScaler()

    def keep_source(self, index: int, picture: Any) -> None:
        """Keep a frame's own picture, planar YUV."""
        self._write(f"source_{index}.png", self._scaler(picture, (picture.width, picture.height))[..., ::-1])

    def keep(self, row: int, index: int, frame: Frame) -> None:
        """Keep a finished frame's foreground and alpha."""
        size = (frame.foreground.width, frame.foreground.height)
        alpha = np.rint(255 * frame.alpha).astype(np.uint8)
        self._write(f"row_{row}_{index}.png", np.dstack([self._scaler(frame.foreground, size)[..., ::-1], alpha]))

    def source(self, index: int) -> RGB:
        """Return a frame's own picture."""
        return np.ascontiguousarray(self._read(f"source_{index}.png")[..., ::-1])

    def cutout(self, row: int, index: int) -> RGBA:
        """Return what a row made of a frame."""
        return np.ascontiguousarray(self._read(f"row_{row}_{index}.png")[..., [2, 1, 0, 3]])

    def _write(self, name: str, picture: NDArray[np.uint8]) -> None:
        data = cv2.imencode(".png", np.ascontiguousarray(picture), _QUICK)[1].tobytes()
        try:
            (self._folder / name).write_bytes(data)
        except OSError as error:
            raise OutputError(
                f"cannot write into the folder for temporary files, {self._folder.parent} ({error.strerror}): "
                "make room there, or set TMPDIR to another folder"
            ) from error

    def _read(self, name: str) -> NDArray[np.uint8]:
        data = np.frombuffer((self._folder / name).read_bytes(), np.uint8)
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8)


def square_size(width: int, height: int, aspect: Fraction, long_side: int) -> tuple[int, int]:
    """Return the (width, height) of a picture in square pixels, of at most `long_side`."""
    wide = float(width * aspect)
    scale = min(1.0, long_side / max(wide, height))
    return max(1, round(wide * scale)), max(1, round(height * scale))


def resized(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Return a picture at (width, height): the mean over areas where it shrinks, else bilinear."""
    shrinks = size[0] < picture.shape[1] or size[1] < picture.shape[0]
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


def resized_cutout(cutout: RGBA, size: tuple[int, int]) -> RGBA:
    """Return a cut-out at another size; what is transparent lends its colour to nothing."""
    alpha = cutout[..., 3:].astype(np.float32) / 255
    colour = resized(cutout[..., :3] * alpha, size)
    small = resized(alpha[..., 0], size)[..., None]
    straight = np.where(small > 0, colour / np.maximum(small, 1e-6), 0)
    codes: RGBA = np.rint(np.clip(np.dstack([straight, 255 * small]), 0, 255)).astype(np.uint8)
    return codes


def over(cutout: RGBA, below: NDArray[np.uint8]) -> RGB:
    """Return a cut-out over a picture of its size, or over one colour of shape (3,): blended on the codes."""
    alpha = cutout[..., 3:].astype(np.float32) / 255
    blended = below.astype(np.float32) + alpha * (cutout[..., :3].astype(np.float32) - below.astype(np.float32))
    codes: RGB = np.rint(blended).astype(np.uint8)
    return codes


def in_grey(cutout: RGBA) -> RGB:
    """Return the alpha of a cut-out as a picture."""
    return np.repeat(cutout[..., 3:], 3, axis=2)

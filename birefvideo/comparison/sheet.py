"""The contact sheet: a row for each frame, a column for the source and for each model, as one picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.comparison.backdrop import PLAIN
from birefvideo.comparison.cutouts import RGBA, in_grey, over, resized, resized_cutout
from birefvideo.comparison.views import View

Canvas = NDArray[np.uint8]
"""R'G'B', uint8 (height, width, 3)."""

LONGEST = 4000
"""Pixels that the sheet measures at most, either way."""
_MOST_PIXELS = 7e6
"""Pixels of all cells together, which bounds the file's size."""
_LARGEST, _SMALLEST = 440, 24
"""Pixels of a cell's longer side."""
_MARGIN, _GAP, _HEAD, _LABEL, _SIDE = 28, 3, 80, 48, 132
_BETWEEN = 18
_PAPER, _INK, _QUIET = (246, 246, 244), (30, 31, 33), (110, 111, 116)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_sheet(title: str, labels: Sequence[str], views: Sequence[View]) -> Canvas:
    """Return the sheet.

    Each block of two by two cells shows a model's alpha, and its cut-out over three colours, the user's background in
    place of the last where there is one. The first column has the source, and where the models differ.

    Args:
        title: what it is called.
        labels: the models' names.
        views: the frames.
    """
    cell = _cell_size(views[0].source.shape, len(labels), len(views))
    block = (2 * cell[0] + _GAP, 2 * cell[1] + _GAP)
    first = (cell[0], block[1])
    width = 2 * _MARGIN + _SIDE + first[0] + len(labels) * (_BETWEEN + block[0])
    height = 2 * _MARGIN + _HEAD + _LABEL + len(views) * (block[1] + _BETWEEN)
    canvas = np.full((height, width, 3), _PAPER, np.uint8)
    _write(canvas, title, (_MARGIN, _MARGIN + 30), 1.2, width - 2 * _MARGIN)
    names = ["alpha", *_below(views[0])]
    key = f"each block: {names[0]}, {names[1]} / {names[2]}, {names[3]}"
    _write(canvas, key, (_MARGIN, _MARGIN + 64), 0.8, width - 2 * _MARGIN, _QUIET)
    left = _MARGIN + _SIDE
    top = _MARGIN + _HEAD + _LABEL
    _write(canvas, "source" if len(labels) < 2 else "source / differences", (left, top - 13), 0.85, first[0])
    for number, label in enumerate(labels):
        _write(canvas, label, (_x(left, first, block, number), top - 13), 1.0, block[0])
    for view in views:
        _write(canvas, _clock(view.seconds), (_MARGIN, top + 26), 0.85, _SIDE - 10)
        if view.why != "spread":
            _write(canvas, f"most {view.why}", (_MARGIN, top + 54), 0.62, _SIDE - 10, _QUIET)
        _put(canvas, resized(view.source, cell), (left, top))
        _put(canvas, resized(view.heat, cell), (left, top + cell[1] + _GAP))
        for number, cutout in enumerate(view.cutouts):
            _put_block(canvas, view, resized_cutout(cutout, cell), (_x(left, first, block, number), top))
        top += block[1] + _BETWEEN
    return canvas


def _x(left: int, first: tuple[int, int], block: tuple[int, int], number: int) -> int:
    return left + first[0] + _BETWEEN + number * (block[0] + _BETWEEN)


def _below(view: View) -> list[str]:
    names = [f"over {name}" for name in PLAIN]
    return names if view.backdrop is None else [*names[:2], "over your background"]


def _put_block(canvas: Canvas, view: View, cutout: RGBA, place: tuple[int, int]) -> None:
    size = (cutout.shape[1], cutout.shape[0])
    below = [np.array(colour, np.uint8) for colour in PLAIN.values()]
    if view.backdrop is not None:
        below[2] = view.backdrop if view.backdrop.ndim == 1 else resized(view.backdrop, size)
    cells = [in_grey(cutout), *(over(cutout, picture) for picture in below)]
    for index, cell in enumerate(cells):
        x = place[0] + (index % 2) * (size[0] + _GAP)
        y = place[1] + (index // 2) * (size[1] + _GAP)
        _put(canvas, cell, (x, y))


def _cell_size(shape: tuple[int, ...], columns: int, rows: int) -> tuple[int, int]:
    """Return the (width, height) of a cell for which the sheet stays within its bounds."""
    height, width = shape[:2]
    across = (LONGEST - 2 * _MARGIN - _SIDE - columns * (_BETWEEN + _GAP)) / (2 * columns + 1)
    down = (LONGEST - 2 * _MARGIN - _HEAD - _LABEL - rows * (_BETWEEN + _GAP)) / (2 * rows)
    longest = max(width, height)
    cells = (2 * columns + 1) * 2 * rows
    area = (_MOST_PIXELS / cells / (width * height)) ** 0.5
    scale = min(across / width, down / height, _LARGEST / longest, area)
    scale = max(scale, min(_SMALLEST / longest, across / width, down / height))
    return max(1, int(width * scale)), max(1, int(height * scale))


def _put(canvas: Canvas, picture: NDArray[np.uint8], place: tuple[int, int]) -> None:
    x, y = place
    height, width = picture.shape[:2]
    canvas[y : y + height, x : x + width] = picture


def _write(
    canvas: Canvas, text: str, place: tuple[int, int], size: float, room: int, colour: tuple[int, int, int] = _INK
) -> None:
    """Write a text as large as fits into its room, then cut."""
    text = text.replace("×", "x").encode("ascii", "replace").decode()  # OpenCV's fonts hold ASCII only
    while size > 0.34 and _length(text, size) > room:
        size -= 0.03
    if _length(text, size) > room:
        while len(text) > 1 and _length(f"{text}..", size) > room:
            text = text[:-1]
        text = f"{text}.."
    cv2.putText(canvas, text, place, _FONT, size, colour, 1, cv2.LINE_AA)


def _length(text: str, size: float) -> int:
    return int(cv2.getTextSize(text, _FONT, size, 1)[0][0])


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:05.2f}"

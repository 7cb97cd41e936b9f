"""Drawing an evaluation: one panel a figure, over time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.errors import OutputError
from birefvideo.scoring.evaluate import METRICS, Evaluation, Metric

Canvas = NDArray[np.uint8]

_WIDTH, _PANEL, _HEAD, _FOOT = 1280, 170, 60, 44
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 30, 34, 14
_INK, _FAINT, _CURVE, _MEAN, _WORST = (40, 40, 40), (225, 225, 225), (180, 110, 30), (120, 170, 60), (40, 40, 210)
_FONT, _SUB = cv2.FONT_HERSHEY_SIMPLEX, 4  # bits of sub-pixel places


def draw(evaluation: Evaluation) -> Canvas:
    """Return the report as a picture, uint8 BGR: a panel for every figure that the evaluation has."""
    shown = [metric for metric in METRICS if evaluation.worst(metric) is not None]
    canvas = np.full((_HEAD + _PANEL * len(shown) + _FOOT, _WIDTH, 3), 255, np.uint8)
    # OpenCV's fonts hold ASCII only.
    names = f"{evaluation.result.name} against {evaluation.truth.name}".encode("ascii", "replace").decode()
    _write(canvas, names, (_LEFT, 26), 0.6)
    size = "x".join(map(str, evaluation.size))
    _write(canvas, f"{len(evaluation.frames)} frames, {size}; smaller is better", (_LEFT, 48), 0.45)
    for row, metric in enumerate(shown):
        top = _HEAD + row * _PANEL
        _draw_panel(canvas[top : top + _PANEL], evaluation, metric)
    _draw_time_axis(canvas, evaluation)
    return canvas


def write_plot(evaluation: Evaluation, path: Path) -> None:
    """Draw the report into a PNG file.

    Raises:
        OutputError: it cannot be written.
    """
    encoded = cv2.imencode(".png", draw(evaluation))[1]
    try:
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise OutputError(
            f"cannot write {path} ({(error.strerror or str(error)).lower()}): choose another name"
        ) from error


def _draw_panel(panel: Canvas, evaluation: Evaluation, metric: Metric) -> None:
    values = evaluation.series(metric)
    worst = evaluation.worst(metric)
    mean = getattr(evaluation.score, metric.name)
    assert worst is not None
    top, step = _scale(max(value for value in values if value is not None))
    for tick in np.arange(0, top + step / 2, step):
        y = _y(tick, top)
        cv2.line(panel, (_LEFT, y), (_WIDTH - _RIGHT, y), _FAINT, 1)
        _write(panel, f"{tick:g}", (_LEFT - 10, y + 4), 0.4, right=True)
    places = _places(evaluation)
    points = [(x, _y(v, top, exact=True)) for x, v in zip(places, values, strict=True) if v is not None]
    for run in _runs(values):
        curve = [(places[i], _y(values[i] or 0.0, top, exact=True)) for i in run]
        if len(curve) == 1:
            cv2.circle(panel, tuple(map(round, curve[0])), 2, _CURVE, -1, cv2.LINE_AA)
        fixed = np.rint(np.array(curve) * (1 << _SUB)).astype(np.int32)
        cv2.polylines(panel, [fixed], False, _CURVE, 1, cv2.LINE_AA, _SUB)
    cv2.line(panel, (_LEFT, _y(mean, top)), (_WIDTH - _RIGHT, _y(mean, top)), _MEAN, 1)
    peak = max(points, key=lambda point: -point[1])
    cv2.circle(panel, (round(peak[0]), round(peak[1])), 4, _WORST, 1, cv2.LINE_AA)
    _write(panel, metric.heading.replace("×", "x ").replace("÷", "/ "), (_LEFT, 22), 0.5)
    found = values[worst] or 0.0
    at = f"at {float(evaluation.times[worst]):.3f} s" if evaluation.times else f"in frame {worst}"
    _write(panel, f"mean {mean:.3g}", (_WIDTH // 2, 22), 0.45, colour=_MEAN)
    _write(panel, f"worst {found:.3g} {at}", (_WIDTH - _RIGHT, 22), 0.45, colour=_WORST, right=True)


def _draw_time_axis(canvas: Canvas, evaluation: Evaluation) -> None:
    first, last = _span(evaluation)
    y = canvas.shape[0] - _FOOT + 18
    if last <= first:
        return
    step = _scale(last - first, steps=8)[1]
    for tick in np.arange(np.ceil(first / step) * step, last + step * 1e-6, step):
        x = round(_LEFT + (tick - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT))
        cv2.line(canvas, (x, y - 14), (x, y - 8), _INK, 1)
        _write(canvas, f"{tick:g}", (x + 4 * len(f"{tick:g}"), y + 6), 0.4, right=True)
    _write(canvas, "seconds" if evaluation.times else "frame", (_WIDTH - _RIGHT, y + 20), 0.4, right=True)


def _span(evaluation: Evaluation) -> tuple[float, float]:
    if evaluation.times is None:
        return 0.0, float(len(evaluation.frames) - 1)
    return float(evaluation.times[0]), float(evaluation.times[-1])


def _places(evaluation: Evaluation) -> list[float]:
    """Column of every frame."""
    first, last = _span(evaluation)
    moments = map(float, evaluation.times or range(len(evaluation.frames)))
    width = _WIDTH - _LEFT - _RIGHT
    return [_LEFT + width * ((moment - first) / (last - first) if last > first else 0.5) for moment in moments]


def _runs(values: list[float | None]) -> list[list[int]]:
    """Return the stretches of frames that have a value."""
    runs: list[list[int]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append(index)
    return [run for run in runs if run]


def _scale(largest: float, steps: int = 3) -> tuple[float, float]:
    """Return the end of an axis, and the round step that divides it into about `steps`, or fewer."""
    if largest <= 0:
        return 1.0, 0.5
    raw = largest / steps
    power = 10.0 ** np.floor(np.log10(raw))
    step = float(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999))
    return float(np.ceil(largest / step - 1e-9)) * step, step


def _y(value: float, top: float, exact: bool = False) -> Any:
    place = _PANEL - _BOTTOM - value / top * (_PANEL - _TOP - _BOTTOM)
    return place if exact else round(place)


def _write(
    canvas: Canvas,
    text: str,
    place: tuple[int, int],
    size: float,
    colour: tuple[int, int, int] = _INK,
    right: bool = False,
) -> None:
    """Write a line of ASCII from, or up to, a place on its baseline."""
    x, y = place
    if right:
        x -= cv2.getTextSize(text, _FONT, size, 1)[0][0]
    cv2.putText(canvas, text, (x, y), _FONT, size, colour, 1, cv2.LINE_AA)

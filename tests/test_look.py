"""One frame with its marks: what a single frame can show of them is shown, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from birefvideo.errors import InputError
from birefvideo.frames import AlphaFrame, DecodedFrame
from birefvideo.jobs.look import Looker
from birefvideo.jobs.options import Options
from birefvideo.media.reading.probe import probe

GetClip = Callable[[str], Path]
AT = 3
"""Number of the frame that is looked at; there are 24 a second."""


class Half:
    """Stands for a loaded model, which finds a subject in the right half."""

    def predictor(self, *, alone: bool) -> Half:
        return self

    def predict(self, frames: Iterable[DecodedFrame]) -> Iterator[AlphaFrame]:
        for frame in frames:
            alpha = np.zeros((frame.picture.height, frame.picture.width), np.float32)
            alpha[:, frame.picture.width // 2 :] = 1
            yield frame.with_alpha(alpha)


def seen(path: Path, *marks: dict[str, Any]) -> Any:
    options = Options(start=AT / 24 - 0.001, marks={"birefvideo_marks": 1, "units": "fraction", "marks": list(marks)})
    model: Any = Half()
    found = Looker(model).look(probe(path), options)
    assert found is not None
    return found.alpha


def test_areas_act_and_what_is_drawn_on_the_frame(clip: GetClip) -> None:
    path = clip("plain")
    plain = seen(path)
    assert (plain[:, :48].max(), plain[:, 48:].min()) == (0, 1)
    kept = seen(path, {"do": "keep", "box": [0, 0, 0.25, 0.5]})
    assert (kept[:32, :24].min(), kept[33:, :48].max(), kept[:, 48:].min()) == (1, 0, 1)
    now = seen(path, {"do": "remove", "box": [0.5, 0, 1, 1], "time": AT / 24})
    assert now.max() == 0
    carried = seen(
        path, {"do": "remove", "polygon": [[0.5, 0], [1, 0], [1, 1], [0.5, 1]], "time": AT / 24, "carry": True}
    )
    assert carried[:, 52:].max() < 0.5


def test_what_needs_the_whole_clip_does_nothing(clip: GetClip) -> None:
    path = clip("plain")
    plain = seen(path)
    for mark in (
        {"do": "remove", "box": [0.5, 0, 1, 1], "time": (AT + 2) / 24},
        {"do": "remove", "stroke": [[0.7, 0.5], [0.8, 0.5]], "width": 0.1, "time": (AT + 2) / 24},
        {"do": "remove", "stroke": [[0.7, 0.5], [0.8, 0.5]], "width": 0.1, "time": 0, "from": AT / 24},
        {"do": "keep", "box": [0, 0, 0.5, 0.5], "from": (AT + 2) / 24},
        {"do": "subject", "point": [0.2, 0.2]},
    ):
        assert np.array_equal(seen(path, mark), plain), mark


def test_a_mark_outside_of_the_picture_is_told(clip: GetClip) -> None:
    with pytest.raises(InputError, match="mark 1"):
        seen(clip("plain"), {"do": "keep", "box": [0.2, 0.2, 0.1, 0.5]})

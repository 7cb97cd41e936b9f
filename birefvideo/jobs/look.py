"""One frame of a clip cut out at once, with what is marked in that very frame: a look before there is a job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from birefvideo.directing.coarse import Picture, coarse_alpha, coarse_picture
from birefvideo.directing.holds import Holds
from birefvideo.directing.marked import Marked
from birefvideo.directing.marks import SUBJECT, Key, Mark, Marks
from birefvideo.directing.masks import directed
from birefvideo.frames import Alpha, AlphaFrame, DecodedFrame, Frame, VideoInfo
from birefvideo.jobs.loaded_model import LoadedModel
from birefvideo.jobs.options import Options
from birefvideo.jobs.placed_marks import placed_marks
from birefvideo.jobs.plan import trimmed_span
from birefvideo.matting.smoother import make_smoother
from birefvideo.media.reading.decode import DecodeReport
from birefvideo.pipeline import matted_frames, spill_light


class Looker:
    """Looks at frames with one network, and remembers what it said of the last one: marks and edges are then quick.

    Args:
        model: the network; of batches of one frame, more would be for nothing.
    """

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._last: tuple[object, AlphaFrame] | None = None

    def look(self, info: VideoInfo, options: Options) -> Frame | None:
        """Return the first frame of the clip's span that `options` want, or None where there is none.

        Of marks those act that a single frame can show: areas, and what is drawn on this frame. Who the subject is,
        mended frames, and what is drawn on others and would be carried to this one, need the whole clip.

        Raises:
            BirefvideoError: the clip, the options or a mark do not allow it.
        """
        span = trimmed_span(info, options.start, options.end)
        marks = placed_marks(info, replace(span, start=None), options)
        matter, spill = _Marking(self, info, marks), spill_light(options.despill, info.colour)
        frames = matted_frames(info, span, matter, make_smoother(0), DecodeReport(), spill, edge=options.edge)
        with closing(frames):
            return next(frames, None)

    def predicted(self, info: VideoInfo, frame: DecodedFrame) -> AlphaFrame:
        """Return a frame with the network's alpha."""
        key = (info, frame.pts)
        if self._last is None or self._last[0] != key:
            (found,) = self._model.predictor(alone=True).predict([frame])
            self._last = key, found
        return self._last[1]


class _Marking:
    """A `Matter` for the first frame of a span alone, which does what is drawn on it to its alpha."""

    def __init__(self, looker: Looker, info: VideoInfo, marks: Marks) -> None:
        self._looker = looker
        self._info = info
        self._marks = marks

    def predict(self, frames: Iterable[DecodedFrame]) -> Iterator[AlphaFrame]:
        """Yield the first of the frames that counts, with its alpha at its picture's size.

        Raises:
            InputError: a mark is drawn on nothing that can be told from what is around it.
        """
        for one in frames:
            if one.core:
                yield self._marked(self._looker.predicted(self._info, one))
                return

    def _marked(self, frame: AlphaFrame) -> AlphaFrame:
        time = (frame.pts - self._info.start) * self._info.time_base
        drawn = [_on_frame(mark, time, frame.duration * frame.time_base) for mark in self._marks.marks]
        marks = replace(self._marks, marks=tuple(mark for mark in drawn if mark is not None), mends=())
        (masks,) = Marked(marks).masks(_OneFrame(frame, time))
        alpha = directed(frame.alpha, masks, frame.picture)
        return replace(frame, alpha=Holds(marks, self._info.start, self._info.time_base).on(alpha, frame.pts))


@dataclass(frozen=True, eq=False)
class _OneFrame:
    """What marks are carried over, for one frame: a `carry.Clip`."""

    frame: AlphaFrame
    time: Fraction

    @property
    def full_size(self) -> tuple[int, int]:
        height, width = self.frame.alpha.shape
        return width, height

    def __len__(self) -> int:
        return 1

    def seconds(self, number: int) -> float:
        return float(self.time)

    def picture(self, number: int) -> Picture:
        return coarse_picture(self.frame.picture)

    def alpha(self, number: int) -> Alpha:
        alpha: Alpha = coarse_alpha(self.frame.alpha).astype(np.float32) / np.float32(255)
        return alpha


def _on_frame(mark: Mark, time: Fraction, length: Fraction) -> Mark | None:
    """Return a mark as it acts on the frame at a time by itself, or None where it does not."""
    if mark.do == SUBJECT or (mark.carry and not mark.acts_at(time)):
        return None
    if not (mark.carry or mark.is_of_one_frame):
        return mark
    start = Fraction(0) if mark.begin is None else mark.begin
    near = [key for key in mark.keys if abs((start if key.time is None else key.time) - time) <= length / 2]
    return replace(mark, keys=(Key(time, near[0].shape),), begin=None, end=None) if near else None

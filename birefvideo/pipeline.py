"""One segment, from file to part files: the generators of the stages joined. Knows both media and model."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol

from birefvideo.colour import Colour, rgb_to_yuv, sdr_colour
from birefvideo.directing.holds import Holds
from birefvideo.frames import AlphaFrame, DecodedFrame, Frame, Span, VideoInfo
from birefvideo.matting.despill import Spill
from birefvideo.matting.edge import Edge, shaped
from birefvideo.matting.flicker import Curve
from birefvideo.matting.foreground import with_foreground
from birefvideo.matting.opacity import with_own_opacity
from birefvideo.matting.pulses import Pulse, Pulses
from birefvideo.matting.second_look import Look
from birefvideo.matting.smoother import Smoother, Smoothing, smoothings
from birefvideo.media.reading.decode import DecodeReport, read_frames
from birefvideo.media.writing.segment_writer import Writer
from birefvideo.prefetch import Fanout, in_parallel, prefetch, thread_count

AS_IT_IS = Edge()
"""An edge that nothing is done to."""
NOTHING_HELD = Holds()
"""Nothing that is marked in a frame."""
AHEAD = 3
"""Frames that may wait between two stages."""
AT_ONCE_LEAST = 3
"""The least of `AT_ONCE`."""
AT_ONCE = thread_count(AT_ONCE_LEAST)
"""Frames that are smoothed and get their foreground at the same time."""


class Matter(Protocol):
    """Gives frames their alpha: a `Predictor`, or what stands in for one."""

    def predict(self, frames: Iterable[DecodedFrame]) -> Iterator[AlphaFrame]:
        """Yield each of `frames`, in order, with its alpha at its picture's size."""


class Looks(Protocol):
    """Judges some frames of a segment: a `SecondLook`, or the `KeptLooks` of an earlier pass."""

    looks: list[Look]
    """In order of their frames."""

    def doubled(self, frames: Iterable[DecodedFrame]) -> Iterator[DecodedFrame]:
        """Yield what is to be predicted."""

    def compared(self, mattes: Iterable[AlphaFrame]) -> Iterator[AlphaFrame]:
        """Yield the frames that go on."""


@dataclass
class SegmentReport:
    """What one segment gave."""

    pts: list[int] = field(default_factory=list)
    """Times of the frames written, in ticks of the clip's time_base."""
    last_duration: int = 0
    """Ticks that the last frame is shown."""
    curve: Curve = field(default_factory=Curve)
    """How much of each picture was foreground, and how steady it was."""
    decode: DecodeReport = field(default_factory=DecodeReport)
    """What the decoder met."""
    looks: list[Look] = field(default_factory=list)
    """How sure the network was of some of the frames."""
    pulses: list[Pulse] = field(default_factory=list)
    """Holes that came and went."""

    def add(self, frame: Frame) -> None:
        """Take note of a finished frame."""
        self.pts.append(frame.pts)
        self.last_duration = frame.duration
        self.curve.add(frame.alpha)


def spill_light(despill: tuple[int, int, int] | str | None, colour: Colour) -> Spill | None:
    """Return the light that `Options.despill` names, as it shows in codes of `colour`."""
    if despill is None or isinstance(despill, str):
        return Spill() if despill else None
    _, u, v = rgb_to_yuv(despill, sdr_colour(colour))  # hues of BT.2020 are within three degrees of BT.709's
    return Spill((u - 128, v - 128))


def finished_frames(
    mattes: Iterable[AlphaFrame],
    smoother: Smoother,
    spill: Spill | None = None,
    edge: Edge = AS_IT_IS,
    holds: Holds = NOTHING_HELD,
) -> Generator[Frame, None, None]:
    """Yield the core frames of predicted ones: smoothed, held, shaped, with foreground and their own opacity taken in.

    Frames are reduced to what smoothing looks at in a thread of its own. What then makes a frame, the search for motion
    first, is done to several at once.
    """

    def finish(smoothing: Smoothing) -> Frame:
        return with_own_opacity(with_foreground(shaped(holds.held(smoothing()), edge), spill))

    works = prefetch(smoothings(mattes, smoother), 1)
    frames = in_parallel(finish, works, AT_ONCE)
    with closing(works), closing(frames):
        yield from frames


def predicted_frames(
    info: VideoInfo,
    span: Span,
    predictor: Matter,
    context: int,
    report: DecodeReport,
    second_look: Looks | None,
) -> Generator[AlphaFrame, None, None]:
    """Return the frames of a span, and of its context, with their alpha: decode and prediction run a little ahead."""
    frames = prefetch(read_frames(info, span, context=context, report=report), AHEAD)
    predicted = predictor.predict(second_look.doubled(frames) if second_look else frames)
    mattes = prefetch(second_look.compared(predicted) if second_look else predicted, AHEAD)
    with closing(frames), closing(mattes):
        yield from mattes


def matted_frames(
    info: VideoInfo,
    span: Span,
    predictor: Matter,
    smoother: Smoother,
    report: DecodeReport,
    spill: Spill | None = None,
    second_look: Looks | None = None,
    edge: Edge = AS_IT_IS,
    holds: Holds = NOTHING_HELD,
) -> Generator[Frame, None, None]:
    """Return the frames of a span with alpha and foreground."""
    mattes = predicted_frames(info, span, predictor, smoother.radius, report, second_look)
    finished = finished_frames(mattes, smoother, spill, edge, holds)
    with closing(mattes), closing(finished):
        yield from finished


def predict_segment(
    info: VideoInfo,
    span: Span,
    predictor: Matter,
    write: Callable[[AlphaFrame], object],
    on_frame: Callable[[], object],
    second_look: Looks | None = None,
) -> SegmentReport:
    """Give the frames of a span their alpha and hand them on to `write`; call `on_frame` after each."""
    report = SegmentReport(looks=second_look.looks if second_look else [])
    mattes = predicted_frames(info, span, predictor, 0, report.decode, second_look)
    with closing(mattes), Fanout([write], AHEAD) as output:
        for frame in mattes:
            output.put(frame)
            report.pts.append(frame.pts)
            report.last_duration = frame.duration
            on_frame()
    return report


def matte_segment(
    info: VideoInfo,
    span: Span,
    predictor: Matter,
    smoother: Smoother,
    writers: Sequence[Writer],
    on_frame: Callable[[], object],
    spill: Spill | None = None,
    second_look: Looks | None = None,
    edge: Edge = AS_IT_IS,
    holds: Holds = NOTHING_HELD,
) -> SegmentReport:
    """Matte one span into open writers; call `on_frame` after each frame. Errors of any stage are raised here."""
    pulses = Pulses()
    report = SegmentReport(looks=second_look.looks if second_look else [], pulses=pulses.found)
    finished = matted_frames(info, span, predictor, smoother, report.decode, spill, second_look, edge, holds)
    with closing(finished), Fanout([writer.write for writer in writers], AHEAD) as outputs:
        for frame in finished:
            outputs.put(frame)
            report.add(frame)
            pulses.add(frame)
            on_frame()
    return report

"""The first pass of a directed job, and what lies between the passes: alpha is kept, and masks are found for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from birefvideo.directing.coarse import CoarseClip
from birefvideo.directing.direct import Direction, Director, direct, is_directed
from birefvideo.directing.marked import Marked
from birefvideo.directing.store import StoredAlpha, StoredSegment, storing
from birefvideo.directing.subject_lock import SubjectLock
from birefvideo.frames import AlphaFrame
from birefvideo.jobs.alpha_cache import ALPHA, COARSE
from birefvideo.jobs.engines import DoSegment, Engine, Made
from birefvideo.jobs.folder import JobFolder
from birefvideo.jobs.part_places import PartPlaces, new_attempt
from birefvideo.jobs.placed_marks import placed_marks
from birefvideo.jobs.plan import Plan, Segment
from birefvideo.jobs.result import Progress
from birefvideo.jobs.segment_work import looks_at, remembering
from birefvideo.jobs.segments import run_segments
from birefvideo.matting.second_look import KeptLooks
from birefvideo.paths import writing
from birefvideo.pipeline import Matter, SegmentReport, predict_segment


@dataclass(frozen=True)
class FirstPass:
    """What the second pass takes from the first one."""

    matter: Matter
    """Gives frames their directed alpha."""
    reports: Sequence[SegmentReport]
    """Of the segments."""
    pts: Sequence[int]
    """Of the frames."""
    direction: Path
    """Where the masks of the frames are kept."""
    notes: list[str]
    """What the user should know of the directions, one line each."""
    reused: int
    """Frames whose alpha an earlier run had kept."""

    def digest(self, segment: Segment, around: int) -> str:
        """Return what tells the masks of a segment's frames, and of some frames around it, from others."""
        first = self._number_of(segment)
        numbers = range(max(0, first - around), first + len(self.reports[segment.number].pts) + around)
        with closing(Direction(self.direction)) as direction:
            digests = [direction.masks(number).digest() for number in numbers if number < len(self.pts)]
        return sha256(b"".join(digests)).hexdigest()

    def _number_of(self, segment: Segment) -> int:
        """Return the number of a segment's first frame."""
        return sum(len(report.pts) for report in self.reports[: segment.number])

    def looks(self, segment: Segment) -> KeptLooks:
        """Return what tells of a segment's frames what the network has said of them."""
        return KeptLooks(self.reports[segment.number].looks)

    def decides(self, segment: Segment, frame: int, place: tuple[float, float]) -> bool:
        """Return whether the masks of one of a segment's frames say what alpha is at a place; see `Masks.decide`."""
        with closing(Direction(self.direction)) as direction:
            return direction.masks(self._number_of(segment) + frame).decide(place)


@dataclass(frozen=True)
class KeepAlpha:
    """The work of the first pass: the network's alpha of each segment, and small pictures."""

    plan: Plan
    """The pass, as `alpha_cache.cache_plan` makes it."""

    def begun(self, predictor: Matter) -> DoSegment:
        """See `Work`."""
        plan, places = self.plan, PartPlaces(self.plan.folder)

        def do(segment: Segment, on_frame: Callable[[], object]) -> Made:
            attempt = new_attempt()
            with ExitStack() as stack:
                stack.enter_context(writing(places.path))
                parts = (places.part(segment, part, attempt) for part in (ALPHA, COARSE))
                write = stack.enter_context(storing(*parts))

                def keep(frame: AlphaFrame) -> None:
                    with writing(places.path):
                        write(frame)

                matter, look = remembering(plan, segment, predictor), looks_at(plan.source, plan.settings)
                report = predict_segment(plan.source, segment.span, matter, keep, on_frame, look)
            return Made(report, attempt)

        return do


def first_pass(
    plan: Plan, kept: Plan, cache: JobFolder, folder: JobFolder, engine: Engine, progress: Progress
) -> FirstPass:
    """Keep the network's alpha of a clip, as far as that is not done, and find the masks of its frames.

    Args:
        plan: the job.
        kept: its first pass; see `alpha_cache.cache_plan`.
        cache: the folder of the first pass.
        folder: the folder of the job.
        engine: does the segments.
        progress: what is told of the work.

    Raises:
        BirefvideoError: the input, the wishes or the machine do not allow it.
    """
    progress.stage(1, 2)
    reports, reused = run_segments(KeepAlpha(kept), cache, engine, progress)
    with_frames = [(s, r) for s, r in zip(kept.segments, reports, strict=True) if r.pts]
    pts = [pts for _, report in with_frames for pts in report.pts]
    if not is_directed(folder.direction, len(pts)):
        info = plan.source
        seconds = [float((time - info.start) * info.time_base) for time in pts]
        files = [cache.part(segment, COARSE) for segment, _ in with_frames]
        with CoarseClip(files, pts, seconds, (info.width, info.height)) as clip, writing(folder.path):
            direct(clip, directors(plan), folder.direction)
    stored = [StoredSegment(cache.part(segment, ALPHA), report.pts) for segment, report in with_frames]
    with closing(Direction(folder.direction)) as direction:
        notes = direction.notes
    progress.stage(2, 2)
    return FirstPass(StoredAlpha(stored, folder.direction), reports, pts, folder.direction, notes, reused)


def directors(plan: Plan) -> list[Director]:
    """Return what makes masks of the wishes that a plan's options hold, in the order in which they act."""
    options, found = plan.options, list[Director]()
    if options.wished_subject is not None or options.people is not None:
        found.append(SubjectLock(options.wished_subject, options.people))
    if options.marked.need_whole_clip:
        found.append(Marked(placed_marks(plan.source, plan.span, options)))
    return found

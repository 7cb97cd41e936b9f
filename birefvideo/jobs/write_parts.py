"""The work that makes the outputs' parts, as it is sent to whoever does the segments of a job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from birefvideo.jobs.engines import DoSegment, Made
from birefvideo.jobs.part_places import PartPlaces, new_attempt
from birefvideo.jobs.placed_marks import holds_of
from birefvideo.jobs.plan import Plan, Segment
from birefvideo.jobs.segment_work import looks_at, remembering, write_parts
from birefvideo.jobs.two_passes import FirstPass
from birefvideo.matting.second_look import settled
from birefvideo.pipeline import Looks, Matter


@dataclass(frozen=True)
class WriteParts:
    """The outputs of a job: its only pass, or its second."""

    plan: Plan
    """The job."""
    first: FirstPass | None
    """What the first pass found, where there was one."""

    def begun(self, predictor: Matter) -> DoSegment:
        """See `Work`.

        Raises:
            InputError: a mark does not go with the clip.
        """
        plan, first, places = self.plan, self.first, PartPlaces(self.plan.folder)
        holds = holds_of(plan.source, plan.span, plan.options, first.pts if first else ())

        def do(segment: Segment, on_frame: Callable[[], object]) -> Made:
            attempt = new_attempt()
            parts = [(target, places.part(segment, target, attempt)) for target in plan.targets]
            matter = first.matter if first else remembering(plan, segment, predictor)
            looks: Looks | None = first.looks(segment) if first else looks_at(plan.source, plan.settings)
            report = write_parts(
                plan.source,
                segment.span,
                parts,
                plan.options,
                matter,
                on_frame,
                second_look=looks,
                holds=holds,
                first=plan.span.start,
            )

            def decides(frame: int, place: tuple[float, float]) -> bool:
                is_masked = first is not None and first.decides(segment, frame, place)
                return is_masked or holds.decide(report.pts[frame], place, (plan.source.height, plan.source.width))

            report.looks = settled(report.looks, decides)
            return Made(report, attempt)

        return do

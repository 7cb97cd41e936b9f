"""The parts of an earlier job, kept beside the network's alpha: what other marks do not reach is taken from there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from birefvideo.jobs.alpha_cache import ALPHA, COARSE
from birefvideo.jobs.arguments import DIRECTIONS
from birefvideo.jobs.folder import JobFolder
from birefvideo.jobs.folder_files import remove_part
from birefvideo.jobs.part_places import new_attempt
from birefvideo.jobs.placed_marks import holds_of
from birefvideo.jobs.plan import Plan, Segment
from birefvideo.jobs.segment_file import is_whole, read_report
from birefvideo.jobs.two_passes import FirstPass
from birefvideo.matting.smoother import make_smoother
from birefvideo.own_files import give_second_name
from birefvideo.paths import writing


class KeptParts:
    """Finds and keeps the parts of segments by all that decides their bytes.

    Args:
        plan: the job.
        folder: its folder.
        cache: the folder of its first pass.
        first: what that gave.
    """

    def __init__(self, plan: Plan, folder: JobFolder, cache: JobFolder, first: FirstPass) -> None:
        self._plan, self._folder, self._cache = plan, folder, cache
        self._first = first
        self._holds = holds_of(plan.source, plan.span, plan.options, first.pts)
        manifest = plan.manifest()
        # These decide a frame's bytes by its masks and by what is held in it, and in no other way.
        options = {name: value for name, value in manifest["options"].items() if name not in DIRECTIONS}
        same = {name: value for name, value in manifest.items() if name not in ("targets", "places")}
        self._same = json.dumps({**same, "options": options}, sort_keys=True)
        self._radius = make_smoother(plan.options.smooth).radius
        self._reports = {segment.number: self._report(segment) for segment in plan.segments}

    def take(self) -> None:
        """Put what an earlier job has made, and this one would make again, among the finished parts of this one.

        Raises:
            OutputError: the disk refuses.
        """
        for segment in self._plan.segments:
            found = read_report(self._reports[segment.number])
            if found is None or self._folder.finished(segment) is not None:
                continue
            report, seals = found
            kept = [self._cache.part(segment, target) for target in self._plan.targets]
            if all(is_whole(part, seals) for part in kept):
                attempt = new_attempt()
                with writing(self._folder.path):
                    for target, part in zip(self._plan.targets, kept, strict=True):
                        give_second_name(part, self._folder.part(segment, target, attempt))
                    self._folder.finish(segment, report, attempt)

    def keep(self) -> list[str]:
        """Move the parts of this job, which needs them no more, into the place of those of an earlier one.

        The outputs are there by now, whatever the disk says of this: where it refuses, return a line that tells so.
        """
        try:
            self._keep()
        except OSError as error:
            why = error.strerror or error
            return [f"{self._cache.path} could not take the outputs' parts ({why}): the next run makes them again"]
        return []

    def _keep(self) -> None:
        for segment in self._plan.segments:
            own = {self._cache.part(segment, target).name for target in (ALPHA, COARSE)}
            for path in self._cache.path.glob(f"part_{segment.number:05d}_*"):
                if path.name not in own:
                    remove_part(path)
            if self._first.reports[segment.number].pts:
                for target in self._plan.targets:
                    self._folder.part(segment, target).replace(self._cache.part(segment, target))
                self._folder.report(segment).replace(self._reports[segment.number])

    def _report(self, segment: Segment) -> Path:
        """Return where the report of a segment is kept: its name says what decides the bytes of its parts."""
        pts = self._first.reports[segment.number].pts
        decides = [
            self._same,
            str((segment.number, segment.span)),
            self._first.digest(segment, self._radius),
            self._holds.acting(pts),
        ]
        digest = hashlib.sha256(json.dumps(decides).encode()).hexdigest()
        return self._cache.path / f"part_{segment.number:05d}_made_{digest[:32]}.json"

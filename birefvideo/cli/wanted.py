"""What a command is to work on: inputs by name, in folders and in lists, now or as they come; and where results go."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from birefvideo.cli.all_inputs import plan_all
from birefvideo.cli.errors import Failures, print_missing
from birefvideo.cli.folders import clips_at
from birefvideo.cli.inputs import Inputs, find_clips
from birefvideo.cli.lists import read_list
from birefvideo.cli.outcomes import REPORT, Outcome, Outcomes, report_place
from birefvideo.cli.parse import path
from birefvideo.cli.watch import Watch
from birefvideo.errors import BirefvideoError, InputError, OptionError, named
from birefvideo.jobs.options import Options
from birefvideo.remote.places import (
    is_read_only,
    is_url,
    job_of,
    out_place,
    place_below,
    place_of,
    place_of_folder,
    url_at,
    url_of,
)
from birefvideo.remote.store import Store

if TYPE_CHECKING:
    from birefvideo.cli.all_inputs import Jobs
    from birefvideo.cli.run_all import Job

NO_REPORT = "none"
"""What the user names in place of a report's file to have none."""
_NO_FOLDER = 2
"""Pieces of a URL that are its scheme alone: 's3:' and ''."""


class Wanted:
    """The inputs that a command names.

    Args:
        inputs: by name.
        files_from: a list of more of them.
        out: where outputs go, as the user has written it.
        recursive: search folders inside folders.
        watch: the inputs are folders that clips come into.
        looks: a preview or a plan is made, and nothing else.

    Raises:
        BirefvideoError: nothing is named, the list cannot be read, or what is named is not what can be watched.
    """

    def __init__(
        self,
        inputs: list[str],
        files_from: Path | None,
        out: str | None,
        *,
        recursive: bool,
        watch: bool,
        looks: bool,
    ) -> None:
        self._inputs = [path(name) for name in inputs if not is_url(name)]
        self._urls = [name for name in inputs if is_url(name)]
        self._recursive, self._watch, self._job = recursive, watch, job_of(out)
        self.out = None if out is None else out_place(out) if is_url(out) else path(out)
        """Where outputs go; None: beside their inputs."""
        self.into = out is not None and out.endswith("/" if is_url(out) else (os.sep, os.altsep or os.sep))
        """Whether that is a folder, whatever its name looks like."""
        if not inputs and files_from is None:
            raise OptionError(f"no input is named: give a clip or a folder, or a list with {named('files_from')}")
        if watch and looks:
            both = f"{named('preview', True)} and {named('plan', True)}"
            raise OptionError(f"{both} look at clips that are there: leave out {named('watch', True)}")
        if watch and (files_from is not None or self._urls or not all(item.is_dir() for item in self._inputs)):
            raise OptionError(f"{named('watch')} waits for clips that come into folders: give folders that exist only")
        self._listed, self._missing = ([], {}) if files_from is None else read_list(files_from, self._job)

    def find(self) -> Inputs:
        """Return the clips that are there; none yet where folders are watched.

        Raises:
            BirefvideoError: as `find_clips`.
        """
        return Inputs({}, {}) if self._watch else self.look()

    def look(self) -> Inputs:
        """Return the clips that are there now.

        Raises:
            BirefvideoError: as `find_clips`.
        """
        elsewhere, unlisted = self._elsewhere()
        found = find_clips(
            self._inputs,
            self.out,
            listed=self._listed,
            elsewhere=elsewhere,
            recursive=self._recursive,
            into=self.into,
        )
        return Inputs(found.clips, {**self._missing, **unlisted, **found.missing})

    def _elsewhere(self) -> tuple[dict[Path, Path], dict[Path, str]]:
        """Return the clips at URLs, and of folders there that hold none a line that says why.

        Raises:
            InputError: nothing here can fetch what one names.
        """
        clips: dict[Path, Path] = {}
        missing: dict[Path, str] = {}
        for url in self._urls:
            if not url.endswith("/"):
                Store(url)  # which is an error where nothing here could fetch it
                clips[place_of(url, self._job)] = Path()
                continue
            top = place_of_folder(url, self._job)
            try:
                for name in clips_at(url, recursive=self._recursive):
                    clips[place_below(top, name, url)] = Path(*name.parent.parts)
            except InputError as error:
                missing[top] = error.for_terminal()
        return clips, missing

    def report(self, wanted: str | None, *, several: bool) -> Path | None:
        """Return where the report goes that the user wants at `wanted`; None where there is to be none."""
        if wanted is not None:
            is_there = is_url(wanted)
            return None if wanted == NO_REPORT else out_place(wanted) if is_there else path(wanted)
        if not several:
            return None
        here = [place for place in (*self._inputs, *self._listed) if url_of(place) is None]
        return report_place(here, self.out) if here or self.out is not None else self._report_elsewhere()

    def _report_elsewhere(self) -> Path | None:
        """Return where the report of inputs goes that all lie at URLs, and their outputs beside them."""
        folders = [place_of_folder(url) if url.endswith("/") else place_of(url).parent for url in self._urls]
        urls = [url_at(folder) for folder in (*folders, *(place.parent for place in self._listed))]
        pieces = zip(*(url.rstrip("/").split("/") for url in urls), strict=False)
        common = [same[0] for same in takewhile(lambda same: len(set(same)) == 1, pieces)]
        if len(common) <= _NO_FOLDER or is_read_only(urls[0]):
            return None
        return place_of_folder("/".join(common)) / REPORT


class Coming:
    """Jobs of clips as they come into watched folders."""

    def __init__(self, wanted: Wanted, to: list[str], options: Options, failures: Failures, outcomes: Outcomes) -> None:
        self._wanted, self._to, self._options = wanted, to, options
        self._failures, self._outcomes = failures, outcomes

    def jobs(self, stop: threading.Event) -> Iterator[Job]:
        """Yield jobs until `stop` is set."""
        known: Jobs = {}
        wanted = self._wanted
        for clips in Watch(wanted.look, self._refused, stop):
            new = plan_all(clips, wanted.out, self._to, self._options, self._failures, into=wanted.into, before=known)
            self._outcomes.add_failed(clips.keys() - new.keys(), self._failures)
            known |= new
            yield from new.items()

    def _refused(self, clip: Path, error: BirefvideoError) -> None:
        line = f"{error.for_terminal()} (it is taken when it has changed)"
        print_missing(clip, line, self._failures.events)
        self._outcomes.add(Outcome(str(clip), "failed", message=line))

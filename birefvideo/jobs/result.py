"""What a job tells while it runs, and what it has made in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from birefvideo.jobs.delivery import Delivery
from birefvideo.jobs.model_identity import ModelIdentity
from birefvideo.jobs.plan import Plan, review_page, timeline_paths
from birefvideo.jobs.progress import FrameProgress
from birefvideo.jobs.receipt import Entry, claims_of, receipt_path
from birefvideo.own_files import size_of


@dataclass
class Progress:
    """Callbacks of a running job; the defaults do nothing."""

    planned: Callable[[Plan, ModelIdentity], object] = lambda plan, model: None
    """Called once before the first frame."""
    frame: Callable[[FrameProgress], object] = lambda progress: None
    """Called after each frame, in each pass; where it returns False, the job is cancelled."""
    resumed: Callable[[int], object] = lambda frames: None
    """Called once, if so, with the number of frames that an earlier run had finished."""
    stage: Callable[[int, int], object] = lambda number, count: None
    """Called before the first frame of each pass of a job that has several, with its number from 1, and how many."""
    told: Callable[[str], object] = lambda line: None
    """Called before the first frame with each line that the user should know of an earlier run."""
    transfer: Callable[[str, Sequence[str], int | None], object] = lambda kind, urls, size: None
    """Called when a clip begins to be fetched, or files to be uploaded ('fetching' or 'uploading'): of which URLs,
    without credentials, and how many bytes, None where that is not known."""
    bytes: Callable[[], object] = lambda: None
    """Called as bytes are fetched or uploaded; what it raises ends that."""
    finishing: Callable[[], object] = lambda: None
    """Called when all frames are done, before the outputs are joined and checked; False cancels the job there."""


@dataclass
class Result:
    """What a job made."""

    outputs: tuple[Path, ...]
    """The files, in the order asked for."""
    frames: int
    """Frames in each."""
    computed: int
    """Those of them that this run computed; an earlier one, which was stopped, had done the rest."""
    seconds: float
    """Wall time."""
    model: str
    """Name of the checkpoint used."""
    device: str
    """Where it ran."""
    warnings: list[str] = field(default_factory=list)
    """What the user should know, one line each."""
    losses: list[str] = field(default_factory=list)
    """Those of the warnings that say what the clip once had and the outputs lack, because it is damaged or cut off."""
    receipts: tuple[Path, ...] = ()
    """The receipts beside the outputs."""
    review: Path | None = None
    """The review page."""
    timelines: tuple[Path, ...] = ()
    """The timeline files for editors."""
    reused: int = 0
    """Frames whose alpha an earlier job had kept, so that the network did not run for them."""
    cache: Path | None = None
    """The folder that keeps the network's alpha for later jobs, where that was asked for."""
    sizes: tuple[int, ...] = ()
    """Bytes of each output."""
    urls: tuple[str, ...] = ()
    """Where everything is that was delivered to URLs, without credentials: outputs, review page, timelines, receipts.
    Then the fields of paths are empty."""
    was_done: bool = False
    """Whether an earlier run had made just this, proven by its receipts, so that nothing was left to do."""


def done_result(plan: Plan, entries: Sequence[Entry], seconds: float, delivery: Delivery) -> Result:
    """Return what an earlier run's receipts say of the outputs that it made."""
    paths = [target.path for target in plan.delivered]
    losses = told(entries, "losses")
    return Result(
        outputs=tuple(paths),
        frames=claims_of(entries[0]).frames or 0,
        computed=0,
        seconds=seconds,
        model=plan.settings["model"],
        device=plan.settings["device"],
        warnings=list(dict.fromkeys([*losses, *told(entries, "warnings")])),
        losses=losses,
        receipts=tuple(dict.fromkeys(map(receipt_path, paths))),
        review=review_page(plan.source.path, plan.targets) if delivery.review else None,
        timelines=timeline_paths(plan.source.path, plan.targets, delivery.timeline),
        sizes=tuple(map(size_of, paths)),
        was_done=True,
    )


def told(entries: Sequence[Entry], what: str) -> list[str]:
    """Return the lines of that kind that any of some receipts' entries has."""
    lists = [entry.get(what) for entry in entries]
    return list(
        dict.fromkeys(line for lines in lists if isinstance(lines, list) for line in lines if isinstance(line, str))
    )

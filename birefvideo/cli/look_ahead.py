"""`birefvideo matte --plan`: what would be done, and what it would take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from birefvideo.cli.errors import Failures
from birefvideo.cli.printing import answer, answer_lines
from birefvideo.cli.report import print_note, short
from birefvideo.remote.places import called

if TYPE_CHECKING:
    from birefvideo.cli.events import Events
    from birefvideo.comparison.outlook import Outlook
    from birefvideo.jobs.delivery import Delivery
    from birefvideo.jobs.engine_wish import EngineWish
    from birefvideo.jobs.options import Options
    from birefvideo.jobs.plan import Target


def look_ahead(
    jobs: Mapping[Path, Sequence[Target]],
    options: Options,
    failures: Failures,
    delivery: Delivery,
    engine: EngineWish,
) -> None:
    """Tell of one job after another what it would do; an error of one stops no other."""
    from birefvideo.comparison.outlook import outlook
    from birefvideo.jobs.elsewhere import size_in, to_fetch, urls_in_errors
    from birefvideo.jobs.loaded_model import LastModel

    load = LastModel()
    for clip, targets in jobs.items():
        with failures.caught(clip), urls_in_errors():
            if (wanted := to_fetch(clip)) is not None:
                _tell_of_fetching(clip, size_in(wanted), targets, failures.events)
                continue
            found = outlook(clip, targets, options, delivery, load=load)
            if failures.events is not None:
                for note in found.notes:
                    failures.events.warned(clip, note)
                failures.events.say("plan", clip, is_last=True, **asdict(engine), **found.as_dict())
            if failures.events is None or failures.events.on_stderr:
                answer_lines(_lines(clip, found, engine))
                for note in found.notes:
                    print_note(note, indent="  ")


def _tell_of_fetching(clip: Path, size: int | None, targets: Sequence[Target], events: Events | None) -> None:
    """Tell what would be fetched first; what comes after depends on what it is."""
    from birefvideo.jobs.disk import free_at, size_in_words

    free = free_at(clip)
    outputs = [{"path": str(target.path), "format": target.format.name} for target in targets]
    if events is not None:
        events.say("plan", clip, is_last=True, fetch={"bytes": size, "free": free}, outputs=outputs)
    if events is None or events.on_stderr:
        answer(f"{called(clip)}: {'size unknown' if size is None else size_in_words(size)} would be fetched first")
        for target in targets:
            answer(f"  {short(target.path)}  {target.format.name}")
        answer(f"  disk: {size_in_words(free)} free for it; the rest is known when it is here")


def _lines(clip: Path, found: Outlook, engine: EngineWish) -> Iterator[str]:
    from birefvideo.advice.advise import duration
    from birefvideo.jobs.disk import size_in_words

    plan, settings, disk = found.plan, found.plan.settings, found.disk
    why = f" ({found.why_model})" if found.why_model else ""
    width, height = settings["size"]
    yield (
        f"{clip.name}: {plan.source.width}×{plan.source.height}; model {settings['model']}{why} at {width}×{height} "
        f"on {settings['device']}, {settings['dtype']}"
    )
    sizes = [""] * len(plan.targets) if disk is None else [f"about {size_in_words(size)}" for size in disk.outputs]
    longest = max(len(short(target.path)) for target in plan.targets)
    for target, size in zip(plan.targets, sizes, strict=True):
        yield f"  {short(target.path):{longest}}  {target.format.name:9} {size:>14}".rstrip()
    if found.was_done or disk is None or found.trial is None:
        yield "  done already, by its receipts: a run would do nothing"
        return
    if engine.engine != "local":
        yield f"  engine: {engine}; model, device and time below are those of this machine"
    done = f", {found.segments_done} of them there from an earlier run" if found.segments_done else ""
    yield f"  {len(plan.segments)} segments{done}, in {short(plan.folder)}"
    if disk.alpha:
        yield f"  two passes, with about {size_in_words(disk.alpha)} of the network's alpha kept in between"
    if found.alpha_done:
        yield f"  the network's alpha of {found.alpha_done} frames is there from an earlier run"
    if disk.stays:
        yield f"  about {size_in_words(disk.stays)} stay beside the outputs for the next run"
    pace = f"{found.trial.seconds:.2g} s a frame, by {found.trial.frames} frames in a row"
    if found.seconds is None:
        yield f"  time: {pace}; how many there are is not known"
    else:
        yield f"  time: about {duration(found.seconds)} for {found.frames_left} frames ({pace})"
    yield f"  disk: about {size_in_words(disk.needed)} needed, {size_in_words(disk.free)} free"

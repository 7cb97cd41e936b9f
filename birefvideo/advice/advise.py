"""Advice on a clip: what the picture asks for, what of that is on this machine, and what it would take to get it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from birefvideo.advice.look import look
from birefvideo.advice.measures import Measures, measured, summary
from birefvideo.advice.rules import RULES, reason_for, rule_for, what_would_change, why_unfit
from birefvideo.errors import ModelError
from birefvideo.family import checkpoints
from birefvideo.family.costs import Cost, cost_of
from birefvideo.family.hub import stored
from birefvideo.family.variants import EMBEDDED, VARIANTS, Variant
from birefvideo.frames import Span, VideoInfo
from birefvideo.matting.devices import Device
from birefvideo.matting.engine import Engine
from birefvideo.matting.forks import about_to_compute
from birefvideo.matting.network_input import PictureScaler
from birefvideo.matting.predict import Predictor
from birefvideo.memory import allowed_memory

LONGEST_RUN = 30 * 60
"""Seconds that a run on a device without the speed for large networks may take to count as practical."""
_LINE = 50e6 / 8
"""Bytes a second of the connection that the time of a download is told for."""


@dataclass(frozen=True)
class Advice:
    """Which variant to use for a clip, and why."""

    source: str
    """Name of the clip."""
    choice: str
    """The variant to use now: the best of those that are here, that this device can run and whose licence allows it."""
    best: str
    """The variant that the picture asks for, be it here or not."""
    rule: str
    """Name of the rule that holds, see `rules.RULES`."""
    reason: str
    """Why, in one line."""
    why_not_best: str
    """Why `choice` is not `best`, or ''."""
    talk_unfit: str
    """Why the embedded model is not made for this picture, or ''."""
    changes: tuple[str, ...]
    """What would change the advice, the nearest first."""
    get: str
    """The command that fetches `best`, where it is not here and can be fetched; else ''."""
    get_note: str
    """What fetching takes: size and time, or what must be done before; '' where nothing is known."""
    device: str
    """What would compute."""
    frames: int
    """Frames of the whole run; 0 where unknown."""
    seconds: float | None
    """Seconds that a run with `choice` takes here; None where that was not measured."""
    measures: Measures
    """What was measured."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**asdict(self), "changes": list(self.changes), "measures": self.measures.as_dict()}


def advise_on(info: VideoInfo, span: Span, device: Device, *, commercial: bool = False) -> Advice:
    """Return the advice for a part of a clip on a device.

    Args:
        info: the clip.
        span: what of it is looked at.
        device: what would compute.
        commercial: leave out weights whose licence forbids commercial use, or that nobody states a licence of.

    Raises:
        BirefvideoError: no frame can be decoded, or the device has no memory for one.
    """
    return advice_from(summary(list(measures_of(info, span, device))), info, span, device, commercial=commercial)


def measures_of(info: VideoInfo, span: Span, device: Device) -> Iterator[Measures]:
    """Yield what is measured on each frame of `look`, with the embedded model's matte of it.

    Raises:
        BirefvideoError: no frame can be decoded, or the device has no memory for one.
    """
    about_to_compute()
    embedded = checkpoints.find(EMBEDDED)
    engine = Engine(checkpoints.load(embedded), embedded.size, device)
    scaler = PictureScaler()
    try:
        for seen in look(info, span):
            (frame,) = Predictor(engine, 1, alone=True).predict([seen.frame])
            rgb = scaler(frame.picture, (frame.picture.width, frame.picture.height))
            yield measured(rgb, frame.alpha, seen.flow, frame.opacity)
    finally:
        engine.give_back()


def advice_from(measures: Measures, info: VideoInfo, span: Span, device: Device, *, commercial: bool = False) -> Advice:
    """Return the advice that follows from measures: no picture is looked at."""
    rule, frames = rule_for(measures), frames_of(info, span)
    best = next(name for name in (rule.model, *rule.next_best) if _is_allowed(VARIANTS[name], commercial))
    why = {name: _why_not(VARIANTS[name], device, frames, commercial) for name in (best, *rule.next_best)}
    choice = next((name for name, reason in why.items() if not reason), EMBEDDED)
    cost = cost_of(VARIANTS[choice], device)
    get, note = _how_to_get(VARIANTS[best], cost_of(VARIANTS[best], device)) if why[best] == _NOT_HERE else ("", "")
    return Advice(
        source=info.path.name,
        choice=choice,
        best=best,
        rule=rule.name,
        reason=reason_for(rule, measures),
        why_not_best=why[best],
        talk_unfit=why_unfit(measures),
        changes=tuple(what_would_change(rule, measures)),
        get=get,
        get_note=note,
        device=device.name,
        frames=frames,
        seconds=None if cost.seconds is None or not frames else cost.seconds * frames,
        measures=measures,
    )


def candidates(info: VideoInfo, span: Span, device: Device, *, commercial: bool = False) -> list[str]:
    """Return the variants that advice could choose here and now, the embedded one first; nothing is measured."""
    frames = frames_of(info, span)
    others = [name for name in VARIANTS if name != EMBEDDED and name in _ADVISED]
    return [EMBEDDED, *(name for name in others if not _why_not(VARIANTS[name], device, frames, commercial))]


def frames_of(info: VideoInfo, span: Span) -> int:
    """Return how many frames a part of a clip has, about; 0 where nothing says."""
    if info.still:
        return 1
    if span == Span() and info.frame_count:
        return info.frame_count
    first = info.start if span.start is None else span.start
    last = info.start + math.ceil(info.duration / info.time_base)
    last = last if span.end is None else min(last, span.end)
    return max(0, round((last - first) * info.time_base * info.rate))


_NOT_HERE = "its weights are not on this machine"


def _is_allowed(row: Variant, commercial: bool) -> bool:
    return not commercial or row.licence not in ("", "non-commercial")


def _why_not(row: Variant, device: Device, frames: int, commercial: bool) -> str:
    """Return why a variant cannot be used now, or ''."""
    if not _is_allowed(row, commercial):
        return f"its licence ({row.licence or 'not stated'}) does not allow commercial use"
    try:
        if stored(row) is None:
            return _NOT_HERE
    except ModelError as error:
        return error.message
    if row.embedded:
        return ""
    cost = cost_of(row, device)
    free = device.backend().free_memory() if device.runs_large_models else allowed_memory()
    if cost.memory and free is not None and cost.memory > free:
        return f"it takes {cost.memory / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB may be used"
    return _why_slow(cost, device, frames)


def _why_slow(cost: Cost, device: Device, frames: int) -> str:
    if device.runs_large_models:
        return ""
    if cost.seconds is None:
        return f"it is large, and how fast {device.name} runs it was not measured"
    if cost.seconds * max(frames, 1) > LONGEST_RUN:
        return f"it would take {duration(cost.seconds * max(frames, 1))} on {device.name}"
    return ""


def _how_to_get(row: Variant, cost: Cost) -> tuple[str, str]:
    """Return the command that fetches a variant, and what that takes."""
    if not row.hub_id:
        return "", f"{row.name} is {row.access}"
    note = row.access
    if cost.download:
        low, high = cost.download
        time = f"{duration(low / _LINE).removesuffix(' min')} to {duration(high / _LINE)} at 50 Mbit/s"
        note = "; ".join(filter(None, (f"{low / 1e9:.1f} to {high / 1e9:.1f} GB, {time}", note)))
    return f"birefvideo models --download {row.name}", note


def duration(seconds: float) -> str:
    """Return a length of time in words, e.g. '12 min'."""
    if seconds < 55:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


_ADVISED = frozenset(name for rule in RULES for name in (rule.model, *rule.next_best))
"""Variants that a rule names."""

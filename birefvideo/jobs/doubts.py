"""Where a job's matte is probably wrong, in words and as frames to look at: second looks, and holes that pulse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from birefvideo.errors import named
from birefvideo.family.variants import VARIANTS
from birefvideo.frames import VideoInfo
from birefvideo.matting.flicker import Suspect
from birefvideo.matting.second_look import APART, UNSURE, Look
from birefvideo.media.clip_notes import clock
from birefvideo.pipeline import SegmentReport

LEAST_COVERAGE = 0.002
"""Share of the picture under which a clip counts as having nobody in it."""
_MOST_UNSURE = 0.5
"""Doubt, in parts of the subject, from which on the subject itself is in doubt."""
_ONE_STRETCH = 48
"""Frames between two holes up to which they are told as one stretch."""
_MOST_TOLD = 3
"""Stretches that are named one by one."""


@dataclass(frozen=True)
class Doubt:
    """Frames in a row whose matte is probably wrong."""

    first: int
    """Number of the first frame in the job."""
    last: int
    """Number of the last one."""
    kind: str
    """'unsure', 'apart' or 'hole'."""
    share: float
    """Share of the picture in question, at its largest."""
    place: tuple[float, float]
    """Where it is then, (across, down) in parts of the picture."""


def find_doubts(reports: Sequence[SegmentReport]) -> list[Doubt]:
    """Return where something is wrong, in order: two looks in a row say so, or one where there is no other; holes."""
    looks = _numbered(reports)
    count = sum(len(report.pts) for report in reports)
    unsure = [(look.unsure, look.place) if look.unsure >= UNSURE else None for _, look in looks]
    apart = [(look.apart, look.apart_at) if look.apart >= APART else None for _, look in looks]
    found: list[Doubt] = []
    for kind, marks in (("unsure", unsure), ("apart", apart)):
        for start, end in _runs([mark is not None for mark in marks]):
            if end - start < min(2, len(looks)):
                continue
            last = looks[end][0] - 1 if end < len(looks) else count - 1
            share, place = max(mark for mark in marks[start:end] if mark is not None)
            found.append(Doubt(looks[start][0], last, kind, share, place))
    return sorted([*found, *_holes(reports)], key=lambda doubt: doubt.first)


def doubtful_frames(doubts: Sequence[Doubt]) -> list[Suspect]:
    """Return the first frame of each stretch as one to look at."""
    return [Suspect(doubt.first, doubt.kind) for doubt in doubts]


def doubt_lines(info: VideoInfo, reports: Sequence[SegmentReport], model: str) -> Iterator[str]:
    """Say what is probably wrong with a job's matte, one line each."""
    row = VARIANTS.get(model)
    other = named("model", "general") if row and row.embedded else f"another {named('model')}"
    if max(share for report in reports for share in report.curve.coverage) < LEAST_COVERAGE:
        yield f"{model} found no person in this clip: for other subjects try {other}"
        return
    doubts = find_doubts(reports)
    looks = [look for _, look in _numbered(reports)]
    is_unsure = any(doubt.kind == "unsure" for doubt in doubts)
    if is_unsure and fmean(look.unsure for look in looks) > _MOST_UNSURE * fmean(look.subject for look in looks):
        yield f"{model} is not sure that there is a person in this clip: look at the result, and try {other}"
        return
    pts = [pts for report in reports for pts in report.pts]
    for doubt in doubts[:_MOST_TOLD]:
        yield f"{_when(info, pts, doubt)}: {what_is_wrong(doubt)}; look at it, and try {other}"
    if len(doubts) > _MOST_TOLD:
        yield f"{len(doubts) - _MOST_TOLD} more stretches are in doubt: {named('review')} makes a page that shows them"


def _numbered(reports: Sequence[SegmentReport]) -> list[tuple[int, Look]]:
    """Return every look with its frame's number in the job."""
    found, first = [], 0
    for report in reports:
        found += [(first + look.frame, look) for look in report.looks]
        first += len(report.pts)
    return found


def _holes(reports: Sequence[SegmentReport]) -> list[Doubt]:
    """Return the stretches in which holes come and go."""
    found: list[Doubt] = []
    start = 0
    for report in reports:
        for pulse in report.pulses:
            hole = Doubt(start + pulse.first, start + pulse.last, "hole", pulse.share, pulse.place)
            if found and hole.first - found[-1].last <= _ONE_STRETCH:
                before = found.pop()
                worse = max(before, hole, key=lambda one: one.share)
                hole = Doubt(min(before.first, hole.first), hole.last, "hole", worse.share, worse.place)
            found.append(hole)
        start += len(report.pts)
    return found


def _runs(marks: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Yield (first, one after the last) of every run of true marks."""
    edges = [index for index in range(len(marks) + 1) if _at(marks, index) != _at(marks, index - 1)]
    yield from zip(edges[::2], edges[1::2], strict=True)


def _at(marks: Sequence[bool], index: int) -> bool:
    return 0 <= index < len(marks) and marks[index]


def _when(info: VideoInfo, pts: Sequence[int], doubt: Doubt) -> str:
    if info.still:
        return "the picture"
    return f"frames {doubt.first}–{doubt.last} ({clock(info, pts[doubt.first])} to {clock(info, pts[doubt.last])})"


def what_is_wrong(doubt: Doubt) -> str:
    """Return what a stretch is doubted for, and where in the picture."""
    share = f"{100 * doubt.share:.0f} % of the picture" if doubt.share >= 0.01 else "a small part"
    if doubt.kind == "hole":
        return f"a hole comes and goes in the person, {_region(doubt.place)} ({share})"
    if doubt.kind == "apart":
        return f"a piece of the matte stands apart from the subject, {_region(doubt.place)} ({share})"
    return (
        f"the matte is probably wrong {_region(doubt.place)} ({share}): something beside the subject is taken along, "
        "or a part of it is missing"
    )


def _region(place: tuple[float, float]) -> str:
    across, down = place
    column = "left" if across < 1 / 3 else "right" if across > 2 / 3 else ""
    row = "upper" if down < 1 / 3 else "lower" if down > 2 / 3 else ""
    if row and column:
        return f"at the {row} {column}"
    if row:
        return f"in the {row} part"
    return f"at the {column}" if column else "in the middle"

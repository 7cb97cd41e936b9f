"""Comparing models on a few frames of a clip: every model that is here, with pictures, times and a recommendation."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from math import prod
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from birefvideo.advice.advise import Advice, advise_on, duration, frames_of
from birefvideo.advice.look import Seen
from birefvideo.advice.rules import RULES
from birefvideo.comparison.backdrop import Backdrop, backdrop_of
from birefvideo.comparison.choices import Absent, LeftOut, Wish, absent, wishes
from birefvideo.comparison.command import matte_command
from birefvideo.comparison.cutouts import Cutouts
from birefvideo.comparison.mattes import FRAMES, Row, TooSlowError, chosen_frames, matted_row
from birefvideo.comparison.page import Words, render_page
from birefvideo.comparison.places import check_places, deliver, place_of
from birefvideo.comparison.sheet import draw_sheet
from birefvideo.comparison.views import View, close_ups, views_of
from birefvideo.errors import BirefvideoError, ModelError, named
from birefvideo.family.variants import EMBEDDED
from birefvideo.frames import Span, VideoInfo
from birefvideo.hints import possible_path
from birefvideo.jobs.limits import check_pictures_fit
from birefvideo.jobs.loaded_model import LoadedModel
from birefvideo.jobs.option_values import Time
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import as_asked, trimmed_span
from birefvideo.matting.devices import find_device
from birefvideo.media.forms import COMPARE_SHEET
from birefvideo.media.reading.probe import probe
from birefvideo.media.writing.background import check_background

if TYPE_CHECKING:
    import torch

    from birefvideo.media.writing.background import Background

LIMIT = 600.0
"""Seconds after which no further model is begun, where the user names none."""
SHEET, PAGE = COMPARE_SHEET, "_compare.html"
"""What is appended to the input's stem."""


@dataclass
class Progress:
    """Callbacks of a comparison; the defaults do nothing."""

    planned: Callable[[Sequence[Wish], int, float | None], object] = lambda wanted, frames, limit: None
    """Called once with what is compared, the number of frames, and the seconds allowed, if any."""
    row: Callable[[Wish], object] = lambda wish: None
    """Called before each model."""
    frame: Callable[[], object] = lambda: None
    """Called after each matte."""


@dataclass(frozen=True)
class Comparison:
    """What was found out about models on a clip, and where it is shown."""

    source: str
    """Name of the clip."""
    sheet: Path
    """The contact sheet."""
    page: Path
    """The page."""
    frames: tuple[float, ...]
    """Times of the frames that were looked at, in seconds from the clip's first."""
    device: str
    """What computed."""
    rows: tuple[Row, ...]
    """The models, each at its sizes."""
    recommended: str
    """Label of the row to take; '' where nothing speaks for one of them."""
    reason: str
    """Why."""
    changes: tuple[str, ...]
    """What would change that, the nearest first."""
    command: str
    """What to run next."""
    left_out: tuple[LeftOut, ...] = ()
    """Models that were asked for or are here, and were not compared."""
    missing: tuple[Absent, ...] = ()
    """Models of the family that are not on this machine."""
    run_seconds: tuple[float | None, ...] = field(default=())
    """How long a run of the whole clip takes the network, one a row; None where the clip's length is unknown."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**asdict(self), "sheet": str(self.sheet), "page": str(self.page)}


def compare(
    source: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    models: Sequence[str | PathLike[str]] | None = None,
    sizes: Sequence[int | tuple[int, int] | str] | None = None,
    frames: int = FRAMES,
    background: Background | str | None = None,
    start: Time | None = None,
    end: Time | None = None,
    device: str | torch.device = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Matte a few frames with several models, and write a sheet and a page that show them, as `birefvideo compare`.

    Args:
        source: a video, or pictures: one, a folder of numbered ones, or a pattern such as 'frames/%05d.png'.
        out: the folder to write into; None: beside the source.
        models: names, hub ids, checkpoint folders or weights files; None: all that are on this machine, as far as ten
            minutes suffice for them.
        sizes: what the network sees, each as `Options.size`; None: each model's own.
        frames: how many frames to look at, 1 to 12.
        background: what else to put under the cut-outs: a colour, a picture or a video.
        start: begin here, as `Options.start`.
        end: end here.
        device: what computes: 'auto', 'cpu', 'cuda', ….
        overwrite: replace files that exist.
        progress: what is called meanwhile.

    Raises:
        BirefvideoError: its one line says what is wrong and what to do; nothing is left under the final names.
    """
    path = possible_path(source)
    chosen: dict[str, Any] = {} if background is None else {"background": background}
    options = Options(start=start, end=end, device=device, **chosen)
    places = [place_of(path, None if out is None else possible_path(out), suffix) for suffix in (SHEET, PAGE)]
    wanted, left_out = wishes(None if models is None else [str(m) for m in models], sizes)
    check_places(places, overwrite=overwrite)
    info = as_asked(probe(path), options)
    check_pictures_fit(info)
    check_background(options.background)
    span = trimmed_span(info, options.start, options.end)
    backdrop = None if background is None else backdrop_of(options.background)
    with tempfile.TemporaryDirectory(prefix="birefvideo-") as folder:
        work = _Work(info, span, options, backdrop, Cutouts(Path(folder)))
        work.look(frames)
        work.compute(wanted, left_out, LIMIT if models is None else None, progress or Progress())
        found = work.summary(places)
        deliver(work.files(found), overwrite=overwrite)
    return found


class _Work:
    """One comparison under way."""

    def __init__(self, info: VideoInfo, span: Span, options: Options, backdrop: Backdrop | None, kept: Cutouts) -> None:
        self._info, self._span, self._options, self._backdrop, self._kept = info, span, options, backdrop, kept
        self._device = find_device(options.device)
        self._seen: list[Seen] = []
        self._rows: list[Row] = []
        self._left_out: list[LeftOut] = []
        self._views: list[View] = []

    def look(self, count: int) -> None:
        """Choose the frames, and ask for advice on the clip."""
        self._seen = chosen_frames(self._info, self._span, count)
        self._advice = advise_on(self._info, self._span, self._device)
        for index, one in enumerate(self._seen):
            self._kept.keep_source(index, one.frame.picture)

    def compute(
        self, wanted: Sequence[Wish], left_out: Sequence[LeftOut], limit: float | None, progress: Progress
    ) -> None:
        """Run one model after another on the frames; one that fails stops no other.

        Raises:
            BirefvideoError: all fail.
        """
        self._left_out += left_out
        progress.planned(wanted, len(self._seen), limit)
        started = time.monotonic()
        errors: list[BirefvideoError] = []
        for wish in wanted:
            progress.row(wish)
            left = None if limit is None else limit - (time.monotonic() - started)
            try:
                self._rows.append(self._row(wish, None if wish.model == EMBEDDED else left, progress))
            except TooSlowError as slow:
                self._left_out.append(LeftOut(wish.label, _why_slow(slow, wish, limit or 0)))
            except BirefvideoError as error:
                self._left_out.append(LeftOut(wish.label, error.message))
                errors.append(error)
            gc.collect()  # networks hold circles: the next one is loaded into the memory of this one
        if not self._rows:
            raise errors[0] if errors else ModelError(f"{self._left_out[-1].name}: {self._left_out[-1].why}")
        self._views = views_of(self._seen, len(self._rows), self._kept, self._info, self._backdrop, self._origin())

    def _row(self, wish: Wish, most_seconds: float | None, progress: Progress) -> Row:
        model = LoadedModel(self._options.changed(model=wish.model, size=wish.size))
        frames = [one.frame for one in self._seen]
        return matted_row(
            wish,
            len(self._rows),
            frames,
            self._info,
            model,
            self._kept,
            most_seconds=most_seconds,
            on_frame=progress.frame,
        )

    def summary(self, places: Sequence[Path]) -> Comparison:
        """Return what was found out."""
        advice, rows = self._advice, self._rows
        best = _recommended(advice, rows)
        command = self._command(best or rows[0])
        frames = frames_of(self._info, self._span)
        return Comparison(
            source=self._info.path.name,
            sheet=places[0],
            page=places[1],
            frames=tuple(round(view.seconds, 3) for view in self._views),
            device=self._device.name,
            rows=tuple(rows),
            recommended=best.label if best else "",
            reason=_reason(advice, best),
            changes=advice.changes,
            command=command,
            left_out=tuple(self._left_out),
            missing=tuple(absent([row.model for row in rows])),
            run_seconds=tuple(round(row.seconds * frames, 1) if frames else None for row in rows),
        )

    def files(self, found: Comparison) -> dict[Path, bytes]:
        """Return what is written."""
        title = found.source
        labels = [row.label for row in found.rows]
        sheet = draw_sheet(f"{title}: {', '.join(labels)}", labels, self._views)
        picture = cv2.imencode(".png", sheet[..., ::-1])[1].tobytes()
        words = Words(
            title=title,
            facts=facts_of(self._info),
            device=found.device,
            recommended=found.recommended,
            reason=found.reason,
            changes=found.changes,
            commands=[self._command(row) for row in found.rows],
            times=["" if seconds is None else duration(seconds) for seconds in found.run_seconds],
        )
        closer = close_ups(self._views, self._kept, self._info)
        page = render_page(words, found.rows, self._views, closer, found.left_out, found.missing)
        return {found.sheet: picture, found.page: page.encode(errors="backslashreplace")}

    def _command(self, row: Row) -> str:
        return matte_command(self._info.path, self._options.changed(model=row.model, size=row.size))

    def _origin(self) -> Fraction:
        start = self._info.start if self._span.start is None else self._span.start
        return start * self._info.time_base


def facts_of(info: VideoInfo) -> str:
    """Return what a clip is, in a few words."""
    size = f"{info.width}×{info.height}"
    if info.still:
        return f"{size} picture"
    rate = f"{float(info.rate):.3f}".rstrip("0").rstrip(".")
    return " · ".join(filter(None, (size, f"{rate} fps", f"{float(info.duration):.1f} s" if info.duration else "")))


def _recommended(advice: Advice, rows: Sequence[Row]) -> Row | None:
    """Return the row of the first variant that the rules name for this picture, nearest to its own size."""
    rule = next(rule for rule in RULES if rule.name == advice.rule)
    for name in (advice.choice, rule.model, *rule.next_best, EMBEDDED):
        found = [row for row in rows if row.model == name]
        if found:
            return min(found, key=lambda row: abs(prod(row.input) - prod(row.native)))
    return None


def _reason(advice: Advice, best: Row | None) -> str:
    asks = f"the picture asks for {advice.best}: {advice.reason}"
    if best is None:
        return f"{asks}; the rules say nothing of the models compared: judge by the pictures"
    if best.model == advice.best:
        return advice.reason
    why = advice.why_not_best or "it was not compared"
    unfit = (
        f"; {EMBEDDED} is not made for it: {advice.talk_unfit}" if best.model == EMBEDDED and advice.talk_unfit else ""
    )
    return f"{asks}, but {why}; of those compared, {best.model} comes next{unfit}"


def _why_slow(slow: TooSlowError, wish: Wish, limit: float) -> str:
    return (
        f"a frame takes {duration(slow.seconds)} here, and all would pass the limit of {duration(limit)}: "
        f"to wait for it, choose {named('models', wish.model)}"
    )

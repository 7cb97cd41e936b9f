"""A look at a job before it runs: the sheet of its model, and what the run would cost."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from birefvideo.advice.advise import frames_of
from birefvideo.advice.look import Seen
from birefvideo.comparison.backdrop import backdrop_of
from birefvideo.comparison.choices import Wish
from birefvideo.comparison.cutouts import Cutouts
from birefvideo.comparison.mattes import Row, TooSlowError, chosen_frames, matted_row
from birefvideo.comparison.places import check_places, deliver, place_of
from birefvideo.comparison.sheet import draw_sheet
from birefvideo.comparison.trial import OutputCost, Run, Trial, trial
from birefvideo.comparison.views import views_of
from birefvideo.frames import VideoInfo
from birefvideo.jobs.checked_input import checked_input
from birefvideo.jobs.choose_model import choose_model
from birefvideo.jobs.loaded_model import LoadedModel, loaded_model
from birefvideo.jobs.options import Options
from birefvideo.jobs.pace import segment_frames
from birefvideo.jobs.plan import Target, job_folder, plan_segments
from birefvideo.media.forms import PREVIEW_SHEET

_FRAMES = 6
_PATIENCE = 20.0
"""Seconds that the frames of the sheet may take; a slow network is shown fewer."""


@dataclass(frozen=True)
class Preview:
    """What a run would give and cost."""

    source: str
    """Name of the clip."""
    sheet: Path
    """The contact sheet."""
    row: Row
    """The model on the frames of the sheet."""
    why_model: str
    """Why this one, where the choice was left to us."""
    device: str
    """What computes."""
    frames: int
    """Frames of the whole run, about; 0 where the file does not say."""
    trial: Trial
    """What was measured on a few frames in a row."""
    free: int
    """Bytes that are free where the outputs would go."""

    @property
    def seconds(self) -> float:
        """About how long the run takes, without sound and checking."""
        return self.trial.seconds * self.frames

    @property
    def outputs(self) -> tuple[OutputCost, ...]:
        """What each output would take."""
        return self.trial.outputs

    @property
    def needed(self) -> int:
        """Bytes that a run needs on the disk: the parts of the outputs lie beside them until they are joined."""
        return 2 * sum(output.bytes for output in self.outputs)


def preview(
    source: Path,
    targets: Sequence[Target],
    options: Options,
    *,
    overwrite: bool = False,
    load: Callable[[Options], LoadedModel] = loaded_model,
) -> Preview:
    """Matte a few frames, draw their sheet beside where the outputs would go, and measure; no output is written.

    Raises:
        BirefvideoError: as the job would, as far as that is known before it runs.
    """
    sheet = place_of(source, targets[0].path.parent, PREVIEW_SHEET)
    check_places([sheet], overwrite=overwrite)
    checked = checked_input(source, targets, options)
    info, span = checked.info, checked.span
    choice = choose_model(info, span, options, job_folder(targets, source), checked.inputs)
    model = load(choice.options)
    model.check_fits(info)
    frames = frames_of(info, span)
    with tempfile.TemporaryDirectory(prefix="birefvideo-") as name:
        kept = Cutouts(Path(name))
        seen = chosen_frames(info, span, _FRAMES)
        row, seen = _shown(seen, info, model, kept)
        backdrop = backdrop_of(options.background) if options.asks_for_background else None
        origin = (info.start if span.start is None else span.start) * info.time_base
        views = views_of(seen, 1, kept, info, backdrop, origin)
        middle = len(seen) // 2
        run = Run(
            info, span, frames, len(plan_segments(info, span, segment_frames(model, info))), targets, choice.options
        )
        alpha = kept.cutout(0, middle)[..., 3].astype(np.float32) / np.float32(255)
        measured = trial(run, model, row.seconds, seen[middle].frame.pts, alpha, Path(name))
        drawn = draw_sheet(f"{info.path.name}: {row.label}", [row.label], views)
        deliver({sheet: cv2.imencode(".png", drawn[..., ::-1])[1].tobytes()}, overwrite=overwrite)
    return Preview(
        source=info.path.name,
        sheet=sheet,
        row=row,
        why_model=choice.reason or model.identity.reason,
        device=model.device.name,
        frames=frames,
        trial=measured,
        free=shutil.disk_usage(sheet.parent).free,
    )


def _shown(seen: list[Seen], info: VideoInfo, model: LoadedModel, kept: Cutouts) -> tuple[Row, list[Seen]]:
    """Matte the frames of the sheet; of a slow network only as many as there is time for."""
    wish = Wish(model.identity.name, model.identity.name, model.options.size)
    try:
        row = _matted(wish, seen, info, model, kept, _PATIENCE)
    except TooSlowError as slow:
        seen = seen[len(seen) // 2 :][: max(1, int(_PATIENCE / slow.seconds))]
        row = _matted(wish, seen, info, model, kept, None)
    for index, one in enumerate(seen):
        kept.keep_source(index, one.frame.picture)
    return row, seen


def _matted(
    wish: Wish, seen: list[Seen], info: VideoInfo, model: LoadedModel, kept: Cutouts, most_seconds: float | None
) -> Row:
    return matted_row(wish, 0, [one.frame for one in seen], info, model, kept, most_seconds=most_seconds)

"""`birefvideo.advise`: advice on a clip that is named as a job names it, with the part that the job would cover."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

from birefvideo.advice.advise import Advice, advise_on
from birefvideo.hints import possible_path
from birefvideo.jobs.option_values import Time
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import trimmed_span
from birefvideo.matting.devices import find_device
from birefvideo.media.reading.probe import probe

if TYPE_CHECKING:
    import torch


def advise(
    source: str | PathLike[str],
    *,
    start: Time | None = None,
    end: Time | None = None,
    commercial: bool = False,
    device: str | torch.device = "auto",
) -> Advice:
    """Look at a few frames of a clip or picture, and say which variant to matte it with, as `birefvideo advise` does.

    No connection is opened.

    Args:
        source: a video, or pictures: one, a folder of numbered ones, or a pattern such as 'frames/%05d.png'.
        start: look from here, as `Options.start`.
        end: look up to here.
        commercial: leave out weights whose licence forbids commercial use, or that nobody states a licence of.
        device: what would compute: 'auto', 'cpu', 'cuda', ….

    Raises:
        BirefvideoError: its one line says what is wrong and what to do.
    """
    options = Options(start=start, end=end, device=device)
    chosen = find_device(options.device)
    info = probe(possible_path(source))
    return advise_on(info, trimmed_span(info, options.start, options.end), chosen, commercial=commercial)

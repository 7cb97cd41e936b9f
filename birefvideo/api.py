"""The library's front door: functions that do what the commands do.

Every option of `birefvideo matte` is a keyword of `matte`, and every one that does not concern files also of `mattes`:
see `birefvideo.Options`.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from birefvideo.errors import OptionError, named, with_arguments
from birefvideo.family import checkpoints
from birefvideo.frames import Frame
from birefvideo.hints import possible_path
from birefvideo.jobs.arguments import FrameArguments, JobArguments
from birefvideo.jobs.catalogue import formats, models
from birefvideo.jobs.delivery import Delivery
from birefvideo.jobs.elsewhere import fetch_unless_film, run_anywhere, urls_in_errors
from birefvideo.jobs.engine_wish import EngineWish
from birefvideo.jobs.job_model import JobModels
from birefvideo.jobs.limits import check_pictures_fit
from birefvideo.jobs.loaded_model import check_machine, check_one_device, loaded_model
from birefvideo.jobs.no_effect import without_effect
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import as_asked, plan_targets, trimmed_span
from birefvideo.jobs.progress import OnFrame, on_frame
from birefvideo.jobs.result import Progress, Result
from birefvideo.matting.devices import find_device
from birefvideo.matting.forks import about_to_compute
from birefvideo.matting.smoother import make_smoother
from birefvideo.media.reading.decode import DecodeReport
from birefvideo.media.reading.probe import probe
from birefvideo.pipeline import matted_frames, spill_light
from birefvideo.remote.places import is_url, job_of, out_place, place_of

if TYPE_CHECKING:
    import torch
    from typing_extensions import Unpack

    from birefvideo.family.modeling import BiRefNetForImageSegmentation

__all__ = ["formats", "load_model", "matte", "mattes", "models"]

_FOR_FILES = tuple(JobArguments.__annotations__.keys() - FrameArguments.__annotations__.keys())
"""Options that only concern files."""


def matte(
    source: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    to: str | Sequence[str] | None = None,
    *,
    options: Options | None = None,
    review: bool = False,
    timeline: str | Sequence[str] = (),
    receipts: bool = True,
    overwrite: bool = False,
    strict: bool = False,
    keep_cache: bool = False,
    engine: str = "local",
    address: str | None = None,
    workers: int | None = None,
    progress: OnFrame | None = None,
    **choices: Unpack[JobArguments],
) -> Result:
    """Matte one clip into files, as `birefvideo matte` does.

    Args:
        source: a video, or pictures: one, a folder of numbered ones, or a pattern such as 'frames/%05d.png'; or the
            URL of a video or picture.
        out: the file or folder to write, or the URL of one; a str with a slash at its end is a folder, whatever its
            name; None: beside the source. What goes to URLs is named in
            `Result.urls`.
        to: names of formats, see `formats`; None: what the ending of `out` says, else prores and green, or of a picture
            png.
        options: the options to start from; None: the defaults.
        review: add a page to judge the matte with in a browser.
        timeline: add timeline files for editors, with markers: 'fcpxml', 'otio' or 'edl', or several.
        receipts: write the receipts that `birefvideo verify` reads.
        overwrite: replace outputs that exist.
        strict: raise InputError where the clip is damaged or cut off, so that frames or sound are missing; without
            it, these are told in `Result.losses`.
        keep_cache: keep the network's alpha in a folder beside the outputs, so that the next job with other wishes,
            edges or outputs is quick, as long as it asks for this too.
        engine: what computes: 'local', this machine, or 'ray', a Ray cluster (see docs/scale.md).
        address: of the Ray cluster's head; None: the one that this process belongs to, or one that is started here.
        workers: how many compute on the Ray cluster; None: one for each GPU, or for each node where there is none.
        progress: called after each frame with a `FrameProgress`, or without arguments if it requires none; where it
            returns False, the job ends as after Ctrl-C. Of a job in two passes, in each of them.
        **choices: options that replace those of `options`; see `Options`.

    Raises:
        CancelledError: `progress` returned False; what is finished stays for the same call to go on from.
        BirefvideoError: its one line says what is wrong and what to do; nothing is left under the final names.
    """
    names = [to] if isinstance(to, str) else list(to or ())
    if to is not None and not names:
        raise OptionError(f"{named('to')} is empty: name at least one format, such as 'prores'")
    wish, told = EngineWish(engine, address, workers), on_frame(progress)
    chosen = (options or Options()).changed(**choices)
    check_machine(chosen)
    path = place_of(source, job_of(out)) if is_url(source) else possible_path(source)
    where = None if out is None else out_place(out) if is_url(out) else possible_path(out)
    is_folder = isinstance(out, str) and out.endswith("/" if is_url(out) else (os.sep, os.altsep or os.sep))
    with urls_in_errors():
        fetch_unless_film(path)
        targets = plan_targets(path, where, names, chosen, into=is_folder)
    callbacks = Progress(frame=told) if told else None
    delivery = Delivery(
        receipts=receipts,
        review=review,
        timeline=timeline,
        overwrite=overwrite,
        strict=strict,
        keep_cache=keep_cache,
    )
    with JobModels(wish) as load:
        result = run_anywhere(path, targets, chosen, delivery, load=load, progress=callbacks)
    if result.urls:
        result = replace(result, outputs=(), receipts=(), review=None, timelines=())
    idle = without_effect(chosen, [target.format for target in targets], choices)
    return replace(result, warnings=[with_arguments(warning) for warning in (*idle, *result.warnings)])


def mattes(
    source: str | PathLike[str], *, options: Options | None = None, **choices: Unpack[FrameArguments]
) -> Generator[Frame, None, None]:
    """Return an iterator over the frames of a clip with their alpha and foreground; frames are computed as asked for.

    Args:
        source: as of `matte`.
        options: the options to start from; None: the defaults.
        **choices: options that replace those of `options`; see `Options`. Those of files do not apply.

    Raises:
        OptionError: an option has a value that is not allowed; at once.
        BirefvideoError: as `matte`; at the first frame.
    """
    for name in _FOR_FILES:
        if name in choices:
            raise OptionError(f"{named(name)} is for files: pass it to birefvideo.matte")
    chosen = (options or Options()).changed(**choices)
    for name in chosen.directions:
        raise OptionError(f"{named(name)} needs the whole clip before its first frame: pass it to birefvideo.matte")
    check_one_device(chosen)
    return _frames(possible_path(source), chosen)


def _frames(source: Path, options: Options) -> Generator[Frame, None, None]:
    info = as_asked(probe(source), options)
    span = trimmed_span(info, options.start, options.end)
    check_pictures_fit(info)
    model = loaded_model(options)
    model.check_fits(info)
    predictor, smoother = model.predictor(), make_smoother(options.smooth)
    spill = spill_light(options.despill, info.colour)
    frames = matted_frames(info, span, predictor, smoother, DecodeReport(), spill, edge=options.edge)
    with closing(frames):
        yield from frames


def load_model(name: str | PathLike[str] = "auto", device: str | torch.device = "cpu") -> BiRefNetForImageSegmentation:
    """Return a checkpoint as a transformers model in eval mode: by variant name, hub id, folder or weights file.

    Raises:
        OptionError: no such variant.
        ModelError: its weights are not on this machine, or do not fit.
    """
    from birefvideo.family.config import BiRefNetConfig
    from birefvideo.family.modeling import BiRefNetForImageSegmentation

    about_to_compute()
    chosen = Options(model=name, device=device)
    check_one_device(chosen)
    target = find_device(chosen.device)
    checkpoint = checkpoints.find(str(chosen.model), has_gpu=target.runs_large_models)
    checkpoint.digest()  # is it still what it was when it came?
    network = checkpoints.load(checkpoint)
    config = BiRefNetConfig(**asdict(network.geometry), **checkpoint.size.to_config())
    model = BiRefNetForImageSegmentation(config, network)
    return model.eval().to(target.torch_device)  # type: ignore[no-any-return]

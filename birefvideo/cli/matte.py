"""`birefvideo matte`: the job."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from birefvideo.cli.paths import path
from birefvideo.cli.report import JobBar, print_error, print_result, quiet_libraries
from birefvideo.errors import BirefvideoError, OptionError

if TYPE_CHECKING:
    from birefvideo.jobs.options import Options
    from birefvideo.jobs.plan import Target

VIDEO_SUFFIXES = frozenset(
    [
        ".mp4",
        ".mov",
        ".m4v",
        ".mkv",
        ".webm",
        ".avi",
        ".mts",
        ".m2ts",
        ".ts",
        ".mpg",
        ".mpeg",
        ".wmv",
        ".flv",
        ".3gp",
        ".mxf",
        ".ogv",
        ".vob",
    ]
)
"""What a folder given as input is searched for."""


def matte(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT",
            parser=path,
            help="Clips, folders of clips, or pictures: one, a folder, frames/%05d.png.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", parser=path, help="File or folder to write; default: beside each input."),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", help="See `birefvideo formats`; repeatable. Default: prores and green."),
    ] = None,
    model: Annotated[
        str, typer.Option(help="Name (see `birefvideo models`), hub id, checkpoint folder or weights file.")
    ] = "auto",
    size: Annotated[
        str | None,
        typer.Option(help="What the network sees instead of the model's own: WxH, or N (its square or long side)."),
    ] = None,
    background: Annotated[
        str,
        typer.Option(help="Under the green output: colour name, #rrggbb or r,g,b, a picture, or a video, which loops."),
    ] = "green",
    smooth: Annotated[int, typer.Option(help="Radius of temporal smoothing in frames; 0 is off.")] = 2,
    despill: Annotated[
        str | None,
        typer.Option(metavar="COLOUR", help="Take a wall's coloured light out of edges: green, #rrggbb …, or auto."),
    ] = None,
    fps: Annotated[
        str | None, typer.Option(help="Pictures a second, where INPUT is pictures: 24, 29.97, …; default: 25.")
    ] = None,
    premultiplied: Annotated[
        str | None,
        typer.Option(metavar="[black]", help="Multiply colour by alpha, over black; without it alpha is straight."),
    ] = None,
    audio: Annotated[str, typer.Option(help="Which of the input's tracks go along: all, first or none.")] = "all",
    deinterlace: Annotated[
        bool, typer.Option(" /--no-deinterlace", help="Take frames that are flagged interlaced as they are.")
    ] = True,
    start: Annotated[str | None, typer.Option(help="Begin here: seconds or [h:]mm:ss.")] = None,
    end: Annotated[str | None, typer.Option(help="End here: seconds or [h:]mm:ss.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="What the network computes in: auto (by device), float32, bfloat16 or float16.")
    ] = "auto",
    batch: Annotated[
        int | None, typer.Option(help="Frames computed at once; default: by device and free memory.")
    ] = None,
    review: Annotated[
        bool, typer.Option("--review", help="Also make STEM_review.html: play, scrub and judge the matte in a browser.")
    ] = False,
    receipt: Annotated[
        bool, typer.Option(" /--no-receipt", help="Leave out the receipts (STEM_alpha.json …) that `verify` reads.")
    ] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Cut the people out of each INPUT and write alpha video beside it.

    Makes STEM_alpha.mov (ProRes 4444, straight alpha) and STEM_green.mp4, with the input's sound and timing. A job
    that was stopped goes on when the same command is run again. Folders are not searched deeper.
    """
    try:
        options = _options(
            model,
            size,
            background,
            smooth,
            start,
            end,
            device,
            batch,
            dtype,
            despill,
            premultiplied,
            fps,
            audio,
            deinterlace,
        )
        clips, missing = _find_clips(inputs, out)
        jobs = _plan(clips, out, to or [])
    except BirefvideoError as error:
        _fail(error, debug)
    for line in missing:
        print_error(line)
    errors = _matte_all(jobs, options, review=review, receipts=receipt, overwrite=overwrite, quiet=quiet, debug=debug)
    failed = len(missing) + len(errors)
    if failed and len(jobs) + len(missing) > 1:
        print_error(f"{failed} of {len(jobs) + len(missing)} inputs failed")
    elif any(isinstance(error, OptionError) for error in errors):
        raise typer.Exit(2)
    if failed:
        raise typer.Exit(1)


def _plan(clips: list[Path], out: Path | None, to: list[str]) -> dict[Path, tuple[Target, ...]]:
    """The outputs of every clip."""
    from birefvideo.jobs.plan import check_distinct, plan_targets

    jobs = {clip: plan_targets(clip, out, to) for clip in clips}
    check_distinct(jobs)
    return jobs


def _matte_all(
    jobs: dict[Path, tuple[Target, ...]],
    options: Options,
    *,
    review: bool,
    receipts: bool,
    overwrite: bool,
    quiet: bool,
    debug: bool,
) -> list[Exception]:
    """Mattes the clips one after another with one network; prints and returns the errors of those that failed."""
    from birefvideo.jobs.plan import job_folder
    from birefvideo.jobs.review import render
    from birefvideo.jobs.run import Matter, run

    quiet_libraries()
    load = cache(lambda: Matter(options))
    errors: list[Exception] = []
    for clip, targets in jobs.items():
        try:
            with JobBar(clip, quiet) as bar:
                result = run(
                    clip,
                    targets,
                    options,
                    overwrite=overwrite,
                    receipts=receipts,
                    page=render if review else None,
                    load=load,
                    progress=bar.progress,
                )
            if not quiet:
                print_result(result)
        except KeyboardInterrupt:
            kept = job_folder(targets, clip).exists()
            again = "the same command goes on from the last ten seconds done" if kept else "nothing was finished yet"
            print_error(f"stopped; {again}")
            raise typer.Exit(130) from None
        except Exception as error:
            if debug:
                raise
            known = isinstance(error, BirefvideoError)
            what = error if known else f"{clip}: {type(error).__name__}: {error} (unexpected; --debug shows where)"
            print_error(what)
            errors.append(error)
    return errors


def _fail(error: BirefvideoError, debug: bool) -> NoReturn:
    if debug:
        raise error
    print_error(error)
    raise typer.Exit(2 if isinstance(error, OptionError) else 1)


def _options(
    model: str,
    size: str | None,
    background: str,
    smooth: int,
    start: str | None,
    end: str | None,
    device: str,
    batch: int | None,
    dtype: str,
    despill: str | None,
    premultiplied: str | None,
    fps: str | None,
    audio: str,
    deinterlace: bool,
) -> Options:
    """Checks everything that can be checked before an input is opened."""
    from birefvideo.jobs.options import Options, parse_despill, parse_fps, parse_premultiplied
    from birefvideo.matting.devices import find_device
    from birefvideo.media.writing.background import parse_background
    from birefvideo.models import checkpoints

    begin, finish = (None if text is None else parse_time(text) for text in (start, end))
    if finish is not None and finish <= (begin or 0):
        raise OptionError(f"--end {end} is not after --start {start or 0}")
    seen = None if size is None else parse_size(size)
    options = Options(
        model=model,
        background=parse_background(background),
        smooth=smooth,
        start=begin,
        end=finish,
        device=device,
        batch=batch,
        size=seen,
        dtype=dtype,
        despill=parse_despill(despill),
        premultiplied=parse_premultiplied(premultiplied),
        fps=parse_fps(fps),
        audio=audio,
        deinterlace=deinterlace,
    )
    found = find_device(device)
    found.dtype_called(dtype)
    checkpoints.find(model, has_gpu=found.runs_large_models)
    return options


def parse_time(text: str) -> Fraction:
    """Seconds from '12.5', '1:02.5' or '1:00:02'.

    Raises:
        OptionError: the text is no time, or a negative one.
    """
    is_time = re.fullmatch(r"(\d{1,9}:){0,2}(\d{1,9}(\.\d*)?|\.\d+)", text.strip(), re.ASCII)
    parts = [Fraction(part) for part in text.split(":")] if is_time else []
    if not parts or any(part >= 60 for part in parts[1:]):
        raise OptionError(f"time {text!r} is not seconds (12.5) or [h:]mm:ss (1:02.5)")
    return sum((part * 60**i for i, part in enumerate(reversed(parts))), Fraction(0))


def parse_size(text: str) -> int | tuple[int, int]:
    """Width and height from '1024x576', or one number.

    Raises:
        OptionError: the text is neither.
    """
    found = re.fullmatch(r"(\d+)(?:[x×](\d+))?", text.strip().lower())
    if not found:
        raise OptionError(f"--size {text!r} is neither WxH (1024x576) nor one number (1024)")
    return (int(found[1]), int(found[2])) if found[2] else int(found[1])


def _find_clips(inputs: list[Path], out: Path | None) -> tuple[list[Path], list[str]]:
    """The clips that files and folders name, in order, and one line for every folder that holds none."""
    from birefvideo.media.formats import FORMATS
    from birefvideo.media.reading.image_series import pictures_in
    from birefvideo.media.writing.proxy import MATTE_PROXY, SOURCE_PROXY

    rows = (*FORMATS.values(), MATTE_PROXY, SOURCE_PROXY)
    ours = tuple(format.suffix for format in rows if not format.is_sequence)
    clips: list[Path] = []
    missing: list[str] = []
    for item in inputs:
        if not item.is_dir():
            clips.append(item)
            continue
        try:
            # Hidden files are no clips: macOS leaves a ._NAME beside each NAME on disks of other systems.
            files = sorted(path for path in item.iterdir() if path.is_file() and not path.name.startswith("."))
        except OSError as error:
            missing.append(f"{item} cannot be read ({error.strerror}): check its permissions")
            continue
        # Our own outputs are no inputs.
        found = [p for p in files if p.suffix.lower() in VIDEO_SUFFIXES and not p.name.lower().endswith(ours)]
        if not found and pictures_in(item):
            found = [item]  # a series
        clips += found
        if not found:
            missing.append(f"{item} holds no video: name a clip or another folder")
    clips = list(dict.fromkeys(clips))
    if len(clips) > 1 and out is not None and out.suffix and not out.is_dir():
        raise OptionError(f"{out} names one file, but there are {len(clips)} inputs: name a folder with -o")
    return clips, missing

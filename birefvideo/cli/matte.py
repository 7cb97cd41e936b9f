"""`birefvideo matte`: the job."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from birefvideo.cli.report import JobBar, print_error, print_result, quiet_libraries
from birefvideo.errors import BirefvideoError, InputError, OptionError

if TYPE_CHECKING:
    from birefvideo.jobs.plan import Options

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
OUR_SUFFIXES = ("_alpha", "_green", "_matte")
"""Stems in a folder that end like this are our own outputs, and no input."""


def matte(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT", help="Clips, or folders of clips.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="File or folder to write; default: beside each input.")
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", help="prores, webm, green or matte; repeatable. Default: prores and green."),
    ] = None,
    model: Annotated[str, typer.Option(help="Variant name, checkpoint folder or weights file.")] = "auto",
    background: Annotated[str, typer.Option(help="Colour under the green output: name, #rrggbb or r,g,b.")] = "green",
    smooth: Annotated[int, typer.Option(help="Radius of temporal smoothing in frames; 0 is off.")] = 2,
    start: Annotated[str | None, typer.Option(help="Begin here: seconds or [h:]mm:ss.")] = None,
    end: Annotated[str | None, typer.Option(help="End here: seconds or [h:]mm:ss.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    batch: Annotated[int | None, typer.Option(help="Frames computed at once; default: by device.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Cut the people out of each INPUT and write alpha video beside it.

    Makes STEM_alpha.mov (ProRes 4444, straight alpha) and STEM_green.mp4, with the input's sound and timing. A job
    that was stopped goes on where it was when the same command is run again.
    """
    try:
        options = _options(model, background, smooth, start, end, device, batch)
        clips, missing = _find_clips(inputs, out)
    except BirefvideoError as error:
        _fail(error, debug)
    errors: list[BirefvideoError] = [InputError(text) for text in missing]
    for one in errors:
        print_error(one)
    errors += _matte_all(clips, out, to or [], options, overwrite=overwrite, quiet=quiet, debug=debug)
    if not errors:
        return
    count = len(clips) + len(missing)
    if count == 1:
        raise typer.Exit(2 if isinstance(errors[0], OptionError) else 1)
    print_error(f"{len(errors)} of {count} inputs failed")
    raise typer.Exit(1)


def _matte_all(
    clips: list[Path], out: Path | None, to: list[str], options: Options, *, overwrite: bool, quiet: bool, debug: bool
) -> list[BirefvideoError]:
    """Mattes the clips one after another with one network; prints and returns the errors of those that failed."""
    from birefvideo.jobs.plan import plan_targets
    from birefvideo.jobs.run import Matter, run

    quiet_libraries()
    load = cache(lambda: Matter(options))
    errors: list[BirefvideoError] = []
    for clip in clips:
        try:
            with JobBar(clip, quiet) as bar:
                targets = plan_targets(clip, out, to)
                result = run(clip, targets, options, overwrite=overwrite, load=load, progress=bar.progress)
            if not quiet:
                print_result(result)
        except BirefvideoError as error:
            if debug:
                raise
            print_error(error)
            errors.append(error)
        except KeyboardInterrupt:
            print_error("stopped; run the same command again to go on")
            raise typer.Exit(130) from None
    return errors


def _fail(error: BirefvideoError, debug: bool) -> NoReturn:
    if debug:
        raise error
    print_error(error)
    raise typer.Exit(2 if isinstance(error, OptionError) else 1)


def _options(
    model: str,
    background: str,
    smooth: int,
    start: str | None,
    end: str | None,
    device: str,
    batch: int | None,
) -> Options:
    """Checks everything that can be checked before an input is opened."""
    from birefvideo.jobs.plan import Options
    from birefvideo.matting import checkpoints
    from birefvideo.matting.predict import choose_device
    from birefvideo.media.colours import parse_colour

    if smooth < 0:
        raise OptionError(f"--smooth is {smooth}, must be 0 (off) or a radius in frames")
    if batch is not None and batch < 1:
        raise OptionError(f"--batch is {batch}, must be at least 1")
    begin, finish = (None if text is None else parse_time(text) for text in (start, end))
    if finish is not None and finish <= (begin or 0):
        raise OptionError(f"--end {end} is not after --start {start or 0}")
    checkpoints.find(model, has_gpu=choose_device(device).type == "cuda")
    return Options(model, parse_colour(background), smooth, begin, finish, device, batch)


def parse_time(text: str) -> Fraction:
    """Seconds from '12.5', '1:02.5' or '1:00:02'.

    Raises:
        OptionError: the text is no time, or a negative one.
    """
    try:
        parts = [Fraction(part) for part in text.split(":")]
    except (ValueError, ZeroDivisionError):
        parts = []
    if not 1 <= len(parts) <= 3 or any(part < 0 for part in parts):
        raise OptionError(f"time {text!r} is not seconds (12.5) or [h:]mm:ss (1:02.5)")
    return sum((part * 60**i for i, part in enumerate(reversed(parts))), Fraction(0))


def _find_clips(inputs: list[Path], out: Path | None) -> tuple[list[Path], list[str]]:
    """The clips that files and folders name, in order, and one line for every folder that holds none."""
    clips: list[Path] = []
    missing: list[str] = []
    for item in inputs:
        if not item.is_dir():
            clips.append(item)
            continue
        found = sorted(
            path
            for path in item.iterdir()
            if path.suffix.lower() in VIDEO_SUFFIXES and not path.stem.endswith(OUR_SUFFIXES) and path.is_file()
        )
        clips += found
        if not found:
            missing.append(f"{item} holds no video: name a clip or another folder")
    clips = list(dict.fromkeys(clips))
    if len(clips) > 1 and out is not None and out.suffix and not out.is_dir():
        raise OptionError(f"{out} names one file, but there are {len(clips)} inputs: name a folder with -o")
    return clips, missing

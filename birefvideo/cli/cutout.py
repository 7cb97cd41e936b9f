"""`birefvideo cutout`: photos."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from birefvideo.cli.all_inputs import end, first_words, plan_all, tell_what_is_idle
from birefvideo.cli.errors import Failures, reported
from birefvideo.cli.inputs import can_begin, find_photos
from birefvideo.cli.outcomes import Outcomes
from birefvideo.cli.parse import STREAM, path_or_stream, with_options
from birefvideo.cli.printing import answer_bytes, print_error, tell
from birefvideo.cli.report import quiet_libraries
from birefvideo.cli.run_all import Work
from birefvideo.cli.shared_options import COMMON, Debug, Overwrite, Receipt
from birefvideo.errors import InputError, OptionError, named, with_flags
from birefvideo.jobs.arguments import EDGE
from birefvideo.jobs.delivery import Delivery
from birefvideo.jobs.options import Options

if TYPE_CHECKING:
    from birefvideo.cli.all_inputs import Jobs
    from birefvideo.jobs.plan import Target

_FILMS = "birefvideo matte"
_MOST = 1 << 31
"""Bytes that are taken from stdin: no photo has as many."""
_BLOCK = 1 << 20


@with_options(
    *("model", "size", "background", "fit", "despill", "mirror", "ignore_alpha", "device", "dtype"),
    *EDGE,
)
def cutout(
    photos: Annotated[
        list[Path],
        typer.Argument(
            metavar="PHOTO", parser=path_or_stream, help="Pictures, folders of pictures, or - for one from stdin."
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            help="File or folder to write, or - for stdout; default: beside each photo.",
            rich_help_panel=COMMON,
        ),
    ] = None,
    receipt: Receipt = True,
    overwrite: Overwrite = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.", rich_help_panel=COMMON)] = False,
    debug: Debug = False,
    **options: Any,
) -> None:
    """Cut the people out of each PHOTO and write a transparent PNG beside it.

    Makes STEM_alpha.png, or with --background STEM_comp.png; the name given with -o may also end in .webp, .tif or
    .exr. Photos come out upright, with their colour profile. From stdin (-) it goes to stdout, as PNG.

    Exit codes: 0 done; 1 something failed; 2 a bad option; 130 stopped.
    """
    quiet_libraries()
    failures = Failures(debug)
    with reported(debug):
        chosen = Options(**options)
        place = None if out is None else path_or_stream(out)
        is_folder = out is not None and out.endswith((os.sep, os.altsep or os.sep))
        if STREAM in (*photos, place):
            _through(photos, place, chosen, overwrite, into=is_folder)
            return
        found = find_photos(photos, None if is_folder else place)
        if not quiet and can_begin(list(found.clips)):
            tell(first_words(options.get("model", "auto")))
        good = [photo for photo in found.clips if _is_picture(photo, failures)]
        jobs = _planned(good, place, chosen, failures, into=is_folder)
        tell_what_is_idle(jobs, chosen, options, quiet)
    for line in found.missing.values():
        print_error(line)
    delivery = Delivery(receipts=receipt, overwrite=overwrite, skip_done=len(found.clips) > 1 or not overwrite)
    Work(chosen, delivery, failures, Outcomes(), quiet=quiet).run(jobs.items())
    end(failures, len(found.missing), len(found.clips) + len(found.missing))


def _is_picture(photo: Path, failures: Failures) -> bool:
    from birefvideo.jobs.given_picture import check_is_picture

    with failures.caught(photo):
        check_is_picture(photo, _FILMS)
        return True
    return False


def _planned(photos: list[Path], out: Path | None, options: Options, failures: Failures, *, into: bool) -> Jobs:
    """Return the outputs of every photo: one each."""
    from birefvideo.jobs.choose_formats import endings

    names_file = not into and out is not None and out.suffix.lower() in endings(is_still=True) and not out.is_dir()
    wanted = [] if names_file else ["green" if "background" in options.given else "png"]
    return plan_all(dict.fromkeys(photos, Path()), out, wanted, options, failures, into=into)


def _through(photos: list[Path], out: Path | None, options: Options, overwrite: bool, *, into: bool) -> None:
    """Cut one photo out, from stdin or to stdout; there is no receipt of it."""
    from birefvideo.jobs.given_picture import called, check_is_picture

    (photo, *more) = photos
    to_stdout = out == STREAM or out is None
    if more:
        raise OptionError("- stands for one picture: name one photo, or a folder with " + named("out"))
    if photo == STREAM and sys.stdin.isatty():
        raise OptionError("- reads a picture from stdin, which is a terminal: name a file, or lead one into it")
    if to_stdout and sys.stdout.isatty():
        raise OptionError(f"stdout is a terminal: name a file with {named('out')}, or lead it into a file or program")
    with TemporaryDirectory(prefix="birefvideo-") as folder:
        place = Path(folder, "stdin") if photo == STREAM else photo
        with called("stdin" if photo == STREAM else str(photo), place):
            if photo == STREAM:
                _read_stdin(place)
            else:
                if list(find_photos([photo], None).clips) != [photo]:
                    raise OptionError(f"{photo} is a folder, and stdout takes one picture: name one")
            check_is_picture(place, _FILMS)
            target = Path(folder, "stdout.png") if to_stdout else out
            (targets,) = _planned([place], target, options, Failures(debug=True), into=into).values()
            _run(place, targets, options, overwrite)
        if to_stdout:
            answer_bytes(targets[0].path.read_bytes())


def _run(photo: Path, targets: tuple[Target, ...], options: Options, overwrite: bool) -> None:
    from birefvideo.jobs.run import run

    result = run(photo, targets, options, Delivery(overwrite=overwrite, skip_done=False, receipts=False))
    for warning in result.warnings:
        print_error(f"note: {with_flags(warning)}")


def _read_stdin(place: Path) -> None:
    from birefvideo.paths import writing

    with writing(place), place.open("wb") as file:
        while block := sys.stdin.buffer.read(_BLOCK):
            file.write(block)
            if file.tell() > _MOST:
                raise InputError("stdin gives more than any picture has: name the file instead")

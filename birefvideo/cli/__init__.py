"""The command line: the only place that prints and knows exit codes."""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import Annotated

import typer

from birefvideo import __version__
from birefvideo.cli.advise import advise
from birefvideo.cli.compare import compare
from birefvideo.cli.config import config
from birefvideo.cli.cutout import cutout
from birefvideo.cli.eval import evaluate
from birefvideo.cli.formats import formats
from birefvideo.cli.matte import matte
from birefvideo.cli.models import models
from birefvideo.cli.parse import JobCommand
from birefvideo.cli.printing import answer, answer_lines, outlets, print_traceback
from birefvideo.cli.program import Command, Program
from birefvideo.cli.serve import serve
from birefvideo.cli.verify import verify
from birefvideo.memory import reuse_memory
from birefvideo.with_parent import stop_with_stdin

SPINS = "1000"
"""How often a waiting thread looks before it sleeps, some 20 µs: what OpenMP itself does once it has more threads than
cores. It costs little on a quiet machine, where waking takes longer than most waits."""

app = typer.Typer(
    cls=Program,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(cls=JobCommand)(matte)
app.command(cls=Command)(cutout)
app.command(cls=Command)(advise)
app.command(cls=Command)(compare)
app.command(cls=Command)(models)
app.command(cls=Command)(verify)
app.command(cls=Command)(formats)
app.command(cls=Command)(serve)
app.command(cls=Command)(config)
app.command("eval", cls=Command)(evaluate)


def _version(asked: bool) -> None:
    if asked:
        answer(f"birefvideo {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def birefvideo(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Cut people out of video: alpha that an editor drops on a timeline."""
    if context.invoked_subcommand is None:
        answer_lines(context.get_help().splitlines())
        raise typer.Exit(2)


def main() -> None:
    """Entry point of the `birefvideo` program."""
    _open_closed_streams()
    _share_the_machine()
    reuse_memory()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show stops no job
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores it, and so do we
            signal.signal(number, _terminated)
    stop_with_stdin()
    with outlets():
        try:
            app()
        except Exception as error:
            print_traceback(error)
            sys.exit(1)


def _share_the_machine() -> None:
    """Let the threads of GNU's OpenMP sleep soon when they wait for each other, unless the user chose how they wait.

    A network is thousands of short steps. Where another program has a core, one thread waits for the other's turn at
    each of them; awake, as OpenMP does it for milliseconds, it takes the very time that the other needs. OpenMP reads
    this when torch is loaded, which is later.
    """
    if not os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
        os.environ["GOMP_SPINCOUNT"] = SPINS
    # Several frames are worked on at once: OpenCV's own threads would only wait for each other.
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")


def _open_closed_streams() -> None:
    """Let no file that a job opens take the number of a standard stream that is closed: libraries write to those."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _terminated(number: int, frame: object) -> None:
    """End a job as Ctrl-C does: threads joined, unfinished files removed."""
    raise KeyboardInterrupt

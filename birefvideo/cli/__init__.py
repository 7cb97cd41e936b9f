"""The command line: the only place that prints and knows exit codes."""

from __future__ import annotations

import io
import signal
import sys
from typing import Annotated

import typer

from birefvideo import __version__
from birefvideo.cli.eval import evaluate
from birefvideo.cli.formats import formats
from birefvideo.cli.matte import matte
from birefvideo.cli.models import models
from birefvideo.cli.parse import OptionalValueCommand
from birefvideo.cli.verify import verify

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(cls=OptionalValueCommand)(matte)
app.command()(models)
app.command()(verify)
app.command()(formats)
app.command("eval")(evaluate)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"birefvideo {__version__}")
        raise typer.Exit


@app.callback()
def birefvideo(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Cut people out of video: alpha that an editor drops on a timeline."""


def main() -> None:
    """Entry point of the `birefvideo` program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show stops no job
    signal.signal(signal.SIGTERM, _terminated)
    app()


def _terminated(number: int, frame: object) -> None:
    """End a job as Ctrl-C does: threads joined, unfinished files removed."""
    raise KeyboardInterrupt

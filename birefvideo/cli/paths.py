"""Paths as the command line takes them."""

from __future__ import annotations

from pathlib import Path

import typer

from birefvideo.cli.report import print_error


def path(text: str) -> Path:
    """Refuses the empty name that an unset variable leaves in a script: to pathlib it is the current folder."""
    if not text:
        print_error("one of the names given is empty: name a file or folder ('.' is the current folder)")
        raise typer.Exit(2)
    return Path(text)

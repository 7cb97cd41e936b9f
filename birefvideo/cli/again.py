"""The command that makes one job of a command line again, for the review page to add marks to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birefvideo.cli.parse import path
from birefvideo.remote.places import called, is_url, out_place, shown

if TYPE_CHECKING:
    from birefvideo.jobs.plan import Target

    Again = Callable[[Path, Sequence[Target]], list[list[str]]]
    """Returns the words of the command for an input and its outputs, an option with its value at a time."""

_NOT_OF_THE_JOB = {
    *("inputs", "out", "files_from", "recursive", "watch", "jobs", "skip_existing", "report"),
    *("preview", "plan", "progress", "as_json", "quiet", "debug"),
}
"""Parameters that say which jobs there are, and how to tell of them."""
_ADDED = {"marks", "keep_cache", "overwrite"}
"""Parameters that the page gives itself."""


def again(ctx: Any) -> Again:
    """Return what words a job's command, given the context of the command that was typed.

    What a config file or a preset says is left to them: they are read again.
    """
    words = list(_typed(ctx))
    out = ctx.params.get("out")

    def command(clip: Path, targets: Sequence[Target]) -> list[list[str]]:
        place = [] if out is None else [_option("--out", _place(out, targets))]
        return [["birefvideo", "matte"], [_no_option(called(clip))], *place, *words]

    return command


def _typed(ctx: Any) -> Iterator[list[str]]:
    for param in ctx.command.params:
        value = ctx.params.get(param.name)
        if ctx.get_parameter_source(param.name).name != "COMMANDLINE" or param.name in _NOT_OF_THE_JOB | _ADDED:
            continue
        if isinstance(value, bool):
            names = [name for name in (param.opts if value else param.secondary_opts) if name.strip()]
            yield [max(names, key=len)]
            continue
        flag = max(param.opts, key=len)
        for one in value if isinstance(value, list | tuple) else [value]:
            yield _option(flag, str(one))


def _option(flag: str, value: str) -> list[str]:
    return [f"{flag}={value}"] if value.startswith("-") else [flag, value]


def _no_option(name: str) -> str:
    return f".{os.sep}{name}" if name.startswith("-") else name


def _place(out: str, targets: Sequence[Target]) -> str:
    """Return where one job's outputs go: the file that the user named, or the folder."""
    first = targets[0].path
    if is_url(out):
        return shown(out) if first == out_place(out) else f"{called(first.parent)}/"
    return out if first == path(out) else f"{first.parent}{os.sep}"

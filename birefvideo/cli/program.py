"""The program around the commands: its help in groups, its errors in one line, and words for commands misspelt."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from birefvideo.cli.errors import STOPPED
from birefvideo.cli.printing import answer_lost, errors_go_to, outlets, print_error
from birefvideo.hints import meant
from birefvideo.jobs.options import GROUPS

COMPLETES = "_BIREFVIDEO_COMPLETE"
"""What a shell sets when it asks what may follow on its line."""
_COMPLETION = {"--install-completion", "--show-completion"}
_TYPE = re.compile(r" <.*>$")
"""What typer writes behind the name of an argument: its type in Python's words."""


def heading(group: str) -> str:
    """Return what the help calls one of `jobs.options.GROUPS`."""
    return f"{group} options"


class Command(TyperCommand):
    """A command whose help shows its options in groups, by their `rich_help_panel`."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, the groups in their order and what belongs to none in the last."""
        params = self.get_params(ctx)
        groups: dict[str, list[tuple[str, str]]] = {title: [] for title in ("Arguments", *map(heading, GROUPS))}
        rest = heading(GROUPS[-1]) if any(getattr(param, "rich_help_panel", None) for param in params) else "Options"
        for param in params:
            is_argument = param.param_type_name == "argument"
            title = "Arguments" if is_argument else getattr(param, "rich_help_panel", None) or rest
            if record := param.get_help_record(ctx):
                name = _TYPE.sub("", record[0]) if is_argument else record[0].lstrip(" /")
                groups.setdefault(title, []).append((name, record[1]))
        for title, records in ((title, records) for title, records in groups.items() if records):
            with formatter.section(title):
                formatter.write_dl(records)


class Program(TyperGroup):
    """All commands; typer's own errors end in one line too, and a stdout that is closed or full ends quietly."""

    def main(self, *arguments: Any, **more: Any) -> Any:
        """Run a command line, and exit with its code unless `standalone_mode` is False."""
        is_alone = more.pop("standalone_mode", True)
        with outlets():
            code = self._run(*arguments, **more)
            if lost := answer_lost():
                print_error(f"cannot print ({lost}): what was printed is not whole")
                code = code or 1
        if is_alone:
            sys.exit(code)
        return code

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first word names.

        Raises:
            UsageError: there is none; it says which one may have been meant.
        """
        word = args[0]
        if not word.startswith("-") and self.get_command(ctx, word) is None:
            hint = meant(word, self.commands)
            if Path(word).suffix or "/" in word or (Path(word).exists() and not hint):
                hint = f" (did you mean '{ctx.command_path} matte {shlex.join(args)}'?)"
            ctx.fail(f"there is no command {word!r}{hint}: choose from {', '.join(self.commands)}")
        return super().resolve_command(ctx, args)

    def _run(self, *arguments: Any, **more: Any) -> int:
        if os.environ.get(COMPLETES):  # errors would be printed into the line that is being typed
            errors_go_to(lambda line: None)
        words = more.get("args") or (arguments[0] if arguments else sys.argv[1:])
        if _COMPLETION & {*words}:
            more["prog_name"] = "birefvideo"  # no shell knows a command `python -m birefvideo`
        try:
            more["standalone_mode"] = False
            return super().main(*arguments, **more) or 0
        except typer.Abort:
            return STOPPED
        except Exception as error:
            if not hasattr(error, "format_message"):  # typer's own have it, be they click's or its copy's
                raise
            print_error(_in_our_words(error))
            return int(getattr(error, "exit_code", 2))


def _in_our_words(error: Any) -> str:
    """Return the line for an error of typer's."""
    context = error.ctx if hasattr(error, "ctx") else None
    line = error.format_message().strip().rstrip(".")
    name = getattr(error, "option_name", "")
    if context is None:
        return f"{line[:1].lower()}{line[1:]}"
    if name and hasattr(error, "possibilities"):
        known = [flag.strip() for param in context.command.params for flag in (*param.opts, *param.secondary_opts)]
        long = [flag for flag in known if flag.startswith("-")]
        line = f"there is no option {name}{meant(name, long)}"
    return f"{line[:1].lower()}{line[1:]}; {context.command_path} --help shows how to call it"

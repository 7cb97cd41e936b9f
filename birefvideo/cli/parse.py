"""Parameters of commands: paths, and the options of a job made from `Options`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from birefvideo.cli.completion import OF_OPTIONS
from birefvideo.cli.errors import reported
from birefvideo.cli.printing import print_error, tell
from birefvideo.cli.program import Command, heading
from birefvideo.cli.settings import AT_ONCE, key_of, settings
from birefvideo.errors import InputError
from birefvideo.hints import possible_path
from birefvideo.jobs.options import Options

ORIGINS = "birefvideo.origins"
"""Where a command's context keeps from which file or preset each option comes."""
STREAM = Path("-")
"""What stands for stdin or stdout."""


def path(text: str) -> Path:
    """Return the path that a user named.

    An empty name, which an unset variable leaves in a script, is refused: to pathlib it is the current folder. So are
    one that no file can have, and '-', by which other programs mean a pipe.
    """
    if not text:
        print_error("one of the names given is empty: name a file or folder ('.' is the current folder)")
        raise typer.Exit(2)
    if text == "-":
        print_error("- means a pipe, which birefvideo neither reads nor writes: name a file or folder (./- is one)")
        raise typer.Exit(2)
    try:
        return possible_path(text)
    except InputError as error:
        print_error(error)
        raise typer.Exit(2) from None


def path_or_stream(text: str) -> Path:
    """Return the path that a user named; `STREAM` for '-', while a file of that name is './-'."""
    if text == str(STREAM):
        return STREAM
    named = path(text)
    return named.absolute() if named == STREAM else named


def with_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return what gives a command a parameter for each of these fields of `Options` in place of its `**options`.

    The command receives those that the user changed, as text; `Options(**options)` parses them. Without names, it has
    all fields.
    """
    chosen = [option for option in fields(Options) if not names or option.name in names]
    return lambda command: _with_fields(command, chosen)


def _with_fields(command: Callable[..., None], chosen: Sequence[Any]) -> Callable[..., None]:
    def wrapped(**values: Any) -> None:
        given = {option.name: values.pop(option.name) for option in chosen}
        command(**values, **{name: value for name, value in given.items() if value not in (None, defaults[name])})

    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    where = 1 + max((i for i, p in enumerate(own) if p.name in ("out", "to")), default=-1)
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    parameters[where:where] = [_parameter(option) for option in chosen]
    defaults = {parameter.name: parameter.default for parameter in parameters}
    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    wrapped.__doc__, wrapped.__name__ = command.__doc__, command.__name__
    return wrapped


def _parameter(option: Any) -> inspect.Parameter:
    """Return the typer parameter of a field: text, or a flag that turns on what is off by default, or the reverse."""
    flag, default = _flag_of(option), None
    text, group = option.metadata["help"], heading(option.metadata["group"])
    kind: Any = str | None
    if isinstance(option.default, bool) and option.metadata["bare"] is None:
        kind = bool | None
        name = f" /{flag.replace('--', '--no-')}" if option.default else flag
        typed = typer.Option(name, help=text, show_default=False, rich_help_panel=group)
    else:
        completion = OF_OPTIONS.get(option.name)
        shown = option.metadata["metavar"]
        typed = typer.Option(flag, help=text, metavar=shown, rich_help_panel=group, autocompletion=completion)
        # A default that text stands for is shown in the help, and is then as if the user had typed it.
        is_text = isinstance(option.default, str | int) and not isinstance(option.default, bool)
        default = str(option.default) if is_text else None
    annotation = Annotated[kind, typed]
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _flag_of(option: Any) -> str:
    return f"--{option.name.replace('_', '-')}"


class JobCommand(Command):
    """A command with options whose value may be left out, and that presets and config files may set.

    `--premultiplied` stands for `--premultiplied black`.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command, once it is told which options come from a file or a preset."""
        origins = ctx.meta.get(ORIGINS, {})
        used = [name for name in origins if ctx.get_parameter_source(name).name == "DEFAULT_MAP"]
        if not ctx.params.get("quiet"):
            for origin in dict.fromkeys(origins[name] for name in used):
                keys = (key_of(param) for param in self.params if param.name in used and origins[param.name] == origin)
                tell(f"from {origin}: {', '.join(keys)}")
        return super().invoke(ctx)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line with the values filled in."""
        return super().parse_args(ctx, with_values(args))


def use_settings(ctx: typer.Context, preset: str | None) -> str | None:
    """Let presets and config files give the defaults of a command's options; the callback of its eager --preset."""
    if ctx.resilient_parsing:  # a shell that completes a command line
        return preset
    with reported(debug=False):
        found = settings(ctx.command.params, preset)
    ctx.default_map = found.values
    ctx.meta[ORIGINS] = found.origins
    return found.values.get("preset")


def checked_jobs(value: int) -> int:
    """Return how many jobs run at once; the callback of --jobs.

    Raises:
        BadParameter: it is out of range.
    """
    try:
        return AT_ONCE(value) or 1
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def with_values(args: list[str]) -> list[str]:
    """Return the words of a command line with a value after each option that may stand alone and does."""
    bare = {_flag_of(option): option for option in fields(Options) if option.metadata["bare"]}
    words: list[str] = []
    end = args.index("--") if "--" in args else len(args)
    for index, word in enumerate(args):
        words.append(word)
        following = args[index + 1] if index + 1 < end else None
        if word in bare and index < end and not _is_colour(following):
            words.append(bare[word].metadata["bare"])
    return words


def _is_colour(word: str | None) -> bool:
    from birefvideo.media.colour_names import parse_colour

    try:
        return word is not None and bool(parse_colour(word))
    except ValueError:
        return False


def parse_times(start: str | None, end: str | None) -> Options:
    """Return options that hold the times of a trimmed output.

    Raises:
        OptionError: one is no time, or the end is not after the start.
    """
    return Options(start=start, end=end)

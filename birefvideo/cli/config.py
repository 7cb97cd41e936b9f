"""`birefvideo config`: which options a job would have, and where each comes from."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from birefvideo.cli.completion import complete_presets
from birefvideo.cli.errors import reported
from birefvideo.cli.presets import PRESETS
from birefvideo.cli.printing import answer, answer_json, answer_lines
from birefvideo.cli.settings import TABLE, config_files, key_of, settings, takes_config
from birefvideo.cli.shared_options import AsJson, Debug
from birefvideo.cli.table import table
from birefvideo.jobs.options import Options

DEFAULT = "default"
"""Where a value comes from that nobody has given."""


def config(
    context: typer.Context,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset", metavar="NAME", autocompletion=complete_presets, help="As if `matte` were given this one."
        ),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show the options that `birefvideo matte` would have here, and where each comes from.

    They may stand in birefvideo.toml, in the current folder or in your own config folder: one a line, called as on the
    command line, such as smooth = 3. The command line wins over the current folder, that over your own, and that over
    a preset.
    """
    with reported(debug):
        params = [param for param in _command(context).params if takes_config(param)]
        found = settings(params, preset)
    rows = []
    for param in params:
        name = str(param.name)
        value = found.values[name] if name in found.values else _default(param)
        rows.append((key_of(param), value, found.origins.get(name, DEFAULT)))
    if as_json:
        answer_json(
            {
                "files": [{"path": str(file.absolute()), "is_there": file.exists()} for file in config_files()],
                "presets": {name: {"purpose": row.purpose, "sets": dict(row.sets)} for name, row in PRESETS.items()},
                "options": {key: {"value": value, "from": origin} for key, value, origin in rows},
            }
        )
        return
    cells = [("option", "value", "from"), *((key, _shown(value), origin) for key, value, origin in rows)]
    answer_lines(table(cells, (0, 2, 2)))
    answer()
    sets = [(name, f"{row.purpose}: {_as_file(row.sets)}") for name, row in PRESETS.items()]
    answer_lines(table([("preset", "what for, and what it sets"), *sets], (0, 1)))
    answer()
    for file in config_files():
        answer(f"{'read' if file.exists() else 'would be read'}: {file.absolute()}")


def _command(context: typer.Context) -> Any:
    group: Any = context.find_root().command
    return group.get_command(context, TABLE)


def _default(param: Any) -> Any:
    """Return the value of an option that nobody has given, as JSON has it."""
    (value,) = [option.default for option in fields(Options) if option.name == param.name] or [param.default]
    if isinstance(value, tuple):
        return ",".join(f"{one:g}" for one in value)
    return str(value) if isinstance(value, Path) else value


def _shown(value: Any) -> str:
    """Return a value as a table shows it, and as TOML has it but for its quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else ", ".join(value) if isinstance(value, list) else str(value)


def _as_file(sets: Any) -> str:
    return ", ".join(f"{key} = {_shown(value)}" for key, value in sets.items())

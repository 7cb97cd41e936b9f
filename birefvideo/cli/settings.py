"""Options of `matte` that come from presets and config files, and which of them counts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import typer

from birefvideo.cli.presets import PRESETS
from birefvideo.errors import BirefvideoError, OptionError, named, with_arguments
from birefvideo.hints import meant
from birefvideo.jobs.option_values import whole_number
from birefvideo.jobs.options import Options, parse_option

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIG = "birefvideo.toml"
"""Name of a config file."""
NO_CONFIG = "BIREFVIDEO_NO_CONFIG"
"""Variable that keeps config files away, with the value 1: programs that start the command say all that they want."""
ON_COMMAND_LINE = "command line"
"""Where a value comes from that the user has just typed."""
TABLE = "matte"
"""The table of a config file that holds options; they may also stand before all tables."""
_MOST = 1 << 20
"""Bytes that a config file has at most."""
AT_ONCE = whole_number(1, 64, "a number of inputs from 1 to 64")
"""Parses --jobs."""
_PATHS = ("out", "report", "files_from")
"""Options that name files; in a config file they count from its folder on."""
_NO_PATHS = ("-", "none")
"""Values of these that name none."""


@dataclass
class Settings:
    """Values of options other than from the command line, by the names of their parameters."""

    values: dict[str, Any] = field(default_factory=dict)
    """As the command takes them."""
    origins: dict[str, str] = field(default_factory=dict)
    """Where each comes from: 'preset NAME' or a file."""

    def take(self, values: Mapping[str, Any], origin: str) -> None:
        """Let values win over those so far."""
        self.values |= values
        self.origins |= dict.fromkeys(values, origin)


def config_files() -> tuple[Path, ...]:
    """Return where config files lie: the user's, and the one of the current folder, which wins; none where unwanted."""
    if os.environ.get(NO_CONFIG) == "1":
        return ()
    return Path(typer.get_app_dir("birefvideo"), CONFIG), Path(CONFIG)


def settings(params: Iterable[Any], preset: str | None) -> Settings:
    """Return what presets and config files say of a command's parameters.

    The folder's file wins over the user's, and both win over the preset, which the command line or they name.

    Raises:
        OptionError: a file cannot be read, or has a key or a value that is not allowed; or there is no such preset.
    """
    known = {key_of(param): param for param in params if takes_config(param)}
    files = [(file, _read(file, known)) for file in config_files()]
    asked = [(preset, ON_COMMAND_LINE), *((values.get("preset"), str(file)) for file, values in reversed(files))]
    name, origin = next(((name, origin) for name, origin in asked if name is not None), ("", ""))
    found = Settings()
    if name:
        row = PRESETS.get(name)
        if row is None:
            where = named("preset") if origin == ON_COMMAND_LINE else f"{origin}: preset"
            raise OptionError(f"{where} is {name!r}: give one of {', '.join(PRESETS)}{meant(name, PRESETS)}")
        found.take({key: _as_typed(known[key], value) for key, value in row.sets.items()}, f"preset {name}")
    for file, values in files:
        found.take(values, str(file))
    if name:
        found.take({"preset": name}, origin)
    return found


def key_of(param: Any) -> str:
    """Return what a parameter is called in a config file: as its long flag."""
    flags = [flag.strip() for flag in (*param.opts, *param.secondary_opts)]
    long = [flag[2:] for flag in flags if flag.startswith("--") and not flag.startswith("--no-")]
    return long[0] if long else str(param.name).replace("_", "-")


def takes_config(param: Any) -> bool:
    """Return whether a parameter may stand in a config file: all options but --help."""
    return param.param_type_name == "option" and param.name not in ("help", "debug")


def _read(file: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a config file holds, by the names of their parameters; none where there is no file."""
    table = _load(file)
    inner = table.pop(TABLE, {})
    if not isinstance(inner, dict):
        raise OptionError(f"{file}: {TABLE} is {inner!r}: it is a table, [{TABLE}]")
    values: dict[str, Any] = {}
    for key, value in (*table.items(), *inner.items()):
        param = known.get(key.replace("_", "-"))
        if param is None:
            raise OptionError(f"{file}: there is no option {key!r}{meant(key, known)}; `birefvideo config` lists all")
        if param.name in values:
            raise OptionError(f"{file}: {key} is there twice: leave one out")
        try:
            values[param.name] = _checked(param, _from_folder(param.name, value, file.parent))
        except ValueError as error:
            raise OptionError(f"{file}: {key} is {value!r}: {error}") from None
        except BirefvideoError as error:
            raise OptionError(f"{file}: {with_arguments(error.message)}") from None
    return values


def _load(file: Path) -> dict[str, Any]:
    """Return what a config file holds; nothing where there is none."""
    try:
        with file.open("rb") as opened:
            data = opened.read(_MOST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise OptionError(f"{file} cannot be read ({error.strerror}): check its permissions, or move it") from error
    if len(data) > _MOST:
        raise OptionError(f"{file} is larger than any config file: move it")
    try:
        table: dict[str, Any] = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{file} is no TOML: {error}") from None
    return table


def _checked(param: Any, value: Any) -> Any:
    """Return the value of a config file as the command takes it.

    Raises:
        ValueError: it is of the wrong kind; says what to give.
        BirefvideoError: it is not allowed.
    """
    typed = _as_typed(param, value)
    if param.name in (option.name for option in fields(Options)):
        if typed is not None:
            parse_option(param.name, typed)
    elif param.name == "to":
        from birefvideo.media.format_table import get_formats

        get_formats(typed)
    elif param.name == "jobs":
        AT_ONCE(typed)
    return typed


def _as_typed(param: Any, value: Any) -> Any:
    """Return a value as the command line would give it: flags as they are, lists of repeatable options, else text."""
    is_field = param.name in (option.name for option in fields(Options))
    bare = next((o.metadata["bare"] for o in fields(Options) if o.name == param.name), None)
    if param.is_flag or (bare and isinstance(value, bool)):
        if not isinstance(value, bool):
            raise ValueError("give true or false")
        return value if param.is_flag else (bare if value else None)
    if param.multiple:
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not found or not all(isinstance(one, str) for one in found):
            raise ValueError("give a text or a list of texts")
        return found
    if is_field and isinstance(value, list) and value and all(type(one) in (int, float) for one in value):
        return ("x" if param.name == "size" else ",").join(map(str, value))
    if type(param.default) is int:
        if type(value) is not int:
            raise ValueError("give a number")
        return value
    if isinstance(value, bool | list | dict) or (not is_field and not isinstance(value, str)):
        raise ValueError("give a text")
    return str(value)


def _from_folder(name: str, value: Any, folder: Path) -> Any:
    """Return a value in which a relative path counts from the folder of its config file on."""
    if not isinstance(value, str):
        return value
    is_path = name in _PATHS and value not in _NO_PATHS
    is_there = name in ("model", "background") and folder != Path() and (folder / value).exists()
    return str(folder / value) if is_path or is_there else value

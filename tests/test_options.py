"""Options: one field each, parsed alike for the command line and for Python, and refused in each one's own words."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

import birefvideo
from birefvideo.cli import app
from birefvideo.cli.matte import matte
from birefvideo.cli.parse import _parameter
from birefvideo.errors import InputError, OptionError, named, with_arguments, with_flags
from birefvideo.jobs.arguments import DIRECTIONS, FrameArguments, JobArguments
from birefvideo.jobs.options import Options, parse_option

NAMES = [option.name for option in fields(Options)]


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("start", "0:05", 5),
        ("start", "1:02:03.5", 3723 + Fraction(1, 2)),
        ("start", ".5", Fraction(1, 2)),
        ("start", 2, 2),
        ("start", 0.1, Fraction(1, 10)),
        ("start", Fraction(1, 3), Fraction(1, 3)),
        ("start", np.float32(0.5), Fraction(1, 2)),
        ("start", np.int64(7), 7),
        ("start", None, None),
        ("size", "1024x576", (1024, 576)),
        ("size", "1024×576", (1024, 576)),
        ("size", "640", 640),
        ("size", np.int64(640), 640),
        ("size", [640, 352], (640, 352)),
        ("smooth", "3", 3),
        ("smooth", np.int32(1), 1),
        ("batch", "4", 4),
        ("batch", None, None),
        ("device", torch.device("cuda", 1), "cuda:1"),
        ("dtype", torch.bfloat16, "bfloat16"),
        ("dtype", "float16", "float16"),
        ("model", Path("folder"), "folder"),
        ("background", (1, 2, 3), (1, 2, 3)),
        ("background", "1,2,3", (1, 2, 3)),
        ("background", "#fff", (255, 255, 255)),
        ("despill", "Auto", "auto"),
        ("despill", (0, 200, 0), (0, 200, 0)),
        ("fps", 23.976, Fraction(24000, 1001)),
        ("fps", 24000 / 1001, Fraction(24000, 1001)),  # sixteen digits as text
        ("start", "0.1234567890123456", Fraction("0.1234567890123456")),
        ("premultiplied", "black", True),
        ("premultiplied", True, True),
        ("deinterlace", False, False),
    ],
)
def test_text_and_python_values_mean_the_same(name: str, given: Any, wanted: object) -> None:
    found = getattr(Options(**{name: given}), name)
    assert found == wanted
    assert type(found) is not bool or isinstance(wanted, bool)
    assert parse_option(name, found) == found  # what was parsed may be passed on


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("start", "soon"),
        ("start", "1:60"),
        ("start", "1e9"),
        ("start", "9" * 400),
        ("start", -1),
        ("start", math.nan),
        ("start", math.inf),
        ("start", True),
        ("end", object()),
        ("size", 100),
        ("size", "100"),
        ("size", "64x64x64"),
        ("size", ()),
        ("size", (64.0, 64)),
        ("size", True),
        ("smooth", -1),
        ("smooth", "two"),
        ("smooth", 1.5),
        ("batch", 0),
        ("batch", True),
        ("device", "gpu"),
        ("dtype", "int8"),
        ("model", 7),
        ("background", "nowhere.png"),
        ("background", (1, 2)),
        ("background", (1, 2, 300)),
        ("background", Path("nowhere.png")),
        ("despill", "grey"),
        ("despill", 5),
        ("fps", "1/0"),
        ("fps", math.nan),
        ("fps", "1e999999999"),
        ("premultiplied", "red"),
        ("audio", "second"),
        ("audio", ["all"]),
        ("start", 10**400),
        ("background", "x" * 300),
        ("background", "a\0b"),
        ("deinterlace", "no"),
    ],
)
def test_a_bad_value_is_refused_with_the_option_s_name_and_what_is_allowed(name: str, given: Any) -> None:
    with pytest.raises(OptionError) as caught:
        Options(**{name: given})
    message = str(caught.value)
    assert message.startswith(f"{name} is {given!r}: ")
    assert any(word in message for word in ("give ", "only ")) and "\n" not in message
    flag = f"--{name}"
    assert caught.value.for_terminal().startswith(f"{flag} is ")
    assert f"{flag} " not in message.split(": ")[0]


def test_the_end_comes_after_the_start() -> None:
    with pytest.raises(OptionError, match=r"^end \(1 s\) is not after start \(2 s\)$"):
        Options(start=2, end="0:01")
    with pytest.raises(OptionError, match="is not after"):
        Options(start=2).changed(end=2)


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    with pytest.raises(OptionError, match=r"no option smoth \(did you mean 'smooth'\?\): choose from model, .*smooth"):
        Options(smoth=2)  # type: ignore[call-arg]


def test_changed_keeps_the_rest() -> None:
    options = Options(smooth=1, background="blue").changed(start="0:01")
    assert (options.smooth, options.background, options.start) == (1, (0, 71, 187), 1)


def test_type_checkers_know_every_option() -> None:
    assert set(JobArguments.__annotations__) == set(NAMES)
    assert set(FrameArguments.__annotations__) == set(NAMES) - {
        "background",
        "fit",
        "premultiplied",
        "audio",
        *DIRECTIONS,
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_a_parameter_of_the_command_with_its_help(name: str) -> None:
    parameter = inspect.signature(matte).parameters[name]
    (option,) = (option for option in fields(Options) if option.name == name)
    typed = parameter.annotation.__metadata__[0]
    assert typed.help == option.metadata["help"]
    assert parse_option(name, option.default if parameter.default is None else parameter.default) == option.default


def test_help_shows_every_option_at_80_columns() -> None:
    shown = CliRunner().invoke(app, ["matte", "--help"], env={"COLUMNS": "80"}).stdout
    for name in NAMES:
        assert f"--{'no-' if name == 'deinterlace' else ''}{name.replace('_', '-')}" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_an_error_names_flags_on_the_terminal_and_arguments_in_python(clip: Any) -> None:
    run = CliRunner().invoke(app, ["matte", str(clip("plain")), "--start", "99"])
    assert run.exit_code == 2 and "--start 99 s is past the end" in run.stderr
    with pytest.raises(OptionError, match=r"^start 99 s is past the end"):
        birefvideo.matte(clip("plain"), start=99)


def test_options_of_files_are_refused_where_no_file_is_written(clip: Any) -> None:
    with pytest.raises(OptionError, match="audio is for files"):
        birefvideo.mattes(clip("plain"), audio="none")  # type: ignore[call-arg]
    with pytest.raises(OptionError, match="smooth is -1"):
        birefvideo.mattes(clip("plain"), smooth=-1)  # at once, not at the first frame
    with pytest.raises(OptionError, match="to is empty"):
        birefvideo.matte(clip("plain"), to=[])


def test_messages_name_options_for_both_readers() -> None:
    text = f"use {named('to', 'png')} or {named('overwrite', True)}, {named('deinterlace', False)} and {named('out')}"
    assert with_flags(text) == "use --to png or --overwrite, --no-deinterlace and -o"
    assert with_arguments(text) == "use to='png' or overwrite=True, deinterlace=False and out"
    error = InputError(text)
    assert str(error) == with_arguments(text) and error.for_terminal() == with_flags(text)
    assert repr(error) == f"InputError({with_arguments(text)!r})"


def test_a_switch_that_is_off_by_default_becomes_a_flag() -> None:
    @dataclass(frozen=True)
    class Made:
        flip_it: bool = field(
            default=False, metadata={"help": "Turn over.", "group": "Picture", "metavar": "", "bare": None}
        )

    (made,) = fields(Made)
    parameter = _parameter(made)
    command = typer.Typer(add_completion=False)

    def show(**options: Any) -> None:
        typer.echo(str(options))

    show.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    show.__annotations__ = {parameter.name: parameter.annotation}
    command.command()(show)
    assert CliRunner().invoke(command, ["--flip-it"]).stdout == "{'flip_it': True}\n"
    assert CliRunner().invoke(command, []).stdout == "{'flip_it': None}\n"

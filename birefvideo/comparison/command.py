"""The command that the user runs next, as a shell takes it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from fractions import Fraction
from pathlib import Path

from birefvideo.jobs.arguments import EDGE
from birefvideo.jobs.options import Options
from birefvideo.media.writing.background import Background, Blur

_UNUSUAL = re.compile("[^ -~\u00a1-\ud7ff\uf900-\ufdff\ufe10-\ufefe\uff01-\uffef\U00010000-\U0001ffff]|[\u2000-\u206f]")
"""What may not be shown or pasted as it is: control characters, marks of direction, bytes that are no UTF-8."""


def matte_command(source: Path, options: Options) -> str:
    """Return the command that mattes a clip with these options' model, size, background, edge and times."""
    words = ["birefvideo", "matte", _file(source), "--model", str(options.model)]
    if options.size is not None:
        size = options.size
        words += ["--size", "x".join(map(str, size)) if isinstance(size, tuple) else str(size)]
    if options.asks_for_background:
        chosen = options.background
        words += ["--background", _background(chosen)]
    for name in ("fit", *EDGE):
        if name in options.given:
            value = getattr(options, name)
            shown = ",".join(f"{part:g}" for part in value) if isinstance(value, tuple) else value
            words += [f"--{name.replace('_', '-')}", shown if isinstance(shown, str) else f"{shown:g}"]
    for name in ("start", "end"):
        if (time := getattr(options, name)) is not None:
            words += [f"--{name}", _seconds(time)]
    if options.device != "auto":
        words += ["--device", options.device]
    return " ".join(map(quoted, words))


def quoted(word: str) -> str:
    """Return a word as the shell of this system takes it, whatever is in it; the result is one line."""
    if os.name == "nt":
        return subprocess.list2cmdline([word])
    if not _UNUSUAL.search(word):
        return shlex.quote(word)
    codes = (f"\\x{byte:02x}" if byte < 32 or byte > 126 or byte in b"\\'" else chr(byte) for byte in os.fsencode(word))
    return f"$'{''.join(codes)}'"


def _background(chosen: Background) -> str:
    if isinstance(chosen, Path):
        return _file(chosen)
    return str(chosen) if isinstance(chosen, Blur) else "#{:02x}{:02x}{:02x}".format(*chosen)


def _file(path: Path) -> str:
    """Return a path that is not taken for an option."""
    text = str(path)
    return f"./{text}" if text.startswith("-") else text


def _seconds(time: Fraction) -> str:
    return f"{float(time):.6f}".rstrip("0").rstrip(".")

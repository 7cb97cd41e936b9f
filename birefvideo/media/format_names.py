"""Names of output formats as users write them: several in one word, and what was meant by one that there is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from birefvideo.errors import named
from birefvideo.hints import meant
from birefvideo.media.output_format import Format


def single_names(names: Iterable[str]) -> list[str]:
    """Return names one by one, where some are several with commas between, as in 'prores,webm'."""
    return [word.strip() for name in names for word in name.split(",") if word.strip() or "," not in name]


def unknown_format(name: str, rows: Sequence[Format], pairs: Iterable[str]) -> str:
    """Return the line for a name that is no format's: what was meant, and all names."""
    names = [*(row.name for row in rows), *pairs]
    hint = _written_as(name, rows) or meant(name, names)
    return f"unknown output format {name!r}{hint}: choose from {', '.join(names)}"


def is_named_as_ours(path: Path, rows: Iterable[Format]) -> bool:
    """Return whether a file's name has the whole ending that an output of some format gets, such as _alpha.mov."""
    return path.name.lower().endswith(tuple(row.suffix for row in rows))


def no_ending(path: Path, rows: Sequence[Format]) -> str:
    """Return the line for a file's name that shows no format."""
    known = ", ".join(row.suffix for row in rows if row.extension)
    ways = f"end it with one of {known}, or use {named('to')}"
    return f"cannot find the output format of {path.name!r}: {ways}"


def unknown_ending(path: Path, rows: Sequence[Format]) -> str:
    """Return why a path is neither a file that can be written nor, by its look, a folder; or ''."""
    ending = path.suffix.lower()
    known = sorted({row.extension for row in rows} - {""})
    letters = ending[1:]
    if ending in known or not (letters.isascii() and letters.isalnum() and letters[:1].isalpha() and len(letters) <= 5):
        return ""
    pictures = [row.name for row in rows if row.picture_suffix == ending]
    if pictures:
        way = f"{named('to', pictures[0])} makes a folder of them: name one without an ending"
        return f"{path} is one picture: {way}"
    wanted = f"end it with {', '.join(known)}, or name a folder (with a / at its end, if its name has a point)"
    return f"{path} is not a kind of file that can be written{meant(ending, known)}: {wanted}"


def _written_as(word: str, rows: Sequence[Format]) -> str:
    """Return which formats have a word as the ending of their files, or as their codec, or ''."""
    small = word.lower().lstrip(".")
    if not small:
        return ""
    for what in ("extension", "picture_suffix", "written_codec"):
        first, *others = [row.name for row in rows if getattr(row, what).lstrip(".") == small] or [""]
        if first:
            too = f"; so {'is' if len(others) == 1 else 'are'} {', '.join(others)}" if others else ""
            return f" ({first} is {'in that codec' if what == 'written_codec' else f'the .{small}'}{too})"
    return ""

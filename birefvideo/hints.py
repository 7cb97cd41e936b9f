"""What a user may have meant by a word or a name that leads nowhere, for messages."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from os import PathLike
from pathlib import Path

from birefvideo.errors import InputError

_ALIKE = 0.6
"""Share of a word's letters, in order, that another one must have in common with it, as difflib counts."""
_LISTED = 10_000
"""Names of a folder that are looked at."""
_PLAYER = re.compile(
    r"(https?://)?(www\.|m\.)?(youtube\.com|youtu\.be|vimeo\.com|dailymotion\.com|twitch\.tv|tiktok\.com|instagram\.com"
    r"|facebook\.com|x\.com|twitter\.com|bilibili\.com)([:/?#]|$)",
    re.IGNORECASE,
)
"""Addresses of pages; the files that some of these places give lie on other hosts."""
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/|www\.|(m\.)?youtu(\.be|be\.com)/", re.IGNORECASE)


PLAYS = "is a page that plays a film, not the file of one; download it first and name the file"
"""What to do about an address of which `is_player` is true."""


def meant(word: str, choices: Iterable[str]) -> str:
    """Return ' (did you mean …?)' with the choice that is most like a word, or '' where none is."""
    found = nearest(word, choices)
    return f" (did you mean {found!r}?)" if found else ""


def meant_file(path: Path) -> str:
    """Return ' (did you mean …?)' with the file whose name is most like that of a path, or '' where none is."""
    try:
        found = nearest_file(path)
    except (OSError, ValueError):
        found = None
    return f" (did you mean {str(found)!r}?)" if found else ""


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return the choice that is most like a word, capitals or not, or '' where none is."""
    by_small = {choice.lower(): choice for choice in reversed(list(choices))}
    small = word.strip().lower()
    found = get_close_matches(small, by_small, 1, _ALIKE)
    if not found and len(small) >= 3:  # the beginning of a long name
        found = [name for name in by_small if name.startswith(small)][-1:]
    return by_small[found[0]] if found else ""


def possible_path(name: str | PathLike[str]) -> Path:
    """Return the path that a user named.

    Raises:
        InputError: no file can have that name.
    """
    if not isinstance(name, str | PathLike):
        raise InputError(f"{type(name).__name__} is no name of a file: give a str or a path")
    path = Path(name)
    try:
        path.exists()
    except PermissionError:
        pass  # which is said where the file is used
    except (OSError, ValueError) as error:
        text = str(name)
        raise InputError(f"{text[:60]}{'…' if len(text) > 60 else ''} {_why_impossible(error)}") from None
    return path


def why_missing(path: Path) -> str:
    """Return why there is nothing at a path and what was meant instead, as '… does not exist; …', or '' where it is."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return _nothing_there(path)
    except (OSError, ValueError) as error:
        return f"{path} {_why_impossible(error)}"
    return ""


def _why_impossible(error: OSError | ValueError) -> str:
    """Return what a name is that the system refuses."""
    number = getattr(error, "errno", None)
    if number == errno.ENAMETOOLONG:
        return "is too long to be a file's name; check it"
    if number is None:
        return "cannot be a file's name: it holds a null character"
    return f"cannot be read ({getattr(error, 'strerror', None) or error}); check the name and its permissions"


def address(name: str) -> str:
    """Return what to do where a name is an address on the network, or ''."""
    found = _ADDRESS.match(name.strip())
    if found is None:
        return ""
    if (found[1] or "").lower() == "file":
        return "is an address, not a file's name; leave out what stands before its path"
    if is_player(name):
        return PLAYS
    return "is an address on the network, where only `matte` looks, for its clips; download it first and name the file"


def is_player(url: str) -> bool:
    """Return whether an address is of a page that plays a film, of which a program is needed to get the film."""
    return _PLAYER.match(url.strip()) is not None


def nearest_file(path: Path) -> Path | None:
    """Return the file or folder whose name is most like that of a path which leads nowhere."""
    rest: list[str] = []
    while not path.parent.is_dir() and path.parent != path:
        rest.append(path.name)
        path = path.parent
    is_hidden = path.name.startswith(".")
    try:
        names = [file.name for file in islice(path.parent.iterdir(), _LISTED)]
    except OSError:
        return None
    found = nearest(path.name, (name for name in names if is_hidden or not name.startswith(".")))
    if not found:
        return None
    whole = path.with_name(found).joinpath(*reversed(rest))
    return whole if whole.exists() else path.with_name(found)


def _nothing_there(path: Path) -> str:
    if reason := address(str(path)):
        return f"{re.sub(':/(?!/)', '://', str(path), count=1)} {reason}"  # pathlib takes two slashes for one
    try:
        if path.is_symlink():
            return f"{path} is a link to {path.readlink()}, which does not exist; name the file itself"
        found = nearest_file(path)
    except (OSError, ValueError):
        found = None
    return f"{path} does not exist; {f'did you mean {str(found)!r}?' if found else 'check the name and the folder'}"

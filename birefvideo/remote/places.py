"""What URLs are called on this machine: where a file at one lies while a job runs, and how messages name it."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import threading
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard
from urllib.parse import unquote, urlsplit

from birefvideo.errors import InputError
from birefvideo.paths import is_file_name

ROOT = "BIREFVIDEO_CACHE"
"""Environment variable that says where files at URLs lie meanwhile."""
_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)  # one letter would be a drive of Windows
_ON_THIS_MACHINE = ("file", "local")
_WEB = ("http", "https")
_WITH_CONTAINER = ("abfs", "abfss", "adl", "az", "wasb", "wasbs", "oci", "github")
"""Schemes whose URLs have before the '@' not who asks, but a part of the place: a container, a bucket, a project."""


_KNOWN: dict[Path, str] = {}
"""The URLs of this process by where their files lie; what they hold of credentials is kept nowhere else."""
_KEEPING = threading.Lock()


def is_url(name: object) -> TypeGuard[str]:
    """Return whether a name is one of a file elsewhere: a scheme of several letters, '://', and the rest."""
    found = _URL.match(name) if isinstance(name, str) else None
    return found is not None and found[1].lower() not in _ON_THIS_MACHINE


def root() -> Path:
    """Return the folder in which files at URLs lie meanwhile."""
    if chosen := os.environ.get(ROOT):
        return Path(chosen).absolute()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home())
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base).absolute() / "birefvideo" / "remote"


def place_of(url: str, job: str = "") -> Path:
    """Return where the file at a URL is to lie; files of one folder lie in one, so that names beside it are right.

    Args:
        url: of the file.
        job: what else tells jobs apart which may run at once; those with the same one share a copy.

    Raises:
        InputError: no file can be called so, or it is in an archive.
    """
    name, parent = name_in(url), _path_of(url).rpartition("/")[0]
    # One name may be many files, told apart by the query.
    folder = _folder_of(parent, f"{job}{url.removeprefix(_path_of(url))}")
    _keep(folder, parent)
    return _keep(folder / name, url)


def place_of_folder(url: str, job: str = "") -> Path:
    """Return where what belongs into the folder at a URL is to lie.

    Raises:
        InputError: it is in an archive.
    """
    _check_plain(url)
    bare = url.rstrip("/")
    return _keep(_folder_of(bare, job), bare)


def out_place(out: str) -> Path:
    """Return where what goes to a URL is to lie: a file's or a folder's, as of a path of this machine.

    Raises:
        InputError: it is in an archive, or no file here can be called so.
    """
    is_bucket = "/" not in out[out.index("://") + 3 :]
    return place_of_folder(out) if out.endswith("/") or is_bucket else place_of(out)


def job_of(out: str | PathLike[str] | None) -> str:
    """Return what tells apart jobs that fetch one clip at once: where their outputs go."""
    return "" if out is None else shown(out) if is_url(out) else str(Path(out).absolute())


def place_below(folder: Path, names: PurePosixPath, url: str) -> Path:
    """Return where a file is to lie that was found below a folder, whose tree is kept.

    Raises:
        InputError: no file can be called so.
    """
    for name in names.parts:
        _check_name(name, url)
    return folder.joinpath(*names.parts)


def _folder_of(url: str, job: str) -> Path:
    """Return a folder of its own for a URL, whatever its secrets are."""
    name = f"{_owner_in(url)}{shown(url)}\0{job}"
    return root() / hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:16]


def _owner_in(url: str) -> str:
    """Return the account or container before the '@' of a store's URL, which tells files of one path apart."""
    authority = url.partition("://")[2].partition("/")[0]
    return "" if is_read_only(url) else authority.rpartition("@")[0].partition(":")[0]


def url_of(place: Path) -> str | None:
    """Return the URL, with all that it takes to use it, that a place stands for; None of a file of this machine."""
    if place in _KNOWN:
        return _KNOWN[place]
    for folder in place.parents:
        if folder in _KNOWN:
            return f"{_KNOWN[folder].rstrip('/')}/{place.relative_to(folder).as_posix()}"
    return None


def url_at(place: Path) -> str:
    """Return the URL of a place that stands for one.

    Raises:
        LookupError: it is a file of this machine.
    """
    url = url_of(place)
    if url is None:
        raise LookupError(f"{place} stands for no URL")
    return url


def address_of(place: Path) -> str | None:
    """Return the URL that a place stands for, without credentials; None of a file of this machine."""
    url = url_of(place)
    return None if url is None else shown(url)


def is_read_only(url: str) -> bool:
    """Return whether nothing can be written to a URL, whatever its server says: a web page's is not a store's."""
    return url.partition(":")[0].lower() in _WEB


def called(place: Path) -> str:
    """Return what a place is called to whoever reads it: its own path, or the URL that it stands for."""
    url = url_of(place)
    return str(place) if url is None else shown(url)


def shown(url: str) -> str:
    """Return a URL without its credentials: no user, no password, and of a query only that there is one.

    What Azure's URLs name before the '@' is a container, without which they would name another place.
    """
    found = _URL.match(url)
    if found is None:
        return url
    scheme, rest = url[: found.end()], url[found.end() :]
    authority, slash, key = rest.partition("/")
    if _has_query(url):
        key, mark, _ = key.partition("#")[0].partition("?")
        authority = authority if key or mark or slash else authority.partition("?")[0]
        key += "?…" if mark else ""
    return f"{scheme}{authority.removeprefix(_user_in(scheme, authority))}{slash}{key}"


def in_words(text: str) -> str:
    """Return a text in which the places of this process are called by their URLs, and whole URLs have no secrets."""
    if "://" not in text and str(root()) not in text:
        return text
    with _KEEPING:
        known = sorted(_KNOWN.items(), key=lambda one: len(str(one[0])), reverse=True)
    for place, url in known:
        text = text.replace(str(place), shown(url)).replace(url, shown(url))
    return text


def worded(value: Any) -> Any:
    """Return a value as JSON has them with `in_words` said of every text in it."""
    if isinstance(value, str):
        return in_words(value)
    if isinstance(value, dict):
        return {key: worded(one) for key, one in value.items()}
    return [worded(one) for one in value] if isinstance(value, list | tuple) else value


def without_secrets(text: str, url: str) -> str:
    """Return what a library says of a URL, without what must not be shown of it."""
    text = text.replace(url, shown(url))
    found = _URL.match(url)
    user = _user_in(found[0], url[found.end() :].partition("/")[0]).removesuffix("@") if found else ""
    secrets = [user, *user.split(":", 1)[1:]]
    if _has_query(url):
        secrets += [urlsplit(url).query]
    for secret in filter(None, dict.fromkeys([*secrets, *map(unquote, secrets)])):
        text = text.replace(secret, "…")
    return text


def name_in(url: str) -> str:
    """Return the name of the file at a URL, without query and fragment where it may have them.

    Raises:
        InputError: it has none, or none that a file here can have.
    """
    _check_plain(url)
    name = _path_of(url).rpartition("/")[2]
    name = unquote(name) if urlsplit(url).scheme.lower() in _WEB else name
    _check_name(name, url)
    return name


def _keep(place: Path, url: str) -> Path:
    with _KEEPING:
        _KNOWN[place] = url
    return place


def _check_plain(url: str) -> None:
    if "::" in url:
        raise InputError(f"{shown(url)} is a file in an archive: name the URL of a clip")


def _check_name(name: str, url: str) -> None:
    if not name:
        raise InputError(f"{shown(url)} names no file: give the whole URL of a clip")
    if not is_file_name(name):
        raise InputError(f"{shown(url)} ends in a name that no file here can have: rename it there")


def _path_of(url: str) -> str:
    return url.partition("#")[0].partition("?")[0] if _has_query(url) else url


def _user_in(scheme: str, authority: str) -> str:
    """Return what of a URL's authority says who asks, with the '@' behind it."""
    user, at, _ = authority.rpartition("@")
    return "" if scheme.partition(":")[0].lower() in _WITH_CONTAINER else f"{user}{at}"


def _has_query(url: str) -> bool:
    """Return whether '?' and '#' of a URL are no part of a name: on the web, and where a version is asked for."""
    return url.partition(":")[0].lower() in _WEB or "?versionId=" in url

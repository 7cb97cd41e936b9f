"""Bringing a file at a URL here, and delivering files to URLs; nothing incomplete gets a final name."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from birefvideo.errors import InputError, OutputError, named
from birefvideo.json_files import read_json_object
from birefvideo.own_files import TEMPORARY, make_folders, remove_if_empty, write_whole
from birefvideo.paths import writing
from birefvideo.remote.listing import names_below
from birefvideo.remote.places import ROOT, name_in, shown
from birefvideo.remote.store import Identity, Store, identity, modified

OBJECT = ".birefvideo-object.json"
"""Ending of what says which object a copy is of."""
_OFTEN = 2.0
"""Seconds between two writings of how far a delivery is."""

Tick = Callable[[], object]
"""Called as bytes pass; what it raises ends the transfer."""


def bring(url: str, folder: Path, *, name: str | None = None, tick: Tick | None = None) -> Path:
    """Return a copy of the object at a URL in a folder; one that is there already and still the same is not fetched.

    Args:
        url: of the object.
        folder: is made if need be.
        name: what the copy is called; None: as the URL says.
        tick: called as bytes pass.

    Raises:
        InputError: there is none, it cannot be read, or it changes meanwhile.
        OutputError: it does not fit here.
    """
    place = folder / (name or name_in(url))
    store = Store(url)
    info = store.needed_info()
    if info.get("type") == "directory":
        raise InputError(f"{shown(url)} is a folder: end it with / to take the clips in it")
    found = identity(info)
    if is_brought(place, found):
        return place
    _check_room(url, folder, info.get("size"))
    with writing(place):
        make_folders(folder)
        place.unlink(missing_ok=True)
    part = place.with_name(f"{place.name}{TEMPORARY}")
    try:
        with store.passing("read", tick) as callback:
            store.fs.get_file(store.path, str(part), callback=callback)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    size = info.get("size")
    if identity(store.needed_info()) != found or (size is not None and part.stat().st_size != size):
        part.unlink()
        raise InputError(f"{shown(url)} was changed while it was fetched: run the same command again")
    with writing(place):
        when = modified(info)
        os.utime(part, (when, when))  # the same object is the same input, whenever it was fetched
        part.replace(place)
        write_whole(_note(place), json.dumps(found))
    return place


def is_brought(place: Path, found: Identity) -> bool:
    """Return whether a copy is of that very object."""
    try:
        return place.exists() and read_json_object(_note(place)) == found
    except (OSError, ValueError):
        return False


def forget(place: Path) -> None:
    """Remove a copy."""
    for path in (place, _note(place), place.with_name(f"{place.name}{TEMPORARY}")):
        with suppress(OSError):
            path.unlink(missing_ok=True)


class Upload:
    """Files on their way to URLs: an interrupted one goes on where it was.

    All are uploaded under temporary names first; then each gets its own, so that nothing incomplete ever has it.

    Args:
        record: where it is kept how far it is.
    """

    def __init__(self, record: Path) -> None:
        self._record = record
        self._written = 0.0
        try:
            self._state: dict[str, Any] = read_json_object(record)
        except (OSError, ValueError):
            self._state = {}

    def is_ours(self, url: str) -> bool:
        """Return whether the object at a URL is what an interrupted delivery has put there."""
        mine = self._state.get(shown(url))
        if not isinstance(mine, dict) or not mine.get("moving"):
            return False
        info = Store(url, OutputError).info()
        return info is not None and info.get("size") == mine.get("size") and _temporary(url).info() is None

    def put(self, files: Sequence[tuple[Path, str]], *, overwrite: bool = False, tick: Tick | None = None) -> None:
        """Put files at URLs; with `overwrite`, in place of what is there.

        Raises:
            OutputError: something is there, or it cannot be written; the same call goes on.
        """
        mine = {url for _, url in files if self.is_ours(url)}
        left = [(file, url) for file, url in files if url not in mine or not self._is_same(file, url)]
        for file, url in left:
            self._upload(file, url, tick)
        for _, url in left:
            if not overwrite and url not in mine:
                check_free(url)
        for _, url in left:
            self._state[shown(url)] |= {"moving": True}
        self._write()
        for _, url in left:
            _move(url)

    def end(self) -> None:
        """Forget it: all is there."""
        self._record.unlink(missing_ok=True)

    def _is_same(self, file: Path, url: str) -> bool:
        """Return whether it is this very file that was uploaded for a URL."""
        mine = self._state.get(shown(url))
        return isinstance(mine, dict) and mine.get("file") == _stamp(file)

    def _upload(self, file: Path, url: str, tick: Tick | None) -> None:
        target = _temporary(url)
        if self._is_same(file, url):
            info = target.info()
            if info is not None and identity(info) == self._state[shown(url)].get("there"):
                return
        with target.told("written"):
            target.make_parent()
        with target.passing("written", tick) as callback:
            target.fs.put_file(str(file), target.path, callback=callback)
        info = target.needed_info()
        if info.get("size") != file.stat().st_size:
            raise OutputError(f"{shown(url)} did not arrive whole: run the same command again")
        self._state[shown(url)] = {"file": _stamp(file), "size": info["size"], "there": identity(info)}
        if time.monotonic() - self._written > _OFTEN:
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        with writing(self._record):
            make_folders(self._record.parent)
            write_whole(self._record, json.dumps(self._state))


def bring_small(url: str, copy: Path, most: int) -> bool:
    """Bring at most so many bytes of the object at a URL into a file; return whether there is such an object.

    Raises:
        OutputError: the store cannot be asked, or the disk refuses.
    """
    store = Store(url, OutputError)
    info = store.info()
    if info is None:
        copy.unlink(missing_ok=True)
        return False
    with store.told("read"):
        data = store.fs.cat_file(store.path, start=0, end=min(most, info.get("size") or most))
    with writing(copy):
        make_folders(copy.parent)
        copy.write_bytes(data)
    return True


def put_small(file: Path, url: str) -> None:
    """Put a file at a URL, whole and in place of what is there; here it is no more.

    Raises:
        OutputError: it cannot be written.
    """
    target = _temporary(url)
    with target.told("written"):
        target.make_parent()
        target.fs.put_file(str(file), target.path)
    _move(url)
    file.unlink(missing_ok=True)
    remove_if_empty(file.parent)


def check_free(url: str) -> None:
    """Refuse to write where something is.

    Raises:
        OutputError: as above, or the store cannot be asked.
    """
    if Store(url, OutputError).info() is not None:
        replaces = f"pass {named('overwrite', True)} to replace it"
        raise OutputError(f"{shown(url)} exists already: {replaces}, or choose another {named('out')}")


def check_writable(url: str) -> None:
    """Refuse a place that nothing can be written to and removed from, before any work is done.

    Raises:
        OutputError: as above.
    """
    store = Store(url, OutputError)
    probe = f"{store.path}-probe{TEMPORARY}"
    with store.told("written"):
        store.make_parent()
        store.fs.pipe_file(probe, b"")
    with store.told("removed"):
        store.fs.rm_file(probe)


def set_aside(url: str) -> str:
    """Give the file, or the files of the folder, at a URL another name beside it; return that URL.

    Raises:
        OutputError: the store refuses.
    """
    for number in range(1_000_000):
        kept = Store(f"{url}.old{number or ''}", OutputError)
        if kept.info() is None:
            break
    store = Store(url, OutputError)
    if (store.info() or {}).get("type") != "directory":
        _rename(store, kept)
        return kept.url
    for name in names_below(url, recursive=True):
        target = Store(f"{kept.url}/{name}", OutputError)
        with target.told("written"):
            target.make_parent()
        _rename(Store(f"{url}/{name}", OutputError), target)
    return kept.url


def _temporary(url: str) -> Store:
    return Store(f"{url}{TEMPORARY}", OutputError)


def _move(url: str) -> None:
    _rename(_temporary(url), Store(url, OutputError))


def _rename(source: Store, target: Store) -> None:
    fs = source.fs
    with target.told("written"):
        if type(fs).mv is importlib.import_module("fsspec.spec").AbstractFileSystem.mv:  # takes names for patterns
            fs.cp_file(source.path, target.path)
            fs.rm_file(source.path)
        else:
            fs.mv(source.path, target.path)


def _check_room(url: str, folder: Path, size: int | None) -> None:
    there = folder.absolute()
    nearest = next(place for place in (there, *there.parents) if place.exists())
    free = shutil.disk_usage(nearest).free
    if size is not None and size > free:
        raise OutputError(
            f"{shown(url)} has {size} bytes, and {free} are free in {nearest}: make room, or set {ROOT} to another disk"
        )


def _note(place: Path) -> Path:
    return place.with_name(f"{place.name}{OBJECT}")


def _stamp(file: Path) -> list[int]:
    found = file.stat()
    return [found.st_size, found.st_mtime_ns]

"""What lies below a folder at a URL."""

from __future__ import annotations

from pathlib import PurePosixPath

from birefvideo.remote.places import shown
from birefvideo.remote.store import Store


def names_below(url: str, *, recursive: bool = False) -> list[PurePosixPath]:
    """Return the files of a folder, or of the tree below it, by what they are called from there on, in order.

    Raises:
        InputError: there is no such folder, or it cannot be listed.
    """
    store = Store(url)
    with store.told("listed"):
        # `find` says that a folder is empty which may not be listed; `ls` says why it may not.
        top_level = store.fs.ls(store.path, detail=True)
        files = [one["name"] for one in top_level if one["type"] != "directory"]
        found = store.fs.find(store.path) if recursive else files
    top = store.fs._strip_protocol(store.path).rstrip("/")
    names = [PurePosixPath(path.removeprefix(top).lstrip("/").partition("?")[0]) for path in found]
    if not names:
        raise store.fault(f"{shown(url)} holds nothing, or does not exist: check its name")
    return sorted(name for name in names if name.parts)

"""Weights on this machine: where the hub's client and we keep them, fetching them checked, and locking what came.

Requests are made by `download` only. It adds to the hub's client what that lacks: a broken-off download goes on in a
later run, the content is hashed (the client compares sizes), and a file that changed since its first download is
refused. Locks and imported files lie in HF_HOME/birefvideo, not in the hub's cache, so that they outlive its clearing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from birefvideo.errors import ModelError, named
from birefvideo.family.client import (
    EntryNotFoundError,
    WeakFileLock,
    build_hf_headers,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    http_get,
    repo_folder_name,
    try_to_load_from_cache,
)
from birefvideo.family.connection import FAILURES, NO_SPACE, check_settings, explained
from birefvideo.family.hub_place import own
from birefvideo.family.locks import Lock, is_sha256, read_lock, remove_unused, write_lock
from birefvideo.family.shards import STANDARD, WEIGHTS, is_whole, sha256_of
from birefvideo.family.variants import Variant


@dataclass(frozen=True)
class Stored:
    """A weights file on this machine."""

    path: Path
    """The file."""
    sha256: str = ""
    """What its content should hash to; '' where that is not known."""
    imported: bool = False
    """Whether the user brought it."""
    fetched: bool = False
    """Whether this call of `download` fetched it."""


def stored(row: Variant) -> Stored | None:
    """Return a variant's weights where they are on this machine; this opens no connection and reads no weights.

    Raises:
        ModelError: its lock is damaged.
    """
    if row.folder:
        return Stored(row.folder / WEIGHTS)
    lock = read_lock(row)
    if lock and not lock.revision:
        path = own("weights") / f"{lock.sha256}.safetensors"
        return Stored(path, lock.sha256, imported=True) if path.is_file() else None
    if not row.hub_id:
        return None
    revision = lock.revision if lock else row.revision or None
    for name in STANDARD[:1] if lock or row.sha256 else STANDARD:  # what is pinned is called as published
        found = try_to_load_from_cache(row.hub_id, name, revision=revision)
        if isinstance(found, str) and is_whole(Path(found)):
            # The client names LFS files by their hash, where the file system has links.
            blob = Path(found).resolve().name
            named = blob if is_sha256(blob) else ""
            return Stored(Path(found), lock.sha256 if lock else row.sha256 or named)
    return None


def cache_folder(row: Variant) -> Path:
    """Return where the hub's client keeps a repository."""
    return Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=row.hub_id, repo_type="model"))


def is_begun(row: Variant) -> bool:
    """Return whether a part of a variant's repository is in the hub's cache."""
    if not row.hub_id:
        return False
    folder = cache_folder(row)
    return any(folder.glob("snapshots/*/*")) or any(folder.glob("blobs/*.incomplete"))


def download(row: Variant, *, update: bool = False) -> Stored:
    """Fetch weights into the hub's cache, unless they are there already and whole; with `update` the newest ones.

    The first download locks its commit and hash; later ones must give the same file. Stopped at any moment, it leaves
    nothing that counts as weights, and goes on from there when called again.

    Raises:
        ModelError: no access, no connection, a setting that cannot be used, no room, a wrong checksum, or not the
            locked file; what to do about it.
    """
    if row.folder:
        return Stored(row.folder / WEIGHTS)
    if not row.hub_id:
        raise ModelError(f"{row.name} is {row.access}; fetch it there, then birefvideo models {row.name} --from FILE")
    try:
        if update:
            return _fetch(row, row.asked, "")
        lock, here = read_lock(row), stored(row)
        if here and here.sha256 and here.path.name == WEIGHTS:
            if sha256_of(here.path) == here.sha256:
                if lock is None:
                    with suppress(OSError):  # a cache that others keep may be read-only
                        write_lock(row, Lock(here.sha256, here.path.parent.name))
                return here
            here.path.unlink()  # damaged
        if lock and lock.revision:
            return _fetch(row, lock.revision, lock.sha256)
        return _fetch(row, row.revision, row.sha256)
    except FAILURES as error:
        raise explained(row, error) from error


def _fetch(row: Variant, revision: str, expected: str) -> Stored:
    """Fetch, check and lock the file of a revision ('': the newest)."""
    check_settings()
    own("locks").mkdir(parents=True, exist_ok=True)  # before a byte is fetched that could not be locked
    place = f"{row.hub_id} at {constants.ENDPOINT}"
    url = hf_hub_url(row.hub_id, WEIGHTS, revision=revision or None)
    metadata = get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    commit, sha256 = metadata.commit_hash or "", metadata.etag or ""
    if not commit or not is_sha256(sha256):
        raise ModelError(
            f"{place} comes without commit and SHA-256, so it cannot be checked: choose another HF_ENDPOINT"
        )
    if expected and sha256 != expected:
        raise ModelError(
            f"{place} is no longer the file that was locked (SHA-256 {sha256[:12]}…, was {expected[:12]}…): "
            f"if that is meant, birefvideo models --download {row.name} --update"
        )
    here = try_to_load_from_cache(row.hub_id, WEIGHTS, revision=commit)
    is_here = isinstance(here, str) and sha256_of(Path(here)) == sha256
    if not is_here:
        if isinstance(here, str):
            Path(here).unlink()  # damaged
        blob = _fetch_blob(row, commit, sha256, metadata.size)
    # It is there, so this only links it, by the client's own rules.
    path = Path(hf_hub_download(row.hub_id, WEIGHTS, revision=revision or None))
    if path.parent.name != commit:
        raise ModelError(f"{place} changed during the download: run the same command again")
    if not is_here and not path.is_symlink():
        blob.unlink(missing_ok=True)  # where the file system has no links, it was copied
    with suppress(EntryNotFoundError):
        hf_hub_download(row.hub_id, "config.json", revision=commit)  # for from_pretrained
    write_lock(row, Lock(sha256, commit))
    return Stored(path, sha256, fetched=not is_here)


def _fetch_blob(row: Variant, commit: str, sha256: str, size: int | None) -> Path:
    """Put a file's content under its hash into the hub's cache; return where it is."""
    folder = cache_folder(row)
    blob = folder / "blobs" / sha256
    partial = blob.with_name(f"{sha256}.incomplete")
    lock = Path(constants.HF_HUB_CACHE) / ".locks" / folder.name / f"{sha256}.lock"  # the client's own
    for path in (blob, lock):
        path.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if blob.is_file() and sha256_of(blob) == sha256:
            return blob
        done = partial.stat().st_size if partial.is_file() else 0
        _check_room(blob.parent, (size or 0) - done)
        with partial.open("ab") as file:
            if not size or done < size:
                _get(row, commit, file, done, size)
        if (got := sha256_of(partial)) != sha256:
            partial.unlink()
            raise ModelError(
                f"what {constants.ENDPOINT} sent for {row.hub_id} is damaged (SHA-256 {got[:12]}…, should be "
                f"{sha256[:12]}…) and was removed: run the same command again, or choose another HF_ENDPOINT"
            )
        partial.replace(blob)
    return blob


def _get(row: Variant, commit: str, file: BinaryIO, done: int, size: int | None) -> None:
    """Append what is missing to a file that holds `done` bytes, again while each attempt brings some."""
    url = hf_hub_url(row.hub_id, WEIGHTS, revision=commit)
    # Plain HTTP also where the hub offers Xet, which leaves no partial file and talks to hosts past the mirror.
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    while True:
        try:
            http_get(url, file, resume_size=done, headers=headers, expected_size=size, displayed_filename=row.name)
            return
        except FAILURES as error:
            file.flush()
            if size and os.fstat(file.fileno()).st_size > size:  # the server ignored the range
                file.truncate(0)
            reached = os.fstat(file.fileno()).st_size
            # Clients before 2.0 do not try again where the connection breaks in the middle.
            if reached <= done or getattr(error, "errno", None) in NO_SPACE:
                raise
            done = reached


@contextmanager
def incoming(size: int) -> Iterator[Path]:
    """Give a new path for `size` bytes beside our own weights, for `adopt`; what is left there is removed."""
    folder = own("weights")
    folder.mkdir(parents=True, exist_ok=True)
    _check_room(folder, size)
    path = folder / f".{os.getpid()}.incomplete"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def adopt(row: Variant, path: Path) -> Stored:
    """Move a file of `incoming` in as a variant's weights, in one step.

    Raises:
        ModelError: the variant is pinned, and this is another file.
    """
    sha256 = sha256_of(path)
    if row.sha256 and sha256 != row.sha256:
        raise ModelError(
            f"that is not the published {row.name} (SHA-256 {sha256[:12]}…): use it with {named('model', 'FILE')}"
        )
    kept = path.with_name(f"{sha256}.safetensors")
    path.replace(kept)
    kept.chmod(0o644)
    write_lock(row, Lock(sha256))
    remove_unused(kept.parent)
    return Stored(kept, sha256, imported=True)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ModelError(
            f"{needed / 1e6:,.0f} MB are needed in {folder}, {free / 1e6:,.0f} MB are free: make room, "
            "or set HF_HOME to another disk"
        )

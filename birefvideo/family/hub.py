"""Weights on this machine: where the hub's client and we keep them, fetching them checked, and locking what came.

Requests are made by `download` only. It adds to the hub's client what that lacks: a broken-off download goes on in a
later run, the content is hashed (the client compares sizes), and a file that changed since its first download is
refused. Locks and imported files lie in HF_HOME/birefvideo, not in the hub's cache, so that they outlive its clearing.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import huggingface_hub.errors
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, OfflineModeIsEnabled
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.utils import WeakFileLock, build_hf_headers

from birefvideo.errors import ModelError, named
from birefvideo.family.variants import VARIANTS, Variant
from birefvideo.json_files import read_json_object

WEIGHTS = "model.safetensors"
# What the client's HTTP library raises, whichever it is: requests' errors are OSErrors, httpx' share this base.
_FAILURES: tuple[Any, ...] = (OSError, huggingface_hub.errors.HTTPError)
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Lock:
    """Which file a variant is on this machine, from its first download or its import on."""

    sha256: str
    """Hash of its content, in hex."""
    revision: str = ""
    """Commit on the hub; '' for an imported file."""


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


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def stored(row: Variant) -> Stored | None:
    """Return a variant's weights where they are on this machine; this opens no connection and reads no weights.

    Raises:
        ModelError: its lock is damaged.
    """
    if row.folder:
        return Stored(row.folder / WEIGHTS)
    lock = read_lock(row)
    if lock and not lock.revision:
        path = _own("weights") / f"{lock.sha256}.safetensors"
        return Stored(path, lock.sha256, imported=True) if path.is_file() else None
    if not row.hub_id:
        return None
    found = try_to_load_from_cache(row.hub_id, WEIGHTS, revision=lock.revision if lock else row.revision or None)
    if not isinstance(found, str):
        return None
    # The client names LFS files by their hash, where the file system has links.
    blob = Path(found).resolve().name
    named = blob if _is_sha256(blob) else ""
    return Stored(Path(found), lock.sha256 if lock else row.sha256 or named)


def download(row: Variant, *, update: bool = False) -> Stored:
    """Fetch weights into the hub's cache, unless they are there already and whole; with `update` the newest ones.

    The first download locks its commit and hash; later ones must give the same file. Stopped at any moment, it leaves
    nothing that counts as weights, and goes on from there when called again.

    Raises:
        ModelError: no access, no connection, no room, a wrong checksum, or not the locked file; what to do about it.
    """
    if row.folder:
        return Stored(row.folder / WEIGHTS)
    if not row.hub_id:
        raise ModelError(f"{row.name} is {row.access}; fetch it there, then birefvideo models {row.name} --from FILE")
    try:
        if update:
            return _fetch(row, "", "")
        lock, here = read_lock(row), stored(row)
        if here and here.sha256:
            if sha256_of(here.path) == here.sha256:
                if lock is None:
                    _write_lock(row, Lock(here.sha256, here.path.parent.name))
                return here
            here.path.unlink()  # damaged
        if lock and lock.revision:
            return _fetch(row, lock.revision, lock.sha256)
        return _fetch(row, row.revision, row.sha256)
    except _FAILURES as error:
        raise _explained(row, error) from error


def _fetch(row: Variant, revision: str, expected: str) -> Stored:
    """Fetch, check and lock the file of a revision ('': the newest)."""
    place = f"{row.hub_id} at {constants.ENDPOINT}"
    metadata = get_hf_file_metadata(hf_hub_url(row.hub_id, WEIGHTS, revision=revision or None))
    commit, sha256 = metadata.commit_hash or "", metadata.etag or ""
    if not commit or not _is_sha256(sha256):
        raise ModelError(
            f"{place} comes without commit and SHA-256, so it cannot be checked: choose another HF_ENDPOINT"
        )
    if expected and sha256 != expected:
        raise ModelError(
            f"{place} is no longer the file that was locked (SHA-256 {sha256[:12]}…, was {expected[:12]}…): "
            f"if that is meant, birefvideo models --download {row.name} --update"
        )
    _fetch_blob(row, commit, sha256, metadata.size)
    # The blob is there, so this only links it, by the client's own rules.
    path = Path(hf_hub_download(row.hub_id, WEIGHTS, revision=revision or None))
    if path.parent.name != commit:
        raise ModelError(f"{place} changed during the download: run the same command again")
    with suppress(EntryNotFoundError):
        hf_hub_download(row.hub_id, "config.json", revision=commit)  # for from_pretrained
    _write_lock(row, Lock(sha256, commit))
    return Stored(path, sha256, fetched=True)


def _fetch_blob(row: Variant, commit: str, sha256: str, size: int | None) -> None:
    """Put a file's content under its hash into the hub's cache."""
    folder = repo_folder_name(repo_id=row.hub_id, repo_type="model")
    cache = Path(constants.HF_HUB_CACHE)
    blob = cache / folder / "blobs" / sha256
    partial = blob.with_name(f"{sha256}.incomplete")
    lock = cache / ".locks" / folder / f"{sha256}.lock"  # the client's own
    for path in (blob, lock):
        path.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if blob.is_file() and sha256_of(blob) == sha256:
            return
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


def _get(row: Variant, commit: str, file: BinaryIO, done: int, size: int | None) -> None:
    """Append what is missing to a file that holds `done` bytes, again while each attempt brings some."""
    url = hf_hub_url(row.hub_id, WEIGHTS, revision=commit)
    # Plain HTTP also where the hub offers Xet, which leaves no partial file and talks to hosts past the mirror.
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    while True:
        try:
            http_get(url, file, resume_size=done, headers=headers, expected_size=size, displayed_filename=row.name)
            return
        except _FAILURES as error:
            file.flush()
            if size and os.fstat(file.fileno()).st_size > size:  # the server ignored the range
                file.truncate(0)
            reached = os.fstat(file.fileno()).st_size
            # Clients before 2.0 do not try again where the connection breaks in the middle.
            if reached <= done or getattr(error, "errno", None) in _NO_SPACE:
                raise
            done = reached


@contextmanager
def incoming(size: int) -> Iterator[Path]:
    """Give a new path for `size` bytes beside our own weights, for `adopt`; what is left there is removed."""
    folder = _own("weights")
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
    _write_lock(row, Lock(sha256))
    _remove_unused(kept.parent)
    return Stored(kept, sha256, imported=True)


def _remove_unused(folder: Path) -> None:
    """Remove imported weights that no lock names; while a lock is damaged, all stay."""
    with suppress(OSError, ValueError):
        in_use = {_read_lock(path).sha256 for path in _own("locks").glob("*.json")}
        for old in folder.glob("*.safetensors"):
            if old.stem not in in_use:
                old.unlink()


def read_lock(row: Variant) -> Lock | None:
    """Return what a variant's name was locked to, or None.

    Raises:
        ModelError: the lock is damaged.
    """
    path = _lock_path(row)
    try:
        return _read_lock(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({error}): delete it and download {row.name} again") from error


def _read_lock(path: Path) -> Lock:
    values = read_json_object(path)
    sha256, revision = values.get("sha256"), values.get("revision", "")
    if not _is_sha256(sha256):
        raise ValueError("no SHA-256")
    if not isinstance(revision, str) or not re.fullmatch("[0-9a-f]{40}|", revision):
        raise ValueError("the revision is no commit")
    return Lock(str(sha256), revision)


def _write_lock(row: Variant, lock: Lock) -> None:
    path = _lock_path(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(asdict(lock), indent=1) + "\n")
    partial.replace(path)


def _lock_path(row: Variant) -> Path:
    return _own("locks") / f"{(row.hub_id or row.name).replace('/', '--')}.json"


def _own(folder: str) -> Path:
    return Path(constants.HF_HOME) / "birefvideo" / folder


def _is_sha256(text: object) -> bool:
    return isinstance(text, str) and bool(re.fullmatch("[0-9a-f]{64}", text))


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ModelError(
            f"{needed / 1e6:,.0f} MB are needed in {folder}, {free / 1e6:,.0f} MB are free: make room, "
            "or set HF_HOME to another disk"
        )


def _explained(row: Variant, error: Any) -> ModelError:
    """Return what to do about an error of the client, in one line."""
    where = constants.ENDPOINT
    known = row.name in VARIANTS
    way = f"birefvideo models {row.name} --from FILE" if known else named("model", "FILE")
    bring = f"bring the file with {way}"
    status = getattr(getattr(error, "response", None), "status_code", None)
    first = (str(error).splitlines() or [""])[0] or type(error).__name__
    if isinstance(error, OfflineModeIsEnabled):
        text = f"HF_HUB_OFFLINE is set, so {row.name} was not fetched: unset it, or {bring}"
    elif status in (401, 403):
        remedy = row.access or f"if {row.page} exists, log in there, accept its terms, and set HF_TOKEN to your token"
        text = f"{where} refuses {row.hub_id} ({status}); {remedy}"
    elif status in (404, 410):
        text = f"{where} has no {WEIGHTS} of {row.hub_id} ({status}): choose another HF_ENDPOINT, or {bring}"
    elif status:
        text = f"{where} answered {status} for {row.hub_id}: try again later, set HF_ENDPOINT to a mirror, or {bring}"
    elif getattr(error, "errno", None) in _NO_SPACE:
        text = f"no room left in {constants.HF_HOME}: make room and run it again, or set HF_HOME to another disk"
    elif getattr(error, "filename", None):
        text = f"cannot write {error.filename} ({error.strerror}): set HF_HOME to a folder of yours"
    else:
        text = (
            f"fetching {row.name} from {where} broke off ({first}): run it again and it goes on from there, "
            f"set HF_ENDPOINT to a mirror, or {bring}"
        )
    return ModelError(text)

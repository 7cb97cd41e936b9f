"""Locks: which file a variant is on this machine, from its first download or its import on."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from birefvideo.errors import ModelError
from birefvideo.family.hub_place import own
from birefvideo.family.variants import Variant
from birefvideo.json_files import read_json_object


@dataclass(frozen=True)
class Lock:
    """Which file a variant is on this machine, from its first download or its import on."""

    sha256: str
    """Hash of its content, in hex."""
    revision: str = ""
    """Commit on the hub; '' for an imported file."""


def read_lock(row: Variant) -> Lock | None:
    """Return what a variant's name was locked to, or None.

    Raises:
        ModelError: the lock is damaged, or cannot be read.
    """
    path = lock_path(row)
    try:
        return _read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        why = error.strerror or error
        raise ModelError(f"{path} cannot be read ({why}): set HF_HOME to a folder of yours") from error
    except ValueError as error:
        raise ModelError(f"{path} is damaged ({error}): delete it and download {row.name} again") from error


def write_lock(row: Variant, lock: Lock) -> None:
    """Lock a variant's name."""
    path = lock_path(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(asdict(lock), indent=1) + "\n")
    partial.replace(path)


def lock_path(row: Variant) -> Path:
    """Return where the lock of a variant, or of one revision of it, lies."""
    name = (row.hub_id or row.name).replace("/", "--")
    return own("locks") / f"{name}{f'@{quote(row.asked, safe=str())}' if row.asked else ''}.json"


def remove_unused(folder: Path) -> None:
    """Remove imported weights that no lock names; while a lock is damaged, all stay."""
    with suppress(OSError, ValueError):
        in_use = {_read(path).sha256 for path in own("locks").glob("*.json")}
        for old in folder.glob("*.safetensors"):
            if old.stem not in in_use:
                old.unlink()


def is_sha256(text: object) -> bool:
    """Return whether a text is a SHA-256 in hex."""
    return isinstance(text, str) and bool(re.fullmatch("[0-9a-f]{64}", text))


def _read(path: Path) -> Lock:
    values = read_json_object(path)
    sha256, revision = values.get("sha256"), values.get("revision", "")
    if not is_sha256(sha256):
        raise ValueError("no SHA-256")
    if not isinstance(revision, str) or not re.fullmatch("[0-9a-f]{40}|", revision):
        raise ValueError("the revision is no commit")
    return Lock(str(sha256), revision)

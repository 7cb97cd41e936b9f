"""What an earlier run has left where a job's outputs go, of which the clip or the outputs are at URLs."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from birefvideo.editing.kinds import is_timeline
from birefvideo.errors import InputError, OutputError, named
from birefvideo.family import checkpoints
from birefvideo.jobs.delivery import Delivery
from birefvideo.jobs.digests import content_digest, input_digest
from birefvideo.jobs.manifest import fingerprint, options_as_text, versions
from birefvideo.jobs.model_in_memory import KeptModel, NetworkInMemory
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import Target, review_page, timeline_paths
from birefvideo.jobs.receipt import Entry, check_receipts, read, receipt_path
from birefvideo.jobs.review import is_review
from birefvideo.json_files import MOST_BYTES, read_json_object
from birefvideo.matting.devices import find_device
from birefvideo.own_files import HEAD
from birefvideo.remote.places import place_of_folder, url_at, url_of
from birefvideo.remote.store import Identity, Store, identity
from birefvideo.remote.transfer import Upload, bring_small

OBJECT = "object"
"""Key of a receipt's entry that holds what is true of an output, or of its clip, at a URL."""


def request_of(options: Options, targets: Sequence[Target]) -> str:
    """Return what is equal where two commands ask this machine for the same of a clip; '' where that cannot be told."""
    model, device = options.model, find_device(options.device)
    if isinstance(model, NetworkInMemory):
        return ""
    if isinstance(model, KeptModel):
        digest = model.kept.identity.digest
    else:
        digest = checkpoints.find(str(model), has_gpu=device.runs_large_models).digest()
    background = options.background
    what = {
        "options": options_as_text(options),
        "background": fingerprint(background) if isinstance(background, Path) else None,
        "targets": {target.path.name: target.format.name for target in targets},
        "versions": versions(),
        "computed": [digest, str(device), str(device.dtype_called(options.dtype))],
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode(errors="surrogateescape")).hexdigest()


def input_identity(source: Path) -> Identity | None:
    """Return what tells a clip at a URL from a later one of that name; None of a file of this machine.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    url = url_of(source)
    return None if url is None else identity(Store(url).needed_info())


class Delivered:
    """What lies where a job's outputs are to go.

    Args:
        source: the clip.
        targets: its outputs.
        delivery: what else the job makes, and what it may replace.

    Raises:
        OutputError: the store cannot be asked.
    """

    def __init__(self, source: Path, targets: Sequence[Target], delivery: Delivery) -> None:
        self._source = source
        self._outputs = [target.path for target in targets]
        self._page = [review_page(source, targets)] if delivery.review else []
        self._timelines = timeline_paths(source, targets, delivery.timeline)
        self._overwrite, self._renew = delivery.overwrite, delivery.renew
        folder = targets[0].path.parent
        base = url_of(folder)
        self._is_there = base is not None
        # One folder a job: another's end removes what that has brought.
        self._theirs = folder if base is None else place_of_folder(base, f"theirs {uuid4()}")
        for path in dict.fromkeys(map(receipt_path, self._outputs)) if self._is_there else ():
            bring_small(url_at(path), self._theirs / path.name, MOST_BYTES)
        for path in (*self._page, *self._timelines) if self._is_there else ():
            bring_small(url_at(path), self._theirs / path.name, HEAD)

    def forget(self) -> None:
        """Remove what was brought to be looked at."""
        if self._is_there:
            shutil.rmtree(self._theirs, ignore_errors=True)

    def entry(self, output: Path) -> Entry | None:
        """Return what the receipt of an output says."""
        return read(self._theirs / output.name)

    def other_entries(self, receipt: Path) -> dict[str, Entry]:
        """Return what a receipt says of outputs of other jobs that are still there."""
        names = _names(self._theirs / receipt.name) - {path.name for path in self._outputs}
        found = {name: read(self._theirs / name) for name in sorted(names)}
        return {name: e for name, e in found.items() if e and _store(receipt.with_name(name)).info() is not None}

    def finished(self, request: str) -> list[Entry] | None:
        """Return the receipts' entries if an earlier run made all of this, and nothing has changed since.

        Raises:
            InputError: the clip is not there, or cannot be read.
        """
        entries = [self.entry(path) for path in self._outputs]
        if not request or not all(entry and _object(entry).get("request") == request for entry in entries):
            return None
        there = input_identity(self._source)
        for path, entry in zip(self._outputs, entries, strict=True):
            assert entry is not None
            if there is not None and _object(entry).get("input") != there:
                return None
            if not self._is_as_told(path, entry):
                return None
        if not all(is_review(self._theirs / page.name) for page in self._page):
            return None
        if not all(is_timeline(self._theirs / path.name) for path in self._timelines):
            return None
        if there is None and not self._is_same_file(entries):
            return None
        return [entry for entry in entries if entry]

    def _is_same_file(self, entries: Sequence[Entry | None]) -> bool:
        try:
            digest = input_digest(self._source)
        except (OSError, InputError):
            return False
        used = [entry.get("input") for entry in entries if entry]
        names = [(one.get("name"), one.get("sha256")) for one in used if isinstance(one, dict)]
        return set(names) == {(self._source.name, digest)}

    def check(self, upload: Upload) -> list[str]:
        """Refuse what must not be replaced; return the URLs of what is to be kept under another name.

        Raises:
            OutputError: something is there.
        """
        check_receipts([self._theirs / path.name for path in self._outputs])
        for path in self._timelines:
            theirs = self._theirs / path.name
            if theirs.exists() and not is_timeline(theirs):
                raise OutputError(f"{path} is in the way and is no timeline of birefvideo: move it")
        aside = []
        for path in () if self._overwrite else (*self._outputs, *self._page):
            store = _store(path)
            if store.info() is None or upload.is_ours(store.url):
                continue
            entry = self.entry(path)
            is_known = is_review(self._theirs / path.name) if path in self._page else entry is not None
            if not self._renew or not is_known:
                why = ", without a receipt" if self._renew else ""
                replaces = f"pass {named('overwrite', True)} to replace it"
                raise OutputError(f"{path} exists already{why}: {replaces}, or choose another {named('out')}")
            if entry is not None and not self._is_as_told(path, entry):
                aside.append(store.url)
        return aside

    def _is_as_told(self, path: Path, entry: Entry) -> bool:
        """Return whether an output is what its receipt says: by the store's own marks, or its hash on this machine."""
        if not self._is_there:
            with suppress(OSError):
                return content_digest(path) == entry.get("sha256")
            return False
        found, told = object_of(path), _object(entry).get("there")
        return found is not None and (found == told if told else found.get("size") == str(entry.get("size")))


def object_of(path: Path) -> Identity | None:
    """Return what tells an output at a URL from a later one; of a folder, how many files and bytes it has."""
    store = _store(path)
    info = store.info()
    if info is None or info.get("type") != "directory":
        return None if info is None else identity(info)
    with store.told("read"):
        files = store.fs.find(store.path, detail=True)
    return {"files": str(len(files)), "size": str(sum(one.get("size") or 0 for one in files.values()))}


def _store(path: Path) -> Store:
    return Store(url_at(path), OutputError)


def _object(entry: Entry) -> dict[str, Any]:
    found = entry.get(OBJECT)
    return found if isinstance(found, dict) else {}


def _names(receipt: Path) -> set[str]:
    try:
        outputs = read_json_object(receipt).get("outputs")
    except (OSError, ValueError):
        return set()
    return set(outputs) if isinstance(outputs, dict) else set()

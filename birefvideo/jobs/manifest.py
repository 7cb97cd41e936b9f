"""What decides the bytes of a job's outputs: inputs, options, versions; and the manifest that keeps it."""

from __future__ import annotations

import errno
import hashlib
import json
import stat
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch

from birefvideo.errors import InputError, named
from birefvideo.jobs.options import Options
from birefvideo.json_files import read_json_object
from birefvideo.media.reading.numbered_pictures import members

MANIFEST = "manifest.json"
"""Name of the plan as a job's folder keeps it."""
MARK = "birefvideo_job"
"""Key by which a manifest is known as ours."""
_VERSION = 1
_PLACES = "places"
"""Key of what helps to find things and decides no bytes."""

Manifest = dict[str, Any]
"""A manifest, as JSON values."""


def read_manifest(path: Path) -> Manifest | None:
    """Return the manifest at `path`, or None where the file is none of ours."""
    try:
        values = read_json_object(path)
    except (OSError, ValueError):
        return None
    return values if values.get(MARK) == _VERSION else None


def as_manifest(decides: Mapping[str, Any], places: Mapping[str, Any]) -> Manifest:
    """Return a manifest as it will be read back.

    Args:
        decides: what decides the outputs' bytes.
        places: what only helps to find things.
    """
    values: Manifest = json.loads(json.dumps({MARK: _VERSION, **decides, _PLACES: dict(places)}, sort_keys=True))
    return values


def same_job(one: Manifest | None, other: Manifest | None) -> bool:
    """Return whether two manifests are of jobs whose outputs have the same bytes."""
    if one is None or other is None:
        return False
    return {**one, _PLACES: None} == {**other, _PLACES: None}


def places(manifest: Manifest) -> dict[str, Any]:
    """Return what a manifest says of where things are."""
    found = manifest.get(_PLACES)
    return found if isinstance(found, dict) else {}


def could_go_on(manifest: Manifest) -> bool:
    """Return whether the command that made a manifest could still use its parts: same inputs, same versions."""
    where = places(manifest)
    for name in ("input", "background"):
        wanted, place = manifest.get(name), where.get(name)
        if wanted is not None and (not isinstance(place, str) or _fingerprint_or_none(Path(place)) != wanted):
            return False
    return bool(manifest.get("versions") == json.loads(json.dumps(versions())))


def differences(earlier: Manifest, now: Manifest) -> list[str]:
    """Return in what the commands of two manifests differ, in a user's words; nothing where only the world does."""
    found = []
    for key, words in (("input", "another input"), ("targets", f"other outputs ({named('to')}, {named('out')})")):
        one, other = earlier.get(key), now.get(key)
        if key == "input":
            one, other = places(earlier).get(key), places(now).get(key)
        if one != other:
            found.append(words)
    one, other = places(earlier).get("device"), places(now).get("device")
    if one != other and any(earlier.get(key) != now[key] for key in ("settings", "segments")):
        found.append(named("device"))
    before, after = earlier.get("options"), now["options"]
    if isinstance(before, dict):
        found += [named(name) for name, value in after.items() if before.get(name) != value]
    return found


def fingerprints(source: Path, options: Options) -> dict[str, Any]:
    """Identify what a job reads: its clip, and the background if that is a file.

    Raises:
        OSError: one cannot be read.
    """
    background = options.background
    return {
        "input": fingerprint(source),
        "background": fingerprint(background) if isinstance(background, Path) else None,
    }


def check_unchanged(source: Path, options: Options, before: Mapping[str, Any]) -> None:
    """Refuse to go on with inputs that are no longer what `fingerprints` gave `before`.

    Raises:
        InputError: names the one that was changed, or cannot be read any more.
    """
    for name, path in (("input", source), ("background", options.background)):
        if not isinstance(path, Path):
            continue
        try:
            is_same = fingerprint(path) == before[name]
        except (OSError, InputError) as error:
            reason = getattr(error, "strerror", None) or "its pictures are not what they were"
            raise InputError(
                f"{path} cannot be read any more ({reason}): nothing was delivered; "
                "put it back and run the same command again"
            ) from error
        if not is_same:
            raise InputChangedError(
                f"{path} was changed while the job ran: nothing was delivered; run the same command again"
            )


class InputChangedError(InputError):
    """An input is another file than the one that the job began with."""


def fingerprint(path: Path) -> dict[str, Any]:
    """Identify a file without reading all of it, by size, head and tail; pictures by names, sizes and times."""
    if path.is_dir() or not path.exists():
        stats = [(file.name, file.stat()) for file in members(path)]
        return {"name": path.name, "pictures": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]}
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for for ever
        raise OSError(errno.EINVAL, "not a file", str(path))
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(1 << 20))
        file.seek(max(0, size - (1 << 20)))
        digest.update(file.read(1 << 20))
    changed = path.stat().st_mtime_ns
    return {"name": path.name, "size": size, "changed": changed, "sha256_of_ends": digest.hexdigest()}


def options_as_text(options: Options) -> dict[str, str]:
    """Return every option as a manifest has it, but for the device: the settings have what it comes to."""
    return {name: str(value) for name, value in options.as_dict().items() if name != "device"}


@cache
def versions() -> dict[str, Any]:
    """Everything but the plan that decides bytes: our own code too, so that an update mixes no two mattes."""
    code = hashlib.sha256()
    for module in sorted(Path(__file__).parent.parent.rglob("*.py")):
        code.update(module.read_bytes())
    return {
        "birefvideo": code.hexdigest(),
        "torch": torch.__version__,
        "av": av.__version__,
        "ffmpeg": {name: list(version) for name, version in av.library_versions.items()},
        "numpy": np.__version__,
        "cv2": cv2.__version__,
    }


def _fingerprint_or_none(path: Path) -> dict[str, Any] | None:
    try:
        return fingerprint(path)
    except (OSError, ValueError, InputError):
        return None

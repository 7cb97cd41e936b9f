"""What was measured on this machine: seconds a frame and memory of each model, kept between runs.

A value counts for the device and the number of threads that it was measured with only.
"""

from __future__ import annotations

import json
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birefvideo.bounded_numbers import bounded_int
from birefvideo.errors import OutputError
from birefvideo.family.hub_place import own
from birefvideo.json_files import read_json_object

if TYPE_CHECKING:
    from birefvideo.matting.devices import Device

PICTURE = (1920, 1080)
"""(width, height) of the frames that are measured."""
_LONGEST = 1e6
"""Seconds that no frame takes."""


@dataclass(frozen=True)
class Measured:
    """One measurement."""

    seconds: float
    """Seconds a frame: from the decoded picture of 1920×1080 to its alpha, without decoding and encoding."""
    memory: int
    """Peak bytes, of the process on a CPU, of the device on a GPU; 0 where the system does not say."""
    size: tuple[int, int]
    """(width, height) at which the network saw the frames."""
    dtype: str
    """What it computed in, e.g. 'float32'."""
    device: str
    """What it ran on, in words."""
    threads: int
    """Threads of the CPU."""
    own_weights: bool
    """Whether with the model's weights; else with random ones in a network of the same shape, which is as fast."""
    busy: bool = False
    """Whether other programs were at work, so that it takes less time when they are not."""


def this_device(device: Device | None = None) -> tuple[str, int]:
    """Return a device, by default that of `auto`, in words, and the number of threads; this loads torch."""
    import torch

    from birefvideo.matting.devices import find_device

    device = device or find_device()
    return (_processor() if device.name == "cpu" else device.name), torch.get_num_threads()


def measurements(device: Device | None = None) -> dict[str, Measured]:
    """Return what was measured on a device with this many threads, by the model's name; no more is loaded for none.

    Without `device`, it is that of 'auto'.

    A file that is damaged counts as none: it is only what can be measured again.
    """
    values = _read()
    if not values:
        return {}
    where, threads = this_device(device)
    found = ((key.partition(" | "), value) for key, value in values.items() if isinstance(value, dict))
    here = {name: _parsed(value) for (name, _, rest), value in found if rest == _key(where, threads)}
    return {name: value for name, value in here.items() if value is not None}


def keep(name: str, measured: Measured) -> None:
    """Keep a measurement in place of the earlier one.

    Raises:
        OutputError: it cannot be written.
    """
    path = _path()
    key = f"{name} | {_key(measured.device, measured.threads)}"
    text = json.dumps({**_read(), key: asdict(measured)}, indent=1) + "\n"
    partial = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise OutputError(
            f"cannot write {path} ({error.strerror or error}): set HF_HOME to a folder of yours"
        ) from error


def _path() -> Path:
    return own("measured") / "speed.json"


def _key(device: str, threads: int) -> str:
    return f"{device} | {threads} threads"


def _read() -> dict[str, Any]:
    try:
        return read_json_object(_path())
    except (OSError, ValueError):
        return {}


def _parsed(value: dict[str, Any]) -> Measured | None:
    try:
        width, height = value["size"]
        measured = Measured(
            seconds=float(value["seconds"]),
            memory=bounded_int(value["memory"], 0, 1 << 50),
            size=(bounded_int(width, 1, 1 << 20), bounded_int(height, 1, 1 << 20)),
            dtype=str(value["dtype"]),
            device=str(value["device"]),
            threads=bounded_int(value["threads"], 1, 1 << 20),
            own_weights=bool(value["own_weights"]),
            busy=bool(value.get("busy")),
        )
    except (LookupError, TypeError, ValueError, ArithmeticError):
        return None
    return measured if 0 < measured.seconds < _LONGEST else None


def _processor() -> str:
    """Return the CPU's name: the folder may be shared by several machines."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine() or "cpu"

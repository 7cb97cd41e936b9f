"""What a model costs: bytes to download, memory, and seconds a frame; asked here by whoever lists or advises.

Download and memory follow from the network's shape. Seconds are measured on this machine (`measure`), or not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from birefvideo.family.hub import stored
from birefvideo.family.measured import PICTURE, Measured, measurements
from birefvideo.family.native_size import native_size
from birefvideo.family.shards import is_index, shards
from birefvideo.family.variants import Variant

if TYPE_CHECKING:
    from birefvideo.matting.devices import Device

PARAMETERS = {"swin_v1_l": 220_176_498, "swin_v1_t": 44_313_720}
"""Weights of the published networks, by their backbone."""
_MEMORY = {
    "conv_m": (510_000_000, 470_000_000, 535),  # `talk`, with its second backbone; two frames at a time
    "swin_v1_t": (1_240_000_000, 860_000_000, 855),
    "swin_v1_l": (3_475_000_000, 1_685_000_000, 1075),
}
"""By backbone: bytes while it is loaded, bytes while it runs, and those for a pixel that the network sees.

Fitted to the peaks of processes that ran frames of 1080p in fp32 on a CPU; GPUs and half precision take less.
"""


@dataclass(frozen=True)
class Cost:
    """What a model costs here."""

    download: tuple[int, int] | None = None
    """Least and most bytes of its file, by whether it is in half or single precision; one number where it is here."""
    memory: int | None = None
    """Bytes for a frame of 1920×1080: measured here, else what its shape takes in fp32 on a CPU."""
    measured: Measured | None = None
    """What was measured here, or None."""

    @property
    def is_memory_measured(self) -> bool:
        """Whether `memory` was measured here."""
        return bool(self.measured and self.measured.memory)

    @property
    def seconds(self) -> float | None:
        """Seconds a frame, measured here, or None."""
        return self.measured.seconds if self.measured else None


def cost_of(row: Variant, device: Device | None = None) -> Cost:
    """Return what a model costs on a device, by default that of 'auto'; see `costs`."""
    return costs([row], device)[row.name]


def costs(rows: list[Variant], device: Device | None = None) -> dict[str, Cost]:
    """Return what models cost on a device of this machine, by name; no connection is opened.

    Raises:
        ModelError: the record of a download is damaged.
    """
    known = measurements(device)
    found: dict[str, Cost] = {}
    for row in rows:
        measured = known.get(row.name)
        memory = measured.memory if measured and measured.memory else memory_of(row)
        found[row.name] = Cost(download_of(row), memory, measured)
    return found


def download_of(row: Variant) -> tuple[int, int] | None:
    """Return the least and most bytes of a model's file, or None where its shape is not known."""
    if here := stored(row):
        files = list(shards(here.path)) if is_index(here.path) else [here.path]
        size = sum(file.stat().st_size for file in files)
        return size, size
    count = PARAMETERS.get(row.backbone)
    return (2 * count, 4 * count) if count else None


def memory_of(row: Variant, size: tuple[int, int] | None = None) -> int | None:
    """Return about how many bytes a job takes that runs a model in fp32 on a CPU, or None where that is not known.

    `size` is the network's input, by default that of a 1920×1080 clip.
    """
    if row.backbone not in _MEMORY:
        return None
    loading, running, pixel = _MEMORY[row.backbone]
    width, height = size or network_size(row)
    return max(loading, running + pixel * width * height)


def network_size(row: Variant) -> tuple[int, int]:
    """Return the (width, height) at which a model sees a 1920×1080 clip."""
    return native_size(row).network_size(*PICTURE)

"""What a variant costs on this machine: bytes to fetch, memory, seconds a frame. None is what nobody has measured."""

from __future__ import annotations

from dataclasses import dataclass

from birefvideo.family.variants import Variant
from birefvideo.matting.devices import Device

PARAMETERS = {"swin_v1_l": 221_000_000, "swin_v1_t": 44_000_000}
"""Numbers in the published networks, by backbone."""


@dataclass(frozen=True)
class Cost:
    """What is known of a variant's costs."""

    download: tuple[int, int] | None = None
    """Bytes to fetch, from and to: in half and in single precision, of which the sources state neither."""
    memory: int | None = None
    """Bytes that it takes while it computes; None where that was not measured."""
    seconds: float | None = None
    """Seconds a frame on this device; None where that was not measured."""


def cost_of(row: Variant, device: Device) -> Cost:
    """Return what is known of a variant's costs on a device; nothing is measured now."""
    count = PARAMETERS.get(row.backbone)
    return Cost(download=(2 * count, 4 * count) if count and not row.embedded else None)

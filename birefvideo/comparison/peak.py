"""The most memory that is held while something is computed."""

from __future__ import annotations

from pathlib import Path

import torch

from birefvideo.matting.devices import Device

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Counts from its making on: a CUDA device's memory, else that of this process where the system tells it."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._counts = True
        if device.kind.name == "cuda":
            torch.cuda.reset_peak_memory_stats(device.torch_device)
            return
        try:
            _RESET.write_text("5")  # Linux: forget the peak so far
        except OSError:
            self._counts = False

    def bytes(self) -> int | None:
        """Return the peak so far; None where the system does not tell."""
        if not self._counts:
            return None
        if self._device.kind.name == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device.torch_device))
        try:
            lines = _STATUS.read_text().splitlines()
            return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))
        except (OSError, StopIteration):
            return None

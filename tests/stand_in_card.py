"""A stand-in for an NVIDIA card: the code for CUDA runs, every call to CUDA is answered, and a CPU computes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from birefvideo.matting.devices import KINDS, Device
from birefvideo.matting.streams import CudaBackend, SerialBackend, Staging


class _Anything:
    """An event or a stream, of which nothing is asked but that it takes what it is told."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def tell(self, *_: object) -> float:
        return 1.0

    record = synchronize = elapsed_time = wait_event = wait_stream = tell


def stand_in_card(monkeypatch: pytest.MonkeyPatch) -> Device:
    """Return a device that says it is a card of compute capability 9.0, for the length of a test."""
    card = SimpleNamespace(multi_processor_count=132, total_memory=80 << 30)
    answers: dict[str, Any] = {
        "Event": _Anything,
        "Stream": _Anything,
        "stream": lambda stream: nullcontext(),
        "device": lambda device: nullcontext(),
        "current_stream": _Anything,
        "synchronize": lambda *_: None,
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": lambda *_: None,
        "max_memory_allocated": lambda *_: 3 << 20,
        "memory_allocated": lambda *_: 2 << 20,
        "memory_reserved": lambda *_: 2 << 20,
        "mem_get_info": lambda *_: (60 << 30, 80 << 30),
        "get_device_properties": lambda *_: card,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, answer)

    profile, activities = torch.profiler.profile, [torch.profiler.ProfilerActivity.CPU]
    monkeypatch.setattr(torch.profiler, "profile", lambda **_: profile(activities=activities))

    def staging(backend: CudaBackend, shape: tuple[int, ...], dtype: torch.dtype) -> Staging:
        return SerialBackend(torch.device("cpu")).staging(shape, dtype)

    def capture(backend: CudaBackend, work: Callable[[], None]) -> Callable[[], None]:
        return work

    monkeypatch.setattr(CudaBackend, "staging", staging)
    monkeypatch.setattr(CudaBackend, "capture", capture)
    kind = replace(KINDS["cuda"], level=lambda device: (9, 0), full_name=lambda device: "a stand-in")
    return Device(torch.device("cpu"), kind)

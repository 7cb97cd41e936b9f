"""Devices as data: in which dtype each computes, how much a batch holds, and how it says that memory is out."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass

import torch

from birefvideo.errors import DeviceError, OptionError

Level = tuple[int, int]
"""How able a device is: CUDA's compute capability, macOS's version, for a CPU (1, 0) where it multiplies bf16."""


@dataclass(frozen=True)
class Arithmetic:
    """One dtype on one kind of device."""

    device: str
    """torch.device.type."""
    dtype: torch.dtype
    """What weights and activations are stored in."""
    able: Level
    """The least level that computes it at all."""
    chosen: Level | None
    """The least level on which it is the fastest; None: never taken unasked."""


# fp16 before bf16 on every GPU that has both: the tensor cores take the same time for either, and fp16 rounds eight
# times finer (docs/gpu.md has figures). It is what the published checkpoints are timed in, and T4 and V100 have it too,
# so that old and new cards agree. bf16's wider range is not needed: an overflow is noticed, not written.
ARITHMETIC = (
    Arithmetic("cuda", torch.float16, able=(5, 3), chosen=(7, 0)),
    Arithmetic("cuda", torch.bfloat16, able=(8, 0), chosen=None),
    Arithmetic("cuda", torch.float32, able=(0, 0), chosen=(0, 0)),
    Arithmetic("mps", torch.float16, able=(0, 0), chosen=(0, 0)),
    Arithmetic("mps", torch.bfloat16, able=(14, 0), chosen=None),
    Arithmetic("mps", torch.float32, able=(0, 0), chosen=None),
    Arithmetic("cpu", torch.bfloat16, able=(0, 0), chosen=(1, 0)),
    Arithmetic("cpu", torch.float32, able=(0, 0), chosen=(0, 0)),
    Arithmetic("cpu", torch.float16, able=(0, 0), chosen=None),  # no CPU kernel is faster for it than in fp32
)
"""All dtypes on all kinds of device, in order of preference."""
DTYPES = ("auto", "float32", "bfloat16", "float16")
"""What the user can ask for."""
_LEVEL_NAMES = {"cuda": "compute capability", "mps": "macOS"}

BATCH_PIXELS = {"cpu": 0, "mps": 2**20, "cuda": 2**21}
"""Network pixels a batch should hold on each kind of device: enough to fill it, few enough for small memories."""
MAX_BATCH = 8
"""Frames a batch holds at most by default; more adds latency and memory, not speed."""
MEMORY_SHARE = 0.8
"""Share of the free memory that a batch may plan with; the rest is for fragmentation and for other programs."""
STAGING_BYTES = 2**28
"""Page-locked memory that all batches under way may hold together; the system cannot swap it out."""

_OUT_OF_MEMORY = (
    "out of memory",  # CUDA and MPS word it alike, but raise different classes
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",  # a handle that found no room for its workspace
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_NOT_INITIALIZED",
    "DEVICE_ALLOCATION_FAILED",  # cuDNN 9
    "NVML_SUCCESS ==",  # the allocator fails to read how much is free while it reports a lack
    "Invalid buffer size",  # MPS
    "Failed to allocate private MTLBuffer",
    "DefaultCPUAllocator",
)
"""Parts of the messages by which libraries say that memory did not suffice."""


def choose_device(name: str = "auto") -> torch.device:
    """Return the device called 'auto', 'cpu', 'mps', 'cuda' or 'cuda:N'; 'auto' takes a GPU where there is one.

    Raises OptionError for another name and DeviceError for a device that is not there.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise OptionError(f"device {name!r} is not one of auto, cpu, mps, cuda, cuda:N")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if gpus else "mps" if has_mps else "cpu"
    if name == "mps" and not has_mps:
        raise DeviceError("device 'mps' needs a Mac with Apple silicon and a PyTorch built for it: choose auto or cpu")
    kind, _, number = name.partition(":")
    if kind != "cuda":
        return torch.device(kind)
    if int(number or 0) >= gpus:
        raise DeviceError(f"device {name!r} is not there, PyTorch sees {gpus} CUDA GPUs: choose auto or cpu")
    return torch.device(kind, int(number or 0))


def check_dtype(name: str) -> None:
    """Refuses a dtype that is none of DTYPES.

    Raises:
        OptionError: names them.
    """
    if name not in DTYPES:
        raise OptionError(f"dtype {name!r} is not one of {', '.join(DTYPES)}")


def choose_dtype(device: torch.device, name: str = "auto") -> torch.dtype:
    """Return the dtype called `name`; 'auto' takes the fastest that `device` computes natively.

    Raises OptionError for another name and DeviceError for a dtype that the device cannot do.
    """
    check_dtype(name)
    level = _level(device)
    rows = [row for row in ARITHMETIC if row.device == device.type]
    if name == "auto":
        return next(row.dtype for row in rows if row.chosen is not None and level >= row.chosen)
    row = next(row for row in rows if row.dtype == getattr(torch, name))
    if level < row.able:
        names = [str(r.dtype).removeprefix("torch.") for r in rows if level >= r.able]
        raise DeviceError(
            f"{name} needs {_LEVEL_NAMES[device.type]} {row.able[0]}.{row.able[1]} or newer and {device} has "
            f"{level[0]}.{level[1]}: choose --dtype auto, {' or '.join(names)}"
        )
    return row.dtype


def _level(device: torch.device) -> Level:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)
    if device.type == "mps":
        major, _, rest = platform.mac_ver()[0].partition(".")
        return int(major or 0), int(rest.partition(".")[0] or 0)
    probes = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return (1, 0) if any(probe() for probe in probes if probe) else (0, 0)


def wanted_batch(device: torch.device, size: tuple[int, int]) -> int:
    """Return how many frames of network size (width, height) fill `device`, memory permitting."""
    return min(MAX_BATCH, max(1, BATCH_PIXELS[device.type] // (size[0] * size[1])))


def fitting_batch(wanted: int, free: int, needed: int) -> int:
    """Return `wanted` frames a batch, or as many as fit in `free` bytes at `needed` bytes each; at least one."""
    return max(1, min(wanted, int(MEMORY_SHARE * free) // max(1, needed)))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it was raised in answer to, says that the device's memory did not suffice.

    The chain counts: ending a CUDA graph's capture after a failed allocation raises a second, vaguer error.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, torch.cuda.OutOfMemoryError) or any(part in str(cause) for part in _OUT_OF_MEMORY):
            return True
        cause = cause.__cause__ or cause.__context__
    return False

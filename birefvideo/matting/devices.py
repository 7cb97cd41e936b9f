"""Devices as data: one row a kind, with its dtypes, what fills it and how it runs; and lack of memory, as it is worded.

A new kind of device is a row of `KINDS`; its streams, where it has any, are a Backend.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from birefvideo.errors import DeviceError, OptionError, named
from birefvideo.hints import meant
from birefvideo.matting.streams import Backend, CudaBackend, SerialBackend

Level = tuple[int, int]
"""How able a device is: CUDA's compute capability, macOS's version, for a CPU (1, 0) where it multiplies bf16."""

DTYPES = ("auto", "float32", "bfloat16", "float16")
"""What the user can ask for."""
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
"""Parts of the messages with which libraries report that memory did not suffice."""


@dataclass(frozen=True)
class Arithmetic:
    """One dtype on one kind of device."""

    dtype: torch.dtype
    """What weights and activations are stored in."""
    able: Level
    """The least level that computes it at all."""
    chosen: Level | None
    """The least level on which it is the fastest; None: never taken unasked."""


@dataclass(frozen=True)
class Kind:
    """One kind of device."""

    name: str
    """torch.device.type, and what the user calls it."""
    count: Callable[[], int]
    """How many devices of this kind PyTorch sees."""
    numbered: bool
    """Whether there may be several, called NAME:0, NAME:1, …; NAME alone is the first."""
    absent: str
    """Why a device that was asked for is not there; {count} is how many there are."""
    arithmetic: tuple[Arithmetic, ...]
    """All dtypes, in order of preference."""
    level: Callable[[torch.device], Level]
    """How able a device of this kind is."""
    level_name: str
    """What a level is a number of; '' where every level computes every dtype."""
    batch_pixels: int
    """Network pixels a batch should hold: enough to fill the device, few enough for small memories."""
    runs_large_models: bool
    """Whether 'auto' takes the large published networks where they are at hand."""
    scales_pictures: bool
    """Whether the device itself scales pictures and enlarges alpha, rather than the host."""
    backend: Callable[[torch.device], Backend[Any]]
    """Makes what runs work on a device."""
    triton_from: Level | None = None
    """The least level on which kernels written in Triton are tried; None: on none."""
    is_shared: bool = False
    """Whether processes may share it: NAME:N then stands for N of them."""
    has_lanes: bool = False
    """Whether its threads may compute several frames at a time."""
    full_name: Callable[[torch.device], str] = str
    """What a device is called in manifests: results of another one may differ."""


def _cuda_level(device: torch.device) -> Level:
    return torch.cuda.get_device_capability(device)


def _macos_version(device: torch.device) -> Level:
    major, _, rest = platform.mac_ver()[0].partition(".")
    return int(major or 0), int(rest.partition(".")[0] or 0)


def _cpu_level(device: torch.device) -> Level:
    probes = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return (1, 0) if any(probe() for probe in probes if probe) else (0, 0)


# fp16 before bf16 on every GPU that has both: the tensor cores take the same time for either, and fp16 rounds eight
# times finer (docs/gpu.md has figures). It is what the published checkpoints are timed in, and T4 and V100 have it too,
# so that old and new cards agree. bf16's wider range is not needed: an overflow is noticed, not written.
KINDS = {
    row.name: row
    for row in (
        Kind(
            "cpu",
            count=lambda: 1,
            numbered=False,
            absent="",
            arithmetic=(
                Arithmetic(torch.bfloat16, able=(0, 0), chosen=(1, 0)),
                Arithmetic(torch.float32, able=(0, 0), chosen=(0, 0)),
                Arithmetic(torch.float16, able=(0, 0), chosen=None),  # no CPU kernel is faster for it than in fp32
            ),
            level=_cpu_level,
            level_name="",
            batch_pixels=0,
            runs_large_models=False,
            scales_pictures=False,
            backend=SerialBackend,
            is_shared=True,
            has_lanes=True,
        ),
        Kind(
            "mps",
            count=lambda: int(torch.backends.mps.is_available()),
            numbered=False,
            absent="needs a Mac with Apple silicon and a PyTorch built for it",
            arithmetic=(
                Arithmetic(torch.float16, able=(0, 0), chosen=(0, 0)),
                Arithmetic(torch.bfloat16, able=(14, 0), chosen=None),
                Arithmetic(torch.float32, able=(0, 0), chosen=None),
            ),
            level=_macos_version,
            level_name="macOS",
            batch_pixels=2**20,
            runs_large_models=False,
            scales_pictures=False,
            backend=SerialBackend,
        ),
        Kind(
            "cuda",
            count=lambda: torch.cuda.device_count() if torch.cuda.is_available() else 0,
            numbered=True,
            absent="is not there, PyTorch sees {count} CUDA GPUs",
            arithmetic=(
                Arithmetic(torch.float16, able=(5, 3), chosen=(7, 0)),
                Arithmetic(torch.bfloat16, able=(8, 0), chosen=None),
                Arithmetic(torch.float32, able=(0, 0), chosen=(0, 0)),
            ),
            level=_cuda_level,
            level_name="compute capability",
            batch_pixels=2**21,
            runs_large_models=True,
            scales_pictures=True,
            backend=CudaBackend,
            triton_from=(8, 0),  # on older ones its compiler may end the process
            full_name=lambda device: torch.cuda.get_device_name(device),
        ),
    )
}
"""All kinds of device by name; 'auto' takes the last one that is there."""


@dataclass(frozen=True)
class Device:
    """A device that computes, and all that is known of its kind."""

    torch_device: torch.device
    """What PyTorch is given."""
    kind: Kind
    """Its kind."""

    @classmethod
    def of(cls, device: torch.device) -> Device:
        """Return the record of PyTorch's device, without looking whether it is there."""
        return cls(device, KINDS[device.type])

    def __str__(self) -> str:
        """Return its name in PyTorch, e.g. 'cuda:0'."""
        return str(self.torch_device)

    @property
    def name(self) -> str:
        """What it is called in manifests: a GPU's model, else its name in PyTorch."""
        return self.kind.full_name(self.torch_device)

    @property
    def runs_large_models(self) -> bool:
        """Whether 'auto' takes the large published networks on it."""
        return self.kind.runs_large_models

    @property
    def level(self) -> Level:
        """How able it is."""
        return self.kind.level(self.torch_device)

    def backend(self) -> Backend[Any]:
        """Make what runs work on it."""
        return self.kind.backend(self.torch_device)

    def dtype_called(self, name: str = "auto") -> torch.dtype:
        """Return the dtype of that name; 'auto' takes the fastest that the device computes natively.

        Raises:
            OptionError: the name is unknown.
            DeviceError: the device cannot do it.
        """
        if name not in DTYPES:
            raise OptionError(f"{named('dtype')} is {name!r}: give one of {', '.join(DTYPES)}")
        level, rows = self.level, self.kind.arithmetic
        if name == "auto":
            return next(row.dtype for row in rows if row.chosen is not None and level >= row.chosen)
        row = next(row for row in rows if row.dtype == getattr(torch, name))
        if level < row.able:
            names = [str(r.dtype).removeprefix("torch.") for r in rows if level >= r.able]
            raise DeviceError(
                f"{name} needs {self.kind.level_name} {row.able[0]}.{row.able[1]} or newer and {self} has "
                f"{level[0]}.{level[1]}: choose {named('dtype')} auto, {' or '.join(names)}"
            )
        return row.dtype

    def wanted_batch(self, size: tuple[int, int]) -> int:
        """Return how many frames of network size (width, height) fill it, memory permitting."""
        return min(MAX_BATCH, max(1, self.kind.batch_pixels // (size[0] * size[1])))


def find_device(name: str | torch.device = "auto") -> Device:
    """Return the device of a name, 'auto', 'cpu', 'mps', 'cuda' or 'cuda:N'; 'auto' takes a GPU where there is one.

    Of a name that stands for several (see `device_names`), the first.

    Raises:
        OptionError: there is no such kind of device.
        DeviceError: it is not there.
    """
    if name == "auto":
        name = [kind.name for kind in KINDS.values() if kind.count()][-1]
    try:
        kind, number = _kind_and_number(name if isinstance(name, torch.device) else _names(name)[0])
    except ValueError as error:
        raise OptionError(f"{named('device')} is {str(name)!r}: {error}") from None
    count = kind.count()
    if number >= count:
        raise DeviceError(f"device {str(name)!r} {kind.absent.format(count=count)}: choose auto or cpu")
    return Device(torch.device(kind.name, number) if kind.numbered else torch.device(kind.name), kind)


def device_name(name: str | torch.device) -> str:
    """Return the name of a device, or 'auto', as `find_device` takes it; whether it is there is not checked.

    Raises:
        ValueError: there is no such kind of device; the message lists them.
    """
    if name == "auto":
        return "auto"
    if isinstance(name, torch.device):
        kind, _ = _kind_and_number(name)
        return str(name) if kind.numbered else kind.name
    names = _names(name)
    is_shared = len(names) > 1 and KINDS[names[0].partition(":")[0]].is_shared
    return f"{names[0]}:{len(names)}" if is_shared else ",".join(names)


def device_names(name: str) -> tuple[str, ...]:
    """Return the names of the devices that one stands for: 'cpu:2' is 'cpu' twice, 'cuda:0,cuda:1' two GPUs.

    Args:
        name: as `device_name` returns it.
    """
    return (name,) if name == "auto" else _names(name)


def _names(name: str) -> tuple[str, ...]:
    """Return the devices of a name that is not 'auto'.

    Raises:
        ValueError: there is no such kind of device, or several do not go together.
    """
    parts = [part.strip() for part in str(name).split(",")]
    if len(parts) == 1:
        word, _, digits = parts[0].partition(":")
        kind = KINDS.get(word)
        if kind is not None and kind.is_shared and digits.isdecimal() and len(digits) < 4 and int(digits):
            return (word,) * int(digits)
    kinds = [_kind_and_number(part)[0] for part in parts]
    if len(parts) > 1 and not (kinds[0].numbered and all(kind is kinds[0] for kind in kinds)):
        raise ValueError("several devices are GPUs of one kind (cuda:0,cuda:1), or processes on the CPU (cpu:4)")
    return tuple(parts)


def _kind_and_number(name: str | torch.device) -> tuple[Kind, int]:
    if isinstance(name, torch.device) and name.type in KINDS:
        return KINDS[name.type], name.index or 0
    word, colon, digits = str(name).partition(":")
    kind = KINDS.get(word)
    if kind is None or (colon and not (kind.numbered and digits.isdecimal() and len(digits) < 4)):
        known = ", ".join(
            f"{kind.name}, {kind.name}:N" if kind.numbered or kind.is_shared else kind.name for kind in KINDS.values()
        )
        raise ValueError(f"give one of auto, {known}{meant(word, ('auto', *KINDS))}")
    return kind, int(digits or 0)


def fitting_batch(wanted: int, free: int, needed: int) -> int:
    """Return `wanted` frames a batch, or as many as fit in `free` bytes at `needed` bytes each; at least one."""
    return max(1, min(wanted, int(MEMORY_SHARE * free) // max(1, needed)))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error, or one that it was raised in answer to, is a lack of the device's memory.

    The chain counts: ending a CUDA graph's capture after a failed allocation raises a second, vaguer error.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, torch.cuda.OutOfMemoryError) or any(part in str(cause) for part in _OUT_OF_MEMORY):
            return True
        cause = cause.__cause__ or cause.__context__
    return False

"""Where device work runs: three CUDA streams beside the host, or the host itself on CPU and MPS.

The inference stage is written once against `Backend`. Work is handed to a stream with `run`, and ordered by
events: `record` marks a point of a stream, `wait` holds another stream until it is reached, `host_wait` holds the
caller.
"""

from __future__ import annotations

import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

EventT = TypeVar("EventT")


class Stream(Enum):
    """The three kinds of device work, each in the order it was handed over."""

    UPLOAD = "upload"
    COMPUTE = "compute"
    DOWNLOAD = "download"


@dataclass(frozen=True)
class Staging:
    """One buffer seen from both sides; on the CPU both are the same memory and the copies do nothing."""

    host: torch.Tensor
    """The host's side, page-locked where `asynchronous`."""
    device: torch.Tensor
    """The device's side, of the same shape and dtype."""
    asynchronous: bool = False
    """Whether a copy may return before it is done; only true of page-locked memory on a stream of its own."""

    def upload(self) -> None:
        """Copy the host's side to the device."""
        self.device.copy_(self.host, non_blocking=self.asynchronous)

    def download(self) -> None:
        """Copy the device's side to the host."""
        self.host.copy_(self.device, non_blocking=self.asynchronous)


class Backend(ABC, Generic[EventT]):
    """Runs work on the streams of one device."""

    depth: int
    """How many batches are worth having under way at once: 1 where the host waits for the work anyway."""

    @abstractmethod
    def staging(self, shape: tuple[int, ...], dtype: torch.dtype) -> Staging:
        """Allocate an uninitialised buffer for both sides."""

    @abstractmethod
    def run(self, stream: Stream, work: Callable[[], None]) -> None:
        """Hand `work` to `stream`; it may run at any time after the work and the waits handed over before it."""

    @abstractmethod
    def record(self, stream: Stream) -> EventT:
        """Mark the point of `stream` after everything handed to it so far."""

    @abstractmethod
    def wait(self, stream: Stream, event: EventT) -> None:
        """Hold what is handed to `stream` from now on until `event` is reached; the host goes on."""

    @abstractmethod
    def host_wait(self, event: EventT) -> None:
        """Hold the caller until `event` is reached."""

    @abstractmethod
    def join(self) -> None:
        """Order everything handed over so far before the caller's own next device work, so buffers can be freed."""

    def at_work(self) -> AbstractContextManager[None]:
        """Return what the caller keeps open while it hands work over and waits for it: threads, where there are any."""
        return nullcontext()

    def follow(self) -> None:
        """Order what is handed over from now on after all device work that the caller has begun: weights, say."""
        return None

    not_captured: str = ""
    """Why a `capture` failed, or '' where none has."""

    def capture(self, work: Callable[[], None]) -> Callable[[], None] | None:
        """Return what repeats the kernels of `work`, on the same memory, at less cost to the host than `work` itself.

        To be called within work of Stream.COMPUTE. All that is captured may use the same memory for what it makes, so
        results must go to memory that `work` was given. Returns None where the device cannot, or refuses; one that has
        refused is not asked again.
        """
        return None

    def free_memory(self) -> int | None:
        """Return the bytes of the device's memory that more work could take, or None where that is not known."""
        return None

    def peak_memory(self, work: Callable[[], None]) -> int:
        """Do `work` on Stream.COMPUTE and return by how many bytes it raised the memory in use at its peak."""
        self.run(Stream.COMPUTE, work)
        return 0

    def release(self) -> None:
        """Give back to the device the memory of buffers that are gone; after `join`."""
        return None


class SerialBackend(Backend[None]):
    """Runs everything at once in the caller's thread: the CPU, and MPS, whose one queue keeps the order itself."""

    def __init__(self, device: torch.device, depth: int = 1) -> None:
        self.depth = depth
        self._device = device

    def staging(self, shape: tuple[int, ...], dtype: torch.dtype) -> Staging:
        """Allocate the buffer once on the CPU, twice elsewhere."""
        host = torch.empty(shape, dtype=dtype, device="cpu")
        return Staging(host, host.to(self._device))

    def run(self, stream: Stream, work: Callable[[], None]) -> None:
        """Do `work` now."""
        work()

    def record(self, stream: Stream) -> None:
        """Mark nothing: all is done."""

    def wait(self, stream: Stream, event: None) -> None:
        """Wait for nothing: all is done."""

    def host_wait(self, event: None) -> None:
        """Wait for nothing: all is done."""

    def join(self) -> None:
        """Wait for nothing: all is done."""


class FirstToLast(ABC):
    """What the first of several users makes and the last one ends; each opens it, in any threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._kept = ExitStack()

    @abstractmethod
    def _make(self) -> None:
        """Make it, and keep in `_kept` what ends it."""

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Use it for as long as the block runs."""
        with self._lock:
            if not self._users:
                try:
                    self._make()
                except BaseException:
                    self._kept.close()
                    raise
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._kept.close()


class _SteadyKernels(FirstToLast):
    """Settings of the process."""

    def _make(self) -> None:
        cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
        self._set(cudnn, "benchmark", False)
        if hasattr(cudnn, "conv"):  # from PyTorch 2.9 on; the older names are then refused where one used the newer
            self._set(cudnn.conv, "fp32_precision", "ieee")
            self._set(products, "fp32_precision", "ieee")
        else:
            self._set(cudnn, "allow_tf32", False)
            self._set(products, "allow_tf32", False)
        attention = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
        self._kept.enter_context(sdpa_kernel(attention))

    def _set(self, where: Any, name: str, value: object) -> None:
        self._kept.callback(setattr, where, name, getattr(where, name))
        setattr(where, name, value)


steady_kernels = _SteadyKernels()
"""Keeps what is queued within it to full fp32 and to kernels that need no search: no TF32, no cuDNN attention.

cuDNN convolves fp32 in TF32, with 10 bits, unless told otherwise. Its attention, which PyTorch prefers on some cards,
first makes a plan for each shape, of which a network has over a hundred.
"""


class CudaBackend(Backend[torch.cuda.Event]):
    """Three streams of one CUDA device, ordered by events alone; nothing here ever synchronises the device."""

    depth = 3  # one batch filled by the host, one computed, one coming back
    # The first makes handles and plans, of which each thread has its own, and tables of a size: a capture must not.
    # One is to spare.
    _WARM_UPS = 2
    _capturing = threading.RLock()
    """Held while one thread captures: others must neither wait for the whole device nor empty the allocator's cache."""
    _locked: ClassVar[str] = ""
    """What broke a capture off so that the allocator, of which a process has one, stays as in a capture; or ''."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._graphs: weakref.WeakSet[torch.cuda.CUDAGraph] = weakref.WeakSet()
        self._pool: Any = None
        self._streams = {stream: torch.cuda.Stream(device) for stream in Stream}  # type: ignore[no-untyped-call]

    def staging(self, shape: tuple[int, ...], dtype: torch.dtype) -> Staging:
        """Allocate page-locked memory and its copy on the device."""
        host = torch.empty(shape, dtype=dtype, device="cpu", pin_memory=True)
        device = torch.empty(shape, dtype=dtype, device=self._device)
        self.follow()  # the allocator may hand out memory that the caller's stream still works on
        return Staging(host, device, asynchronous=True)

    def follow(self) -> None:
        """Make all three streams wait for the caller's on the device."""
        caller = torch.cuda.current_stream(self._device)
        for stream in self._streams.values():
            stream.wait_stream(caller)

    def run(self, stream: Stream, work: Callable[[], None]) -> None:
        """Queue the kernels and copies of `work` on `stream`."""
        with steady_kernels(), torch.cuda.stream(self._streams[stream]):
            work()

    def record(self, stream: Stream) -> torch.cuda.Event:
        """Record an event whose host wait sleeps: a spinning one would take a core from the encoders."""
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(self._streams[stream])
        return event

    def wait(self, stream: Stream, event: torch.cuda.Event) -> None:
        """Make `stream` wait on the device."""
        self._streams[stream].wait_event(event)

    def host_wait(self, event: torch.cuda.Event) -> None:
        """Sleep until `event` is reached."""
        event.synchronize()

    def join(self) -> None:
        """Make the caller's stream wait for all three on the device.

        The caching allocator gives freed buffers to the stream that allocated them, here the caller's.
        """
        caller = torch.cuda.current_stream(self._device)
        for stream in self._streams.values():
            caller.wait_stream(stream)

    def capture(self, work: Callable[[], None]) -> Callable[[], None] | None:
        """Record `work` as a CUDA graph: one launch instead of hundreds or thousands.

        Waits for the device, once. Graphs keep the memory of all that `work` makes for as long as one of them lives,
        and share it, since they run one after another.
        """
        self.not_captured = self.not_captured or CudaBackend._locked
        if self.not_captured:
            return None
        for _ in range(self._WARM_UPS):
            work()
        graph = torch.cuda.CUDAGraph()
        if not self._graphs:
            self._pool = torch.cuda.graph_pool_handle()  # one whose graphs are all gone cannot be taken up again
        # Only this thread is held to the rules of a capture: others may allocate meanwhile.
        mode = "thread_local"
        stream = self._streams[Stream.COMPUTE]
        with self._capturing:
            try:
                with torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode=mode):
                    work()
            except RuntimeError as error:
                # Also where memory is short: `work` has shown that without a graph it suffices.
                self.not_captured = (str(error).splitlines() or [type(error).__name__])[0]
                try:
                    torch.cuda.empty_cache()
                except RuntimeError:
                    CudaBackend._locked = self.not_captured
                return None
        self._graphs.add(graph)
        return graph.replay

    def free_memory(self) -> int:
        """Return what the driver has free, and what PyTorch holds without using it."""
        free, _ = torch.cuda.mem_get_info(self._device)
        idle = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return int(free + idle)

    def peak_memory(self, work: Callable[[], None]) -> int:
        """Memory is taken when work is queued, so there is nothing to wait for."""
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        self.run(Stream.COMPUTE, work)
        return torch.cuda.max_memory_allocated(self._device) - before

    def release(self) -> None:
        """Empty PyTorch's cache of freed memory, where it can be: a capture that was broken off leaves it locked."""
        with self._capturing, torch.cuda.device(self._device):
            if not self._locked:
                torch.cuda.empty_cache()

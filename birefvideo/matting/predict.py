"""Inference: frames in, the same frames with their alpha out, in batches of one shape, on CPU, MPS and CUDA alike.

On CPU and MPS the host scales each picture to the network's size and each alpha back to the picture's. On CUDA the
device does both, with the same filters, so that the host has nothing but copies to make (see docs/gpu.md).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice, takewhile
from typing import Any

import av
import torch
from torch import Tensor, nn

from birefvideo.errors import DeviceError, ModelError, OptionError
from birefvideo.frames import Frame
from birefvideo.matting.device_scaling import PictureScaling
from birefvideo.matting.devices import STAGING_BYTES, Device, fitting_batch, is_out_of_memory
from birefvideo.matting.input_size import InputSize
from birefvideo.matting.network_input import PictureScaler
from birefvideo.matting.slots import DeviceSlot, HostSlot, PictureKind, Slot
from birefvideo.matting.streams import Backend, Stream
from birefvideo.network.birefnet import BiRefNet
from birefvideo.network.fuse import fuse

SNAP = 0.01
"""How near to 0 or 1 an alpha counts as it: a sigmoid never gets there, but an editor needs solid and empty areas."""


def solidified(alpha: torch.Tensor) -> torch.Tensor:
    """Stretch `alpha` so that what lies within `SNAP` of 0 or 1 becomes exactly that."""
    return ((alpha - SNAP) * (1 / (1 - 2 * SNAP))).clamp_(0, 1)


@dataclass
class PredictReport:
    """What a Predictor did, for the receipt."""

    device: str
    """The device, as PyTorch calls it."""
    dtype: str
    """The dtype of the network's arithmetic, e.g. 'float16'."""
    size: tuple[int, int] | None = None
    """(width, height) of the network's input, or None before the first frame."""
    batch: int | None = None
    """Frames a batch now holds, or None before the first frame."""
    frames: int = 0
    """Frames given out."""
    out_of_memory: list[int] = field(default_factory=list)
    """The batches that did not fit in the device's memory, each followed by one of half its size."""
    not_captured: str = ""
    """Why the network ran without a CUDA graph where one was tried, or ''."""


@dataclass
class _Ring:
    """The slots of pictures of one kind."""

    kind: PictureKind | None
    """What the slots are made for; None: for any picture."""
    scaling: PictureScaling | None = None
    """What the device scales with; made with the first slot."""
    free: list[Slot] = field(default_factory=list)
    """Slots that may be filled."""
    under_way: deque[tuple[Slot, list[Frame], Any]] = field(default_factory=deque)
    """Slots handed to the device, oldest first, with their frames and the event after their download."""

    def takes(self, frame: Frame) -> bool:
        """Whether a frame's picture fits into these slots."""
        return self.kind is None or self.kind == PictureKind.of(frame.picture)


class _Captured:
    """The network for one shape of input, as the backend captured it."""

    def __init__(self, model: nn.Module, pixels: Tensor, backend: Backend[Any]) -> None:
        self._input = pixels.clone()
        self._output: Tensor | None = None

        def work() -> None:
            self._output = model(self._input)

        self._repeat = backend.capture(work)
        self.worked = self._repeat is not None

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return the logits of `pixels`, in memory that the next call writes to."""
        assert self._repeat is not None
        self._input.copy_(pixels)
        self._repeat()
        assert self._output is not None
        return self._output


class Predictor:
    """Gives frames their alpha with a network that maps (N, 3, h, w) to logits (N, 1, h, w).

    It takes the module over: puts it in eval mode, on `device`, in `dtype` (the device's fastest by default) and, with
    `channels_last`, in that memory format. A batch holds `batch` frames (batch_for by default); the last one is
    filled up, so the network always sees one shape and no result depends on how the frames fell into batches.
    With `on_device` (by default as the kind of device has it) the device scales pictures and enlarges alpha, else the
    host. A BiRefNet runs in its inference form, unless `fused` is False.
    """

    def __init__(
        self,
        model: nn.Module,
        size: InputSize,
        device: Device,
        *,
        dtype: torch.dtype | None = None,
        batch: int | None = None,
        channels_last: bool = True,
        on_device: bool | None = None,
        fused: bool = True,
        backend: Backend[Any] | None = None,
    ) -> None:
        self._dtype = dtype or device.dtype_called()
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        if fused and isinstance(model, BiRefNet):
            model = fuse(model)
        self._model = model.eval().to(device.torch_device, self._dtype)
        for module in self._model.modules():
            if isinstance(module, nn.Conv2d):  # and nothing else: not all that has four axes is a filter
                module.to(memory_format=self._layout)  # type: ignore[call-overload]
        self._size = size
        self._device = device
        self._on_device = device.kind.scales_pictures if on_device is None else on_device
        self._backend = backend or device.backend()
        self._scaler = PictureScaler()
        self._captured: dict[torch.Size, _Captured | None] = {}
        self._fitting: dict[PictureKind, int] = {}
        self.begin(batch)

    @property
    def network(self) -> nn.Module:
        """The network that runs."""
        model: nn.Module = self._model
        return model

    def begin(self, batch: int | None) -> None:
        """Start a job: with batches of so many frames, or of as many as batch_for says, and a report of its own."""
        if batch is not None and batch < 1:
            raise OptionError(f"batch must be at least 1, not {batch}")
        self._batch = batch
        dtype = str(self._dtype).removeprefix("torch.")
        self.report = PredictReport(str(self._device), dtype, batch=batch, not_captured=self._backend.not_captured)

    def batch_for(self, kind: PictureKind) -> int:
        """Return how many pictures of one kind make a batch: enough to fill the device, if its memory allows.

        Where the device tells its free memory, one frame is run to see what it takes. Asked again about the same kind,
        the answer is the same.
        Raises DeviceError where one frame does not fit.
        """
        if kind not in self._fitting:
            size = self._size.network_size(kind.width, kind.height)
            batch = self._device.wanted_batch(size)
            if self._on_device:
                batch = max(1, min(batch, STAGING_BYTES // (self._backend.depth * kind.staged_bytes)))
            if batch > 1 and self._backend.free_memory() is not None:
                batch = fitting_batch(batch, *self._probe(kind, size))
            self._fitting = {kind: batch}
        return self._fitting[kind]

    def predict(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield each of `frames`, in order, with its alpha at its picture's size.

        At most the backend's depth × batch frames are held. One generator of a Predictor runs at a time.
        Raises DeviceError where one frame does not fit in the device's memory or the network's answer is no number.
        """
        source = iter(frames)
        waiting = list(islice(source, 1))
        if not waiting:
            return
        picture = waiting[0].picture
        report = self.report
        report.size = self._size.network_size(picture.width, picture.height)
        # From the same batch every time, even where an earlier clip or segment ran out of memory.
        report.batch = batch = self._batch or self.batch_for(PictureKind.of(picture))
        ring = self._ring(picture)
        try:
            while True:
                waiting.extend(islice(source, max(0, batch - len(waiting))))
                if not waiting:
                    break
                if not ring.takes(waiting[0]):
                    yield from self._collect_all(ring)
                    ring = self._ring(waiting[0].picture)
                alike = list(takewhile(ring.takes, waiting[:batch]))
                if self._submit(alike, ring):
                    del waiting[: len(alike)]
                    if len(ring.under_way) == self._backend.depth:
                        yield from self._collect(ring)
                else:
                    yield from self._collect_all(ring)
                    ring = self._ring(waiting[0].picture)  # first, so that the old slots' memory is given back
                    batch = self._halve(batch)
            yield from self._collect_all(ring)
        finally:
            self._backend.join()

    def _ring(self, picture: av.VideoFrame) -> _Ring:
        """An empty ring; it takes no memory yet."""
        return _Ring(PictureKind.of(picture) if self._on_device else None)

    def _submit(self, frames: list[Frame], ring: _Ring) -> bool:
        """Hand one batch to the device; return False, with nothing changed, where memory does not suffice."""
        assert self.report.size is not None and self.report.batch is not None
        try:
            slot = ring.free.pop() if ring.free else self._new_slot(ring, self.report.size, self.report.batch)
            slot.fill(frames)
            ring.under_way.append((slot, frames, self._launch(slot)))
        except RuntimeError as error:
            if is_out_of_memory(error):
                return False
            if "not implemented for" in str(error):
                raise DeviceError(
                    f"{self.report.device} cannot compute this network in {self.report.dtype}: choose --dtype auto"
                ) from error
            raise
        return True

    def _new_slot(self, ring: _Ring, size: tuple[int, int], count: int) -> Slot:
        staging = self._backend.staging
        if ring.kind is None:
            return HostSlot(count, size, self._scaler, staging, self._device.torch_device)
        if ring.scaling is None:
            ring.scaling = PictureScaling(ring.kind.shapes, ring.kind.bits, size, self._device.torch_device)
        return DeviceSlot(count, ring.kind, ring.scaling, size, self._scaler, staging)

    def _probe(self, kind: PictureKind, size: tuple[int, int]) -> tuple[int, int]:
        """Run one blank picture; return the bytes free for batches, and those that each frame of a batch takes."""
        backend = self._backend
        self._captured.clear()
        backend.release()
        try:
            needed = backend.depth * kind.staged_bytes + self._peak(kind, size)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise self._too_small(size) from error
            raise
        finally:
            backend.join()
        backend.release()
        return backend.free_memory() or 0, needed

    def _peak(self, kind: PictureKind, size: tuple[int, int]) -> int:
        slot = self._new_slot(_Ring(kind if self._on_device else None), size, 1)
        # A picture, and not whatever lies in the buffers: deformable sampling must not see what is no number.
        slot.fill([Frame(av.VideoFrame(kind.width, kind.height, kind.pix_fmt), 0, Fraction(1), 0)])

        def work() -> None:
            slot.upload()
            self._infer(slot, self._model)

        return self._backend.peak_memory(work)

    def _launch(self, slot: Slot) -> Any:
        """Queue upload, inference and download of a filled slot; return the event after the download."""
        backend = self._backend
        backend.run(Stream.UPLOAD, slot.upload)
        backend.wait(Stream.COMPUTE, backend.record(Stream.UPLOAD))
        backend.run(Stream.COMPUTE, lambda: self._infer(slot, self._best_network))
        backend.wait(Stream.DOWNLOAD, backend.record(Stream.COMPUTE))
        backend.run(Stream.DOWNLOAD, slot.download)
        return backend.record(Stream.DOWNLOAD)

    @torch.inference_mode()
    def _infer(self, slot: Slot, network: Callable[[Tensor], Tensor]) -> None:
        pixels = slot.pixels(self._dtype).contiguous(memory_format=self._layout)
        logits = network(pixels)
        shape = (len(pixels), 1, *pixels.shape[2:])
        if logits.shape != shape:
            raise ModelError(f"the network gave logits of shape {tuple(logits.shape)}, not {shape}: wrong checkpoint?")
        slot.keep(solidified(logits[:, 0].to(torch.float32).sigmoid()))

    def _best_network(self, pixels: Tensor) -> Tensor:
        """The network, captured where the backend can: only for the last shape, since a capture holds memory."""
        if pixels.shape not in self._captured:
            self._captured.clear()
            captured = _Captured(self._model, pixels, self._backend)
            self._captured[pixels.shape] = captured if captured.worked else None
            self.report.not_captured = self._backend.not_captured
        network = self._captured[pixels.shape] or self._model
        logits: Tensor = network(pixels)
        return logits

    def _collect(self, ring: _Ring) -> Iterator[Frame]:
        """Wait for the oldest batch, yield its frames, and free its slot."""
        slot, frames, downloaded = ring.under_way.popleft()
        self._backend.host_wait(downloaded)
        for index, frame in enumerate(frames):
            if slot.overflowed(index):
                raise DeviceError(
                    f"the network overflowed in {self.report.dtype} on {self.report.device} at "
                    f"{float(frame.seconds):.3f} s: run again with --dtype float32"
                )
            self.report.frames += 1
            yield replace(frame, alpha=slot.alpha(index, frame.picture))
        ring.free.append(slot)

    def _collect_all(self, ring: _Ring) -> Iterator[Frame]:
        while ring.under_way:
            yield from self._collect(ring)

    def _halve(self, batch: int) -> int:
        """Return half of a batch that did not fit, after giving back the memory that it took."""
        assert self.report.size is not None
        if batch == 1:
            raise self._too_small(self.report.size)
        self._captured.clear()
        self._backend.join()
        self._backend.release()
        self.report.out_of_memory.append(batch)
        self.report.batch = batch // 2
        return batch // 2

    def _too_small(self, size: tuple[int, int]) -> DeviceError:
        return DeviceError(
            f"{self.report.device} has too little free memory for one frame at {size[0]}x{size[1]}: close other "
            "programs, choose a smaller model, or run on the cpu"
        )

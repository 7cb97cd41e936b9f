"""Inference: frames in, the same frames with their alpha out, in batches of one shape, on CPU, MPS and CUDA alike.

The host scales each picture to the network's size and each alpha back to the picture's, so the network sees the same
pixels on every device, only small buffers cross the bus, and a batch's shape does not depend on the picture's.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn

from birefvideo.errors import DeviceError, ModelError, OptionError
from birefvideo.frames import Frame
from birefvideo.matting.enlarge import enlarge_alpha
from birefvideo.matting.network_input import InputSize, PictureScaler
from birefvideo.matting.streams import Backend, Staging, Stream, backend_for

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

BATCH_PIXELS = {"cpu": 0, "mps": 2**20, "cuda": 2**21}
"""Network pixels a batch should hold on each kind of device: enough to fill it, few enough for small memories."""
MAX_BATCH = 8
"""Frames a batch holds at most by default; more adds latency and memory, not speed."""


SNAP = 0.01
"""How near to 0 or 1 an alpha counts as it: a sigmoid never gets there, but an editor needs solid and empty areas."""


def solidified(alpha: torch.Tensor) -> torch.Tensor:
    """Stretch `alpha` so that what lies within `SNAP` of 0 or 1 becomes exactly that."""
    return ((alpha - SNAP) * (1 / (1 - 2 * SNAP))).clamp_(0, 1)


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


def default_dtype(device: torch.device) -> torch.dtype:
    """Return the fastest dtype that `device` computes natively.

    fp16 rather than bf16 on GPUs: the same speed with an eighth of the rounding error, the dtype of the published
    checkpoints' own benchmarks, and there from compute capability 7.0 on, so that old and new cards agree.
    """
    if device.type == "cuda":
        return torch.float16 if torch.cuda.get_device_capability(device) >= (7, 0) else torch.float32
    if device.type == "mps":
        return torch.float16
    probes = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return torch.bfloat16 if any(probe() for probe in probes if probe) else torch.float32


def default_batch(device: torch.device, size: tuple[int, int]) -> int:
    """Return how many frames of network size (width, height) make a batch on `device`."""
    return min(MAX_BATCH, max(1, BATCH_PIXELS[device.type] // (size[0] * size[1])))


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


@dataclass(frozen=True)
class _Slot:
    """The buffers of one batch under way.

    A slot is filled again only after the host has waited for its last download, which comes after its compute, which
    comes after its upload: so no buffer needs an event of its own before it is written again.
    """

    pixels: Staging
    """uint8 (N, h, w, 3), RGB."""
    alpha: Staging
    """float32 (N, h, w)."""


@dataclass
class _Ring:
    """The slots of one call of `predict`."""

    free: list[_Slot]
    """Slots that may be filled."""
    under_way: deque[tuple[_Slot, list[Frame], Any]] = field(default_factory=deque)
    """Slots handed to the device, oldest first, with their frames and the event after their download."""


class Predictor:
    """Gives frames their alpha with a network that maps (N, 3, h, w) to logits (N, 1, h, w).

    It takes the module over: puts it in eval mode, on `device`, in `dtype` (default_dtype by default) and, with
    `channels_last`, in that memory format. A batch holds `batch` frames (default_batch by default); the last one is
    filled up, so the network always sees one shape and no result depends on how the frames fell into batches.
    """

    def __init__(
        self,
        model: nn.Module,
        size: InputSize,
        device: torch.device,
        *,
        dtype: torch.dtype | None = None,
        batch: int | None = None,
        channels_last: bool = True,
        backend: Backend[Any] | None = None,
    ) -> None:
        if batch is not None and batch < 1:
            raise OptionError(f"batch must be at least 1, not {batch}")
        self._dtype = dtype or default_dtype(device)
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        self._model = model.eval().to(device, self._dtype).to(memory_format=self._layout)  # type: ignore[call-overload]
        self._size = size
        self._device = device
        self._mean = 255 * torch.tensor(IMAGENET_MEAN, device=device)
        self._scale = 1 / (255 * torch.tensor(IMAGENET_STD, device=device))
        self._backend = backend or backend_for(device)
        self._scaler = PictureScaler()
        self._batch = batch
        self.report = PredictReport(str(device), str(self._dtype).removeprefix("torch."), batch=batch)

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
        report.batch = batch = self._batch or default_batch(self._device, report.size)
        ring = _Ring([])
        try:
            while True:
                waiting.extend(islice(source, max(0, batch - len(waiting))))
                if not waiting:
                    break
                if self._submit(waiting[:batch], ring):
                    del waiting[:batch]
                    if len(ring.under_way) == self._backend.depth:
                        yield from self._collect(ring)
                else:
                    while ring.under_way:
                        yield from self._collect(ring)
                    batch, ring = self._halve(batch), _Ring([])
            while ring.under_way:
                yield from self._collect(ring)
        finally:
            self._backend.join()

    def _submit(self, frames: list[Frame], ring: _Ring) -> bool:
        """Hand one batch to the device; return False, with nothing changed, where memory does not suffice."""
        try:
            slot = ring.free.pop() if ring.free else self._new_slot()
            self._fill(slot.pixels.host, frames)
            ring.under_way.append((slot, frames, self._launch(slot)))
        except RuntimeError as error:
            if "out of memory" not in str(error):  # CUDA and MPS word it alike, but raise different classes
                raise
            return False
        return True

    def _new_slot(self) -> _Slot:
        assert self.report.size is not None and self.report.batch is not None
        width, height = self.report.size
        shape = (self.report.batch, height, width)
        staging = self._backend.staging
        return _Slot(staging((*shape, 3), torch.uint8), staging(shape, torch.float32))

    def _fill(self, pixels: torch.Tensor, frames: list[Frame]) -> None:
        """Write the frames' pictures to `pixels`, and the last one again where frames are fewer."""
        assert self.report.size is not None
        rows = pixels.numpy()
        for row, frame in zip(rows, frames, strict=False):
            row[:] = self._scaler(frame.picture, self.report.size)
        rows[len(frames) :] = rows[len(frames) - 1]

    def _launch(self, slot: _Slot) -> Any:
        """Queue upload, inference and download of a filled slot; return the event after the download."""
        backend = self._backend
        backend.run(Stream.UPLOAD, slot.pixels.upload)
        backend.wait(Stream.COMPUTE, backend.record(Stream.UPLOAD))
        backend.run(Stream.COMPUTE, lambda: self._infer(slot))
        backend.wait(Stream.DOWNLOAD, backend.record(Stream.COMPUTE))
        backend.run(Stream.DOWNLOAD, slot.alpha.download)
        return backend.record(Stream.DOWNLOAD)

    @torch.inference_mode()
    def _infer(self, slot: _Slot) -> None:
        count, height, width, _ = slot.pixels.device.shape
        # By whole rows of RGB triples: broadcast over channels-last pixels, this takes six times as long on a CPU.
        rows = slot.pixels.device.view(-1, 3 * width).to(torch.float32)
        rows = rows.sub_(self._mean.repeat(width)).mul_(self._scale.repeat(width)).to(self._dtype)
        pixels = rows.view(count, height, width, 3).permute(0, 3, 1, 2).contiguous(memory_format=self._layout)
        logits = self._model(pixels)
        shape = (count, 1, height, width)
        if logits.shape != shape:
            raise ModelError(f"the network gave logits of shape {tuple(logits.shape)}, not {shape}: wrong checkpoint?")
        slot.alpha.device.copy_(solidified(logits[:, 0].to(torch.float32).sigmoid()))

    def _collect(self, ring: _Ring) -> Iterator[Frame]:
        """Wait for the oldest batch, yield its frames, and free its slot."""
        slot, frames, downloaded = ring.under_way.popleft()
        self._backend.host_wait(downloaded)
        for frame, alpha in zip(frames, slot.alpha.host.numpy(), strict=False):
            if np.isnan(alpha.sum()):  # a sum carries any NaN, and needs no mask
                raise DeviceError(
                    f"the network overflowed in {self.report.dtype} on {self.report.device} at "
                    f"{float(frame.seconds):.3f} s: run again in float32"
                )
            self.report.frames += 1
            yield replace(frame, alpha=enlarge_alpha(alpha, frame.picture))
        ring.free.append(slot)

    def _halve(self, batch: int) -> int:
        """Return half of a batch that did not fit, after giving back the memory that it took."""
        assert self.report.size is not None
        if batch == 1:
            width, height = self.report.size
            raise DeviceError(
                f"{self.report.device} has too little free memory for one frame at {width}x{height}: close other "
                "programs, choose a smaller model, or run on the cpu"
            )
        self._backend.join()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        self.report.out_of_memory.append(batch)
        self.report.batch = batch // 2
        return batch // 2

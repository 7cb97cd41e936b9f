"""A network on a device, ready to run batches of one shape, on CPU, MPS and CUDA alike.

On CPU and MPS the host scales each picture to the network's size and each alpha back to the picture's. On CUDA the
device does both, with the same filters, so that the host has nothing but copies to make (see docs/gpu.md).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import torch
from torch import Tensor, nn

from birefvideo.errors import DeviceError, ModelError
from birefvideo.frames import DecodedFrame
from birefvideo.matting.devices import STAGING_BYTES, Device, fitting_batch, is_out_of_memory
from birefvideo.matting.input_size import InputSize
from birefvideo.matting.network_input import PictureScaler
from birefvideo.matting.slots import PictureKind, Slot, SlotMaker
from birefvideo.matting.streams import Backend, Stream
from birefvideo.network.birefnet import BiRefNet
from birefvideo.network.fuse import fuse

SNAP = 0.01
"""How near to 0 or 1 an alpha counts as it: a sigmoid never gets there, but an editor needs solid and empty areas."""


def solidified(alpha: torch.Tensor) -> torch.Tensor:
    """Stretch `alpha` so that what lies within `SNAP` of 0 or 1 becomes exactly that."""
    return ((alpha - SNAP) * (1 / (1 - 2 * SNAP))).clamp_(0, 1)


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


class Engine:
    """Runs a network that maps (N, 3, h, w) to logits (N, 1, h, w) on batches of pictures, for one clip after another.

    It takes the module over: puts it in eval mode, on `device`, in `dtype` (the device's fastest by default) and, with
    `channels_last`, in that memory format. With `on_device` (by default as the kind of device has it) the device scales
    pictures and enlarges alpha, else the host. A BiRefNet runs in its inference form, unless `fused` is False.
    """

    def __init__(
        self,
        model: nn.Module,
        size: InputSize,
        device: Device,
        *,
        dtype: torch.dtype | None = None,
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
        self.size = size
        """The size at which the network sees pictures."""
        self.device = device
        """Where it runs."""
        self.backend = backend or device.backend()
        """What runs work there."""
        self.lock = threading.RLock()
        """Held while work is prepared and handed over, so that several clips may be under way in several threads."""
        self._on_device = device.kind.scales_pictures if on_device is None else on_device
        self._scaler = PictureScaler()
        self._captured: dict[torch.Size, _Captured | None] = {}
        self._fitting: dict[tuple[PictureKind, Fraction], int] = {}

    @property
    def network(self) -> nn.Module:
        """The network that runs."""
        model: nn.Module = self._model
        return model

    @property
    def dtype(self) -> str:
        """The dtype of the network's arithmetic, e.g. 'float16'."""
        return str(self._dtype).removeprefix("torch.")

    def batch_for(self, kind: PictureKind, aspect: Fraction = Fraction(1)) -> int:
        """Return how many pictures of one kind make a batch: enough to fill the device, if its memory allows.

        `aspect` is the shape of their pixels. Where the device's free memory is known, one frame is run to see what it
        takes. Asked again about the same kind, the answer is the same.

        Raises:
            DeviceError: one frame does not fit.
        """
        with self.lock:
            if (kind, aspect) not in self._fitting:
                self._fitting = {(kind, aspect): self._found_batch(kind, aspect)}
            return self._fitting[kind, aspect]

    def _found_batch(self, kind: PictureKind, aspect: Fraction) -> int:
        size = self.size.network_size(kind.width, kind.height, aspect)
        batch = self.device.wanted_batch(size)
        if self._on_device:
            batch = max(1, min(batch, STAGING_BYTES // (self.backend.depth * kind.staged_bytes)))
        if batch > 1 and self.backend.free_memory() is not None:
            batch = fitting_batch(batch, *self._probe(kind, size))
        return batch

    def slots_for(self, picture: av.VideoFrame, size: tuple[int, int]) -> SlotMaker:
        """Return what makes the slots of pictures like this one, seen at `size`; it takes no memory yet."""
        return self._slots(PictureKind.of(picture), size)

    def _slots(self, kind: PictureKind, size: tuple[int, int]) -> SlotMaker:
        kept = kind if self._on_device else None
        return SlotMaker(kept, size, self._scaler, self.backend.staging, self.device.torch_device)

    def _probe(self, kind: PictureKind, size: tuple[int, int]) -> tuple[int, int]:
        """Run one blank picture; return the bytes free for batches, and those that each frame of a batch takes."""
        backend = self.backend
        self._captured.clear()
        backend.release()
        try:
            needed = backend.depth * kind.staged_bytes + self._peak(kind, size)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise self.too_small(size) from error
            raise
        finally:
            backend.join()
        backend.release()
        return backend.free_memory() or 0, needed

    def _peak(self, kind: PictureKind, size: tuple[int, int]) -> int:
        slot = self._slots(kind, size)(1)
        # A picture, and not whatever lies in the buffers: deformable sampling must not see NaN.
        slot.fill([DecodedFrame(av.VideoFrame(kind.width, kind.height, kind.pix_fmt), 0, Fraction(1), 0)])

        def work() -> None:
            slot.upload()
            self._infer(slot, self._model)

        return self.backend.peak_memory(work)

    def launch(self, slot: Slot) -> Any:
        """Queue upload, inference and download of a filled slot; return the event after the download.

        The caller holds `lock`, from before it fills the slot.
        """
        backend = self.backend
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
        """Run the network, captured where the backend can: only for the last shape, since a capture holds memory."""
        if pixels.shape not in self._captured:
            self._captured.clear()
            captured = _Captured(self._model, pixels, self.backend)
            self._captured[pixels.shape] = captured if captured.worked else None
        network = self._captured[pixels.shape] or self._model
        logits: Tensor = network(pixels)
        return logits

    def give_back(self) -> None:
        """Give the device the memory of captures and of buffers that are gone."""
        with self.lock:
            self._captured.clear()
            self.backend.join()
            self.backend.release()

    def too_small(self, size: tuple[int, int]) -> DeviceError:
        """Return the error of a device that cannot hold one frame of this size."""
        return DeviceError(
            f"{self.device} has too little free memory for one frame at {size[0]}x{size[1]}: close other "
            "programs, choose a smaller model, or run on the cpu"
        )

"""A network on a device, ready to run batches of one shape, on CPU, MPS and CUDA alike.

On CPU and MPS the host scales each picture to the network's size and each alpha back to the picture's. On CUDA the
device does both, with the same filters, so that the host has nothing but copies to make (see docs/gpu.md).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import av
import torch
from torch import nn

from birefvideo.errors import DeviceError, ModelError
from birefvideo.frames import DecodedFrame
from birefvideo.matting.devices import STAGING_BYTES, Device, fitting_batch, is_out_of_memory
from birefvideo.matting.input_size import InputSize
from birefvideo.matting.lanes import LARGEST, lanes_for
from birefvideo.matting.network_form import in_fastest_form
from birefvideo.matting.network_input import PictureScaler
from birefvideo.matting.slots import PictureKind, Ring, Slot, SlotMaker
from birefvideo.matting.streams import Backend, Stream
from birefvideo.network.birefnet import BiRefNet
from birefvideo.network.fuse import tables_of, without_autocast

SNAP = 0.01
"""How near to 0 or 1 an alpha counts as it: a sigmoid never gets there, but an editor needs solid and empty areas."""


def solidified(alpha: torch.Tensor) -> torch.Tensor:
    """Stretch `alpha` so that what lies within `SNAP` of 0 or 1 becomes exactly that."""
    return ((alpha - SNAP) * (1 / (1 - 2 * SNAP))).clamp_(0, 1)


class Engine:
    """Runs a network that maps (N, 3, h, w) to logits (N, 1, h, w) on batches of pictures, for one clip after another.

    It takes the module over: puts it in eval mode, on `device`, in `dtype` (the device's fastest by default) and, with
    `channels_last`, in that memory format. With `on_device` (by default as the kind of device has it) the device scales
    pictures and enlarges alpha, else the host. A BiRefNet runs in its inference form, unless `fused` is False. With
    `mirrored` it sees each picture and its mirror image, in twice the time; the answer is the mean of both logits.
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
        mirrored: bool = False,
        backend: Backend[Any] | None = None,
    ) -> None:
        self.backend = backend or device.backend()
        """What runs work there."""
        self._lanes = None if backend or not fused else lanes_for(model, device)
        self._dtype = dtype or device.dtype_called()
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        self.form = ""
        """The form that a network runs in on a device that has a choice of them, in a sentence; else ''."""
        if fused and isinstance(model, BiRefNet):
            model, self.form = in_fastest_form(model, device, self._dtype, self.backend)
        self._model = model.eval().to(device.torch_device, self._dtype)
        for module in self._model.modules():
            if isinstance(module, nn.Conv2d):  # and nothing else: not all that has four axes is a filter
                module.to(memory_format=self._layout)  # type: ignore[call-overload]
        self.backend.follow()  # the weights may be on their way, and another thread may begin the first clip
        self.size = size
        """The size at which the network sees pictures."""
        self.device = device
        """Where it runs."""
        self.lock = threading.RLock()
        """Held while work is prepared and handed over, so that several clips may be under way in several threads."""
        self._on_device = device.kind.scales_pictures if on_device is None else on_device
        self._scaler = PictureScaler()
        self._mirrored = mirrored
        self._idle: Ring | None = None
        self._captured: dict[Slot, tuple[Callable[[], None], object] | None] = {}
        """What repeats the work on each slot of the ring, and the tables that it reads; None: not captured."""
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
            room = STAGING_BYTES // self.backend.depth
            batch = next((count for count in range(batch, 1, -1) if kind.locked_bytes(count) <= room), 1)
        if batch > 1 and self.backend.free_memory() is not None:
            batch = fitting_batch(batch, *self._probe(kind, size))
        return batch

    def backend_for(self, size: tuple[int, int], batch: int) -> Backend[Any]:
        """Return what runs batches of so many frames, seen at `size`: several at a time, where that is faster."""
        lanes = self._lanes
        return lanes if lanes and batch * size[0] * size[1] <= LARGEST else self.backend

    def ring_for(self, picture: av.VideoFrame, size: tuple[int, int], batch: int) -> Ring:
        """Return the slots of batches of pictures like this one, seen at `size`; a new ring takes no memory yet.

        The last ring that was left is kept, so that work captured on its slots serves the next clip. No two clips
        have the same ring at a time.
        """
        with self.lock:
            ring, self._idle = self._idle, None
            if ring is not None and ring.serves(picture, size, batch):
                ring.recover(self.backend)
                return ring
            self._drop(ring)
            return Ring(self._slots(PictureKind.of(picture), size), size, batch)

    def leave(self, ring: Ring) -> None:
        """Take back what `ring_for` gave, for the next clip; work may still be under way on it."""
        with self.lock:
            self._drop(self._idle)
            self._idle = ring

    def exchange(self, ring: Ring, picture: av.VideoFrame, size: tuple[int, int], batch: int) -> Ring:
        """Return another ring as `ring_for` does, for one that serves no more; where that fails, `ring` stays taken."""
        with self.lock:
            self._drop(ring)
            return self.ring_for(picture, size, batch)

    def _drop(self, ring: Ring | None) -> None:
        """Forget the slots of a ring, once the device is done with them, and what was captured on them."""
        for slot in ring.clear(self.backend) if ring else ():
            self._captured.pop(slot, None)

    def _slots(self, kind: PictureKind, size: tuple[int, int]) -> SlotMaker:
        kept = kind if self._on_device else None
        return SlotMaker(kept, size, self._scaler, self.backend.staging, self.device.torch_device)

    def _probe(self, kind: PictureKind, size: tuple[int, int]) -> tuple[int, int]:
        """Run one blank picture; return the bytes free for batches, and those that each frame of a batch takes."""
        backend = self.backend
        self._drop(self._idle)
        self._idle = None
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
            self._infer(slot)

        return self.backend.peak_memory(work)

    def launch(self, slot: Slot, backend: Backend[Any]) -> Any:
        """Queue upload, inference and download of a filled slot on one of the backends.

        Returns the event after the download. The caller holds `lock`, from before it fills the slot.
        """
        backend.run(Stream.UPLOAD, slot.upload)
        backend.wait(Stream.COMPUTE, backend.record(Stream.UPLOAD))
        backend.run(Stream.COMPUTE, lambda: self._compute(slot))
        backend.wait(Stream.DOWNLOAD, backend.record(Stream.COMPUTE))
        backend.run(Stream.DOWNLOAD, slot.download)
        return backend.record(Stream.DOWNLOAD)

    def _compute(self, slot: Slot) -> None:
        """Run a slot's work, from its planes to its alpha: captured where the backend can, once for each slot."""
        if slot not in self._captured:
            repeat = self.backend.capture(partial(self._infer, slot))
            self._captured[slot] = (repeat, tables_of(self._model)) if repeat else None
        captured = self._captured[slot]
        if captured:
            captured[0]()
        else:
            self._infer(slot)

    @torch.inference_mode()
    def _infer(self, slot: Slot) -> None:
        with without_autocast(self.device.torch_device):
            pixels = slot.pixels(self._dtype).contiguous(memory_format=self._layout)
            logits = self._logits(pixels)
            if self._mirrored:
                logits = (logits + self._logits(pixels.flip(3)).flip(3)) / 2
            slot.keep(solidified(logits[:, 0].sigmoid()))

    def _logits(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the network's answer, float32 (N, 1, h, w)."""
        logits: torch.Tensor = self._model(pixels)
        shape = (len(pixels), 1, *pixels.shape[2:])
        if logits.shape != shape:
            raise ModelError(f"the network gave logits of shape {tuple(logits.shape)}, not {shape}: wrong checkpoint?")
        return logits.to(torch.float32)

    def give_back(self, ring: Ring | None = None) -> None:
        """Give the device the memory of buffers that no clip uses, of `ring` too, and of what was captured on them."""
        with self.lock:
            self.backend.join()  # work of a slot that nobody waits for may be under way: its buffers go to the caller
            self._drop(ring)
            self._drop(self._idle)
            self._idle = None
            self.backend.release()

    def too_small(self, size: tuple[int, int]) -> DeviceError:
        """Return the error of a device that cannot hold one frame of this size."""
        return DeviceError(
            f"{self.device} has too little free memory for one frame at {size[0]}x{size[1]}: close other "
            "programs, choose a smaller model, or run on the cpu"
        )

"""The buffers of one batch under way, and what is done to pictures and alpha at either end of them.

`HostSlot`: the host scales pictures to the network's size and alpha back. `DeviceSlot`: the pictures' planes go to the
device as they are, and alpha comes back at the pictures' size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import av
import cv2
import numpy as np
import torch
from torch import Tensor

from birefvideo.frames import Alpha, DecodedFrame
from birefvideo.matting.device_scaling import PictureScaling, Size
from birefvideo.matting.network_input import PictureScaler, needs_tone_mapping, rgb_map
from birefvideo.matting.streams import Backend, Staging
from birefvideo.matting.upsample_alpha import enlarge_alpha
from birefvideo.planes import plane_array

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

NewStaging = Callable[[tuple[int, ...], torch.dtype], Staging]
"""Makes an uninitialised buffer for both sides (see Backend.staging)."""


@dataclass(frozen=True)
class PictureKind:
    """What a device slot is made for: pictures that differ in this cannot share a batch."""

    width: int
    """Columns of a picture."""
    height: int
    """Rows of a picture."""
    pix_fmt: str
    """FFmpeg's name of a planar YUV format, 8 or 10 bits."""
    hdr: bool
    """Whether the transfer is PQ or HLG, which only the host can tone-map."""

    @classmethod
    def of(cls, picture: av.VideoFrame) -> PictureKind:
        """Return the kind of `picture`."""
        return cls(picture.width, picture.height, picture.format.name, needs_tone_mapping(picture))

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(rows, columns) of the three planes."""
        parts = av.VideoFormat(self.pix_fmt, self.width, self.height).components
        return [(part.height, part.width) for part in parts]

    @property
    def bits(self) -> int:
        """Bits of a sample."""
        return int(av.VideoFormat(self.pix_fmt).components[0].bits)

    @property
    def staged_bytes(self) -> int:
        """Bytes of one frame in a DeviceSlot, the network's input for HDR not counted: its planes and its alpha."""
        return sum(self._staged)

    def locked_bytes(self, count: int) -> int:
        """Bytes that the host locks for a DeviceSlot of `count` frames: PyTorch rounds each buffer to a power of 2."""
        return sum(1 << (count * bytes_ - 1).bit_length() for bytes_ in self._staged)

    @property
    def _staged(self) -> tuple[int, int]:
        samples = sum(rows * columns for rows, columns in self.shapes)
        return samples * (1 if self.bits == 8 else 2), 2 * self.width * self.height


class Slot(ABC):
    """One batch's buffers, filled and read by the host, computed on by the device.

    A slot is filled again only after the host has waited for its last download, which comes after its compute, which
    comes after its upload: so no buffer needs an event of its own before it is written again.
    """

    @abstractmethod
    def fill(self, frames: Sequence[DecodedFrame]) -> None:
        """Host: write the frames' pictures, and the last one again where frames are fewer than the batch."""

    @abstractmethod
    def upload(self) -> None:
        """Device: copy what was filled there."""

    @abstractmethod
    def pixels(self, dtype: torch.dtype) -> Tensor:
        """Device: the network's input (N, 3, h, w), normalised as ImageNet's."""

    @abstractmethod
    def keep(self, alpha: Tensor) -> None:
        """Device: take the network's alpha, float32 (N, h, w)."""

    @abstractmethod
    def download(self) -> None:
        """Device: copy what was kept to the host."""

    @abstractmethod
    def overflowed(self, index: int) -> bool:
        """Host: whether the network's answer to a frame holds NaN."""

    @abstractmethod
    def alpha(self, index: int, picture: av.VideoFrame) -> Alpha:
        """Host: the alpha of one frame at the size of its picture, new memory."""


class _ScaledPixels:
    """Pictures scaled by the host, of all sizes and kinds."""

    def __init__(
        self, count: int, size: Size, scaler: PictureScaler, staging: NewStaging, device: torch.device
    ) -> None:
        self._size = size
        self._scaler = scaler
        # Before `staging`, which orders the streams after everything that the caller has begun.
        self._mean = (255 * torch.tensor(IMAGENET_MEAN, dtype=torch.float32, device=device)).repeat(size[0])
        self._scale = (1 / (255 * torch.tensor(IMAGENET_STD, dtype=torch.float32, device=device))).repeat(size[0])
        self._pixels = staging((count, size[1], size[0], 3), torch.uint8)

    def fill(self, frames: Sequence[DecodedFrame]) -> None:
        """Scale the pictures."""
        rows = self._pixels.host.numpy()
        for row, frame in zip(rows, frames, strict=False):
            row[:] = self._scaler(frame.picture, self._size)
        rows[len(frames) :] = rows[len(frames) - 1]

    def upload(self) -> None:
        """Copy RGB at the network's size."""
        self._pixels.upload()

    def pixels(self, dtype: torch.dtype) -> Tensor:
        """Normalise; the result is channels-last."""
        source = self._pixels.device
        # By whole rows of RGB triples: broadcast over channels-last pixels, this takes six times as long on a CPU.
        rows = source.view(-1, len(self._mean)).to(torch.float32).sub_(self._mean).mul_(self._scale).to(dtype)
        return rows.view(source.shape).permute(0, 3, 1, 2)


class HostSlot(Slot):
    """Everything at the network's size; pictures of all sizes and kinds may share a batch."""

    def __init__(
        self, count: int, size: Size, scaler: PictureScaler, staging: NewStaging, device: torch.device
    ) -> None:
        self._scaled = _ScaledPixels(count, size, scaler, staging, device)
        self._alpha = staging((count, size[1], size[0]), torch.float32)

    def fill(self, frames: Sequence[DecodedFrame]) -> None:
        """Scale the pictures."""
        self._scaled.fill(frames)

    def upload(self) -> None:
        """Copy RGB at the network's size."""
        self._scaled.upload()

    def pixels(self, dtype: torch.dtype) -> Tensor:
        """Normalise; the result is channels-last."""
        return self._scaled.pixels(dtype)

    def keep(self, alpha: Tensor) -> None:
        """Keep it as it is."""
        self._alpha.device.copy_(alpha)

    def download(self) -> None:
        """Copy alpha at the network's size."""
        self._alpha.download()

    def overflowed(self, index: int) -> bool:
        """Look at every value."""
        return bool(np.isnan(self._alpha.host.numpy()[index].sum()))  # a sum carries any NaN, and needs no mask

    def alpha(self, index: int, picture: av.VideoFrame) -> Alpha:
        """Enlarge it along the picture's edges."""
        return enlarge_alpha(self._alpha.host.numpy()[index], picture)


class DeviceSlot(Slot):
    """Planes up, alpha at the pictures' size down, as 16 bits; for the pictures of one kind.

    Nothing is left to the host but copies: 0.5 ms a frame at 1080p, where scaling and enlarging would take it 30 ms.
    """

    def __init__(
        self,
        count: int,
        kind: PictureKind,
        scaling: PictureScaling,
        size: Size,
        scaler: PictureScaler,
        staging: NewStaging,
    ) -> None:
        self._kind = kind
        self._scaling = scaling
        self._mean = 255 * torch.tensor(IMAGENET_MEAN, dtype=torch.float32, device=scaling.device).view(3, 1, 1)
        self._scale = 1 / (255 * torch.tensor(IMAGENET_STD, dtype=torch.float32, device=scaling.device).view(3, 1, 1))
        self._toned = _ScaledPixels(count, size, scaler, staging, scaling.device) if kind.hdr else None
        samples = torch.uint8 if kind.bits == 8 else torch.int16  # 10 bits leave the sign alone
        # Of HDR pictures only luma is needed here, to enlarge by.
        self._shapes = kind.shapes[: 1 if kind.hdr else 3]
        self._planes = staging((count, sum(rows * columns for rows, columns in self._shapes)), samples)
        self._colour = staging((count, 3, 4), torch.float32)
        self._alpha = staging((count, kind.height, kind.width), torch.int16)
        self._sums = staging((count,), torch.float32)

    def fill(self, frames: Sequence[DecodedFrame]) -> None:
        """Copy the planes, without the padding of their rows."""
        if self._toned:
            self._toned.fill(frames)
        rows, colours = self._planes.host.numpy(), self._colour.host.numpy()
        if rows.dtype == np.int16:
            rows = rows.view(np.uint16)
        for row, colour, frame in zip(rows, colours, frames, strict=False):
            picture = frame.picture
            colour[:] = rgb_map(picture.colorspace, picture.color_range)
            for index, plane in enumerate(self._split(row)):
                plane[:] = plane_array(picture, index)
        rows[len(frames) :] = rows[len(frames) - 1]
        colours[len(frames) :] = colours[len(frames) - 1]

    def _split(self, samples: np.ndarray) -> list[np.ndarray]:
        """Return views of the planes that lie one after another in `samples`."""
        ends = np.cumsum([rows * columns for rows, columns in self._shapes])
        return [part.reshape(shape) for part, shape in zip(np.split(samples, ends[:-1]), self._shapes, strict=True)]

    def upload(self) -> None:
        """Copy planes and colour maps."""
        if self._toned:
            self._toned.upload()
        self._planes.upload()
        self._colour.upload()

    def pixels(self, dtype: torch.dtype) -> Tensor:
        """Scale, convert to RGB and normalise; the result is contiguous."""
        if self._toned:
            return self._toned.pixels(dtype)
        rgb = self._scaling.rgb(self._device_planes(), self._colour.device)
        return rgb.sub_(self._mean).mul_(self._scale).to(dtype)

    def keep(self, alpha: Tensor) -> None:
        """Enlarge it along the pictures' edges and keep 16 bits, moved into the range of int16."""
        self._sums.device.copy_(alpha.sum((1, 2)))
        full = self._scaling.enlarged(alpha, self._device_planes()[0])
        self._alpha.device.copy_(full.mul_(65535).round_().sub_(32768))

    def _device_planes(self) -> list[Tensor]:
        samples = self._planes.device
        parts = torch.split(samples, [rows * columns for rows, columns in self._shapes], dim=1)
        return [part.view(len(samples), *shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def download(self) -> None:
        """Copy alpha at the pictures' size."""
        self._alpha.download()
        self._sums.download()

    def overflowed(self, index: int) -> bool:
        """Look at the sum, which carries any NaN: 16 bits do not."""
        return bool(np.isnan(self._sums.host.numpy()[index]))

    def alpha(self, index: int, picture: av.VideoFrame) -> Alpha:
        """Bring 16 bits back to 0 … 1, both ends exact."""
        codes = self._alpha.host.numpy()[index]
        return np.asarray(cv2.addWeighted(codes, 1 / 65535, codes, 0, 32768 / 65535, dtype=cv2.CV_32F), np.float32)


class SlotMaker:
    """Makes slots for pictures of one `kind` seen at the network's `size`; None: of any kind, scaled by the host."""

    def __init__(
        self,
        kind: PictureKind | None,
        size: Size,
        scaler: PictureScaler,
        staging: NewStaging,
        device: torch.device,
    ) -> None:
        self._kind = kind
        self._size = size
        self._scaler = scaler
        self._staging = staging
        self._device = device
        self._scaling: PictureScaling | None = None
        """What the device scales with, shared by all slots; made with the first one."""

    def takes(self, picture: av.VideoFrame) -> bool:
        """Return whether a picture fits into these slots."""
        return self._kind is None or self._kind == PictureKind.of(picture)

    def __call__(self, count: int) -> Slot:
        """Return a new slot of `count` frames."""
        if self._kind is None:
            return HostSlot(count, self._size, self._scaler, self._staging, self._device)
        if self._scaling is None:
            self._scaling = PictureScaling(self._kind.shapes, self._kind.bits, self._size, self._device)
        return DeviceSlot(count, self._kind, self._scaling, self._size, self._scaler, self._staging)


class Ring:
    """The slots for batches of `count` pictures of one kind, seen at the network's `size`.

    They are made when they are needed, and kept from clip to clip.
    """

    def __init__(self, slots: SlotMaker, size: Size, count: int) -> None:
        self._slots = slots
        self._shape = (size, count)
        self._free: list[Slot] = []
        self.under_way: deque[tuple[Slot, list[DecodedFrame], Any]] = deque()
        """Slots handed to the device, oldest first, with their frames and the event after their download."""

    def takes(self, frame: DecodedFrame) -> bool:
        """Return whether a frame's picture fits into these slots."""
        return self._slots.takes(frame.picture)

    def serves(self, picture: av.VideoFrame, size: Size, count: int) -> bool:
        """Return whether these are slots for so many pictures like this one."""
        return self._shape == (size, count) and self._slots.takes(picture)

    def take(self) -> Slot:
        """Return a slot that may be filled."""
        return self._free.pop() if self._free else self._slots(self._shape[1])

    def give_back(self, slot: Slot) -> None:
        """Free a slot whose download the host has waited for."""
        self._free.append(slot)

    def recover(self, backend: Backend[Any]) -> None:
        """Free the slots that an earlier user left under way, as soon as the device is done with them."""
        while self.under_way:
            slot, _, downloaded = self.under_way.popleft()
            backend.host_wait(downloaded)
            self.give_back(slot)

    def clear(self, backend: Backend[Any]) -> list[Slot]:
        """Return all slots, once the device is done with them, and keep none."""
        self.recover(backend)
        slots, self._free = self._free, []
        return slots

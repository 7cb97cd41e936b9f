"""The inference form of a BiRefNet: the same result from fewer, larger and better ordered operations."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from birefvideo.network.birefnet import BiRefNet, DecoderBlock
from birefvideo.network.fast_conv import FastConvNet, fast_second
from birefvideo.network.fast_decoder import DecoderParts, FastDecoder
from birefvideo.network.fast_swin import FastStage, FastSwin, fast_swin
from birefvideo.network.resizing import resize
from birefvideo.network.swin import SwinTransformer


@dataclass(frozen=True)
class Parts:
    """What an inference network is made of; the defaults do the fewest operations, which is what a CPU wants."""

    swin: Callable[[SwinTransformer], nn.Module] = fast_swin
    """Makes a Swin backbone."""
    decoder: DecoderParts = DecoderParts()  # noqa: RUF009  (frozen)
    """Parts of the decoder."""


def fuse(model: BiRefNet, parts: Parts | None = None) -> nn.Module:
    """Return an inference network with the same logits as `model` up to rounding: (N, 3, H, W) -> (N, 1, H, W).

    Its weights are copies, in fp32 and on the model's device; cast or move it afterwards with `.to`. It has
    `.geometry`, raises the same ValueError for sizes that do not fit, and cannot be trained. The image may have a
    higher precision than the weights, which makes the result more exact; the logits have the image's dtype.
    """
    with torch.no_grad(), without_autocast(next(model.parameters()).device):
        whole = copy.deepcopy(model).eval().float()
        return _FusedBiRefNet(whole, parts or Parts()).eval().requires_grad_(False)


def without_autocast(device: torch.device) -> AbstractContextManager[None]:
    """Return a context in which `device` computes in the dtypes of its tensors, whatever the caller's context does."""
    able = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if able else nullcontext()


def tables_of(network: nn.Module) -> object:
    """Return the tensors, besides weights, that a network keeps from input to input: a CUDA graph must hold them."""
    return [list(part.plans.values()) for part in network.modules() if isinstance(part, FastStage)]


class _FusedBiRefNet(nn.Module):
    def __init__(self, model: BiRefNet, parts: Parts) -> None:
        super().__init__()
        self.geometry = model.geometry
        self.bb = parts.swin(model.bb) if isinstance(model.bb, SwinTransformer) else FastConvNet(model.bb)
        self.bb2 = fast_second(model.bb2) if model.bb2 else None
        squeeze = model.squeeze_module[0]
        assert isinstance(squeeze, DecoderBlock)
        self.decoder = FastDecoder(squeeze, model.decoder, model.geometry, parts.decoder)

    def forward(self, image: Tensor) -> Tensor:
        """As `BiRefNet.forward`."""
        BiRefNet.check_size(image)
        full = self._maps(image)
        small: list[Tensor | None] = [None] * 4
        if self.geometry.multi_scale_input:
            half = (image.shape[-2] // 2, image.shape[-1] // 2)
            small = [*self._maps(F.interpolate(image, size=half, mode="bilinear", align_corners=True))]
        levels = range(4) if self.geometry.context else (3,)
        deepest = [part for i in levels for part in self._at_deepest(full[i], small[i], full[3])]
        logits: Tensor = self.decoder(image, torch.cat(deepest, dim=1), full[2::-1], small[2::-1])
        return logits.to(image.dtype)

    def _maps(self, image: Tensor) -> list[Tensor]:
        dtype = self.decoder.dtype
        maps = self.bb(image if isinstance(self.bb, FastSwin) else image.to(dtype))
        if self.bb2 is not None:
            maps = self.bb2(image.to(dtype), maps)
        return [m.to(dtype, memory_format=torch.channels_last) for m in maps]

    def _at_deepest(self, full: Tensor, small: Tensor | None, deepest: Tensor) -> list[Tensor]:
        """Return the maps of a level at the deepest map's size, to be concatenated."""
        parts = [resize(full, deepest)]
        if small is None:
            return parts
        other = resized_through(small, _size(full), _size(deepest))
        return [*parts, other] if self.geometry.multi_scale_input == "cat" else [parts[0] + other]


def resized_through(x: Tensor, middle: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Return `resize(resize(x, middle), size)` without computing the map of the middle size.

    (N, C, h, w) -> (N, C, *size), channels-last. Both resizes act on rows and columns separately
    and linearly, so together they are one small matrix on each axis.
    """
    rows, columns = (_resizing(*sizes, x.device).to(x.dtype) for sizes in zip(_size(x), middle, size, strict=True))
    x = x.permute(0, 2, 3, 1)
    tall = torch.matmul(rows, x.flatten(2)).view(len(x), -1, *x.shape[2:])
    return torch.matmul(columns, tall).permute(0, 3, 1, 2)


def _resizing(source: int, middle: int, target: int, device: torch.device) -> Tensor:
    """Return the matrix (target, source) that resizes an axis linearly by way of a middle size."""
    axes = torch.eye(source, dtype=torch.float32, device=device).unsqueeze(0)
    for size in (middle, target):
        axes = F.interpolate(axes, size=size, mode="linear", align_corners=True)
    return axes[0].t()


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[-2], x.shape[-1]

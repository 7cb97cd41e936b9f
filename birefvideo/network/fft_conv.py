"""Wide convolution kernels in the frequency domain, tile by tile, for CPUs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TILE = 32
"""Side of a tile. With a 7×7 kernel 26 of its 32 pixels are valid, at 3.2 multiplications a filter instead of 49."""
LEAST_PIXELS = {torch.float32: 1024, torch.bfloat16: 4096, torch.float16: 1024}
"""Pixels, by dtype, below which the direct convolution is faster: too few tiles to be worth loading the filters."""
LEAST_PIXELS_OF_5X5 = 16384
"""The same for a 5×5 kernel in fp32."""
BAND_ELEMENTS = 1_000_000
"""Complex numbers in use at a time: 8 MB. The allocator reuses buffers of that size; larger ones are mapped anew."""


class FftConv2d(nn.Module):
    """A zero-padded k×k convolution by overlap-save, in fp32 whatever the network's dtype.

    A tile's transform times the filters' transform is a circular convolution; the pixels whose window does not
    wrap around are exact. Per frequency it is one small matrix product over the channels.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """Transform the filters (O, I, k, k), k odd; the bias is (O,)."""
        super().__init__()
        self.reach = weight.shape[-1] // 2
        # Plain attributes, not buffers: a cast must not round them, and a GPU has no use for them.
        self._weight: Tensor = weight.detach().float().clone()
        self._spectrum: Tensor | None = None
        self.bias: Tensor = bias.detach().float().view(-1, 1, 1)

    def spectrum(self, x: Tensor) -> Tensor:
        """Return the filters' transform, (frequencies, O, I), made at the first call for an image `x` with values.

        It is twenty times as large as the filters.
        """
        if self._spectrum is not None:
            return self._spectrum
        if type(x) is not Tensor or torch.compiler.is_compiling():
            return self._transformed()  # for a tracer: it would be fake, and must not be kept
        with torch.inference_mode(False), torch.no_grad():
            self._spectrum = self._transformed()
        return self._spectrum

    def _transformed(self) -> Tensor:
        # A convolution in torch is a correlation: with flipped filters it becomes the product of transforms.
        spectrum = torch.fft.rfft2(self._weight.flip(2, 3), s=(TILE, TILE)).permute(2, 3, 0, 1)
        transformed: Tensor = spectrum.flatten(0, 1).contiguous()
        return transformed

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, H, W) on the CPU -> (N, O, H, W) fp32."""
        return torch.stack([torch.cat([band for _, band in self.bands(image)], dim=1) for image in x])

    def bands(self, x: Tensor) -> Iterator[tuple[int, Tensor]]:
        """One image (I, H, W) -> pairs of a first row and the result there, (O, rows, W) fp32."""
        _, height, width = x.shape
        valid = TILE - 2 * self.reach
        down, across = -(-height // valid), -(-width // valid)
        margins = (self.reach, self.reach + across * valid - width, self.reach, self.reach + down * valid - height)
        padded = F.pad(x.float().contiguous(), margins)
        tiles = padded.unfold(1, TILE, valid).unfold(2, TILE, valid)
        spectrum = self.spectrum(x)
        frequencies, *channels = spectrum.shape
        step = max(1, BAND_ELEMENTS // (across * max(channels) * frequencies))
        for row in range(0, down, step):
            out = self._convolve(tiles[:, row : row + step], spectrum)
            first = row * valid
            yield first, out[:, : height - first, :width] + self.bias

    def _convolve(self, tiles: Tensor, spectrum: Tensor) -> Tensor:
        """(I, a, b, TILE, TILE) -> (O, a·valid, b·valid)."""
        inputs, down, across = tiles.shape[:3]
        outputs = spectrum.shape[1]
        frequencies = torch.fft.rfft2(tiles).reshape(inputs * down * across, -1)
        product = spectrum @ frequencies.t().contiguous().view(-1, inputs, down * across)
        product = product.view(product.shape[0], -1).t().contiguous().view(outputs, down, across, TILE, -1)
        # The first 2·reach rows and columns wrapped around: rows are dropped here, columns after the second transform.
        rows = torch.fft.ifft(product, dim=-2)[..., 2 * self.reach :, :]
        values = torch.fft.irfft(rows, n=TILE, dim=-1)[..., 2 * self.reach :]
        out: Tensor = values.transpose(2, 3).reshape(outputs, down * values.shape[-2], across * values.shape[-1])
        return out


class WideConv2d(nn.Module):
    """A 5×5 convolution that runs in the frequency domain where that is faster, and directly elsewhere."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        assert conv.bias is not None
        self.direct = conv
        self.spectral = FftConv2d(conv.weight, conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, H, W) -> (N, O, H, W)."""
        # In bf16 the direct form is faster at any size.
        spectral = x.device.type == "cpu" and x.dtype == torch.float32 and _pixels(x) >= LEAST_PIXELS_OF_5X5
        out: Tensor = self.spectral(x) if spectral else self.direct(x)
        return out


def transforms_pay(x: Tensor) -> bool:
    """Whether a 7×7 convolution of this map (…, H, W) is faster in the frequency domain."""
    if x.device.type != "cpu" or _pixels(x) < LEAST_PIXELS.get(x.dtype, 0):
        return False
    return x.dtype == torch.float32 or not _matrix_units()


def _pixels(x: Tensor) -> int:
    return x.shape[-2] * x.shape[-1]


@lru_cache(maxsize=1)
def _matrix_units() -> bool:
    """Whether the CPU has AMX, whose half-precision products are ten times as fast as a transform's."""
    probe = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(probe and probe())

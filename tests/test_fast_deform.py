"""The fast deformable ASPP against the plain one, far and strange offsets included."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from birefvideo.network import fft_conv
from birefvideo.network.birefnet import AsppDeformable
from birefvideo.network.fast_deform import FastAsppDeformable, bilinear_corners, pixel_table
from birefvideo.network.fft_conv import FftConv2d


def aspp(reach: float, channels: int = 8, width: int = 16) -> AsppDeformable:
    """A small ASPP whose offsets are about `reach` pixels, with norms that are not the identity."""
    generator = torch.Generator().manual_seed(5)
    module = AsppDeformable(channels, width).eval().requires_grad_(False)
    for key, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator)
            scale = 1 / tensor[0].numel() ** 0.5 if tensor.ndim > 1 else 0.2
            tensor.copy_(noise.abs() + 0.5 if key.endswith("running_var") else scale * noise)
            if "offset_conv" in key:
                tensor.mul_(reach)
    return module


def image(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


# 40×48 exceeds the least size for transforms; 9×13 and 1×1 stay below, and are smaller than the widest kernel's reach.
@pytest.mark.parametrize("size", [(1, 40, 48), (2, 40, 48), (3, 9, 13), (2, 1, 1), (1, 2, 1500)])
@pytest.mark.parametrize("reach", [1.0, 30.0])
def test_fast_aspp_equals_the_plain_one(size: tuple[int, int, int], reach: float) -> None:
    plain = aspp(reach)
    x = image(size[0], 8, *size[1:])
    with torch.inference_mode():
        expected, result = plain(x), FastAsppDeformable(plain)(x)
    assert expected.std() > 0.01
    # Offsets of 30 pixels turn the last bits of their prediction into visible steps between noise pixels.
    torch.testing.assert_close(result, expected, atol=1e-5 * reach, rtol=0)


def test_offsets_reach_out_of_the_image_in_these_tests() -> None:
    offsets = aspp(30.0).aspp_deforms[2].atrous_conv.offset_conv(image(1, 8, 40, 48))
    assert (offsets.abs() > 48).float().mean() > 0.02


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float16, 2e-3), (torch.bfloat16, 1e-2)])
def test_half_precision_stays_close(dtype: torch.dtype, bound: float) -> None:
    plain = aspp(1.0)
    x = image(2, 8, 40, 48)
    with torch.inference_mode():
        expected = plain(x)
        result = FastAsppDeformable(plain).to(dtype)(x.to(dtype))
    assert result.dtype == dtype
    assert (result.float() - expected).square().mean().sqrt() < bound * expected.square().mean().sqrt()


def test_an_image_of_a_batch_does_not_depend_on_the_others() -> None:
    fast = FastAsppDeformable(aspp(5.0))
    x = image(3, 8, 33, 35)
    with torch.inference_mode():
        torch.testing.assert_close(fast(x), torch.cat([fast(one) for one in x.split(1)]), atol=1e-6, rtol=0)


def sample(x: Tensor, row: list[float], column: list[float]) -> Tensor:
    y, x_ = torch.tensor(row), torch.tensor(column)
    index, weight = bilinear_corners(y, x_, torch.ones_like(y), (x.shape[1], x.shape[2]), x.dtype)
    return F.embedding_bag(index, pixel_table(x), mode="sum", per_sample_weights=weight)


def test_places_outside_read_zeros_and_places_on_the_edge_fade_into_them() -> None:
    x = torch.arange(1.0, 13.0).view(1, 3, 4)
    inf = float("inf")
    rows = [0, 2, -0.5, 2.25, -1, 3, 1, 1, 1e30, -inf, inf, 0.5]
    columns = [0, 3, 0, 3, 0, 3, -0.25, 3.5, 1, 1, -inf, 1.5]
    expected = [1, 12, 0.5, 9, 0, 0, 5 * 0.75, 4, 0, 0, 0, 4.5]
    assert sample(x, rows, columns).flatten().tolist() == expected


def test_not_a_number_stays_where_it_is() -> None:
    nan = float("nan")
    values = sample(torch.ones(1, 3, 4), [nan, 1.0, 1.0], [1.0, nan, 1.0]).flatten()
    assert values.isnan().tolist() == [True, True, False]
    assert values[2] == 1


@pytest.mark.parametrize(("kernel", "size"), [(7, (40, 61)), (5, (5, 70)), (3, (1, 1)), (7, (26, 26)), (7, (27, 26))])
def test_convolution_by_transforms_equals_the_direct_one(kernel: int, size: tuple[int, int]) -> None:
    conv = nn.Conv2d(3, 5, kernel, padding=kernel // 2).requires_grad_(False)
    assert conv.bias is not None
    x = image(2, 3, *size)
    torch.testing.assert_close(FftConv2d(conv.weight, conv.bias)(x), conv(x), atol=1e-5, rtol=0)


def test_transforms_in_several_bands_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fft_conv, "BAND_ELEMENTS", 1)
    conv = nn.Conv2d(2, 2, 7, padding=3).requires_grad_(False)
    assert conv.bias is not None
    spectral, x = FftConv2d(conv.weight, conv.bias), image(1, 2, 60, 30)
    assert [row for row, _ in spectral.bands(x[0])] == [0, 26, 52]
    torch.testing.assert_close(spectral(x), conv(x), atol=1e-5, rtol=0)


def test_transforms_keep_their_precision_when_the_network_is_cast() -> None:
    conv = nn.Conv2d(2, 2, 7, padding=3).requires_grad_(False)
    assert conv.bias is not None
    x = image(1, 2, 40, 40)
    cast = FftConv2d(conv.weight, conv.bias).to(torch.bfloat16)
    torch.testing.assert_close(cast(x), conv(x), atol=1e-5, rtol=0)

"""The fused network against the plain one that it is made from."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, cast
from unittest.mock import MagicMock

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_network import fill
from torch import Tensor, nn

from birefvideo.network import fast_conv, fast_decoder, folding
from birefvideo.network.birefnet import BiRefNet, Geometry
from birefvideo.network.convnet import CONV_SIZES, ConvNet
from birefvideo.network.fast_conv import FastConvNet, FusedConv
from birefvideo.network.fuse import fuse, resized_through
from birefvideo.network.resizing import resize

LITE = Geometry("swin_v1_t")
TALK = Geometry("conv_t", "", attention=("aspp", "", "", "", ""), aspp_width=16, aspp_dilations=(1, 2), head="subpixel")


def filled(geometry: Geometry, reach: float = 1.0) -> BiRefNet:
    """A network with weights by rule; `reach` scales how far its deformable convolutions look."""
    model = BiRefNet(geometry).eval().requires_grad_(False)
    fill(model)
    for key, tensor in model.state_dict().items():
        if "offset_conv" in key:
            tensor.mul_(reach)
    return model


@pytest.fixture(scope="module")
def lite() -> BiRefNet:
    return filled(LITE)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def scene(height: int, width: int) -> Tensor:
    """A normalised picture with flat parts, soft and hard edges, gradients and grain, as frames have them."""
    picture = np.full((height, width, 3), (0.4, 0.5, 0.6), np.float32)
    picture *= np.linspace(0.5, 1.2, width, dtype=np.float32)[:, None]
    cv2.ellipse(picture, (width // 2, height), (width // 4, height // 2), 0, 0, 360, (0.8, 0.6, 0.5), -1)
    picture = cv2.GaussianBlur(picture, (0, 0), 2)
    cv2.rectangle(picture, (8, 8), (width // 5, height // 3), (0.1, 0.1, 0.15), -1)
    picture += np.random.default_rng(1).normal(0, 0.01, picture.shape).astype(np.float32)
    normal = (picture.clip(0, 1) - (0.485, 0.456, 0.406)) / np.array((0.229, 0.224, 0.225))
    return torch.from_numpy(normal.astype(np.float32)).permute(2, 0, 1).unsqueeze(0).contiguous()


def error(result: Tensor, expected: Tensor) -> tuple[float, float]:
    """Largest difference anywhere, and in the outermost four rows and columns."""
    difference = (result.float() - expected).abs()
    inner = F.pad(torch.zeros_like(difference)[..., 4:-4, 4:-4], (4, 4, 4, 4), value=1)
    return difference.max().item(), (difference * inner).max().item()


@pytest.mark.parametrize(
    "image",
    [
        noise(2, 3, 96, 160),
        pytest.param(noise(1, 3, 256, 256), marks=pytest.mark.slow),
        pytest.param(scene(320, 448), marks=pytest.mark.slow),
    ],
)
def test_fused_network_gives_the_same_logits_to_the_border(lite: BiRefNet, image: Tensor) -> None:
    with torch.inference_mode():
        expected, result = lite(image), fuse(lite)(image)
    assert result.shape == expected.shape
    assert expected.std() > 0.5
    anywhere, border = error(result, expected)
    assert anywhere < 1e-3
    assert border < 3e-4


def test_fused_network_follows_offsets_that_leave_the_image() -> None:
    model = filled(LITE, reach=8.0)
    image = scene(192, 224)
    seen = []
    model.decoder.decoder_block1.dec_att.aspp_deforms[2].atrous_conv.offset_conv.register_forward_hook(
        lambda *arguments: seen.append(arguments[2].abs().max().item())
    )
    with torch.inference_mode():
        expected, result = model(image), fuse(model)(image)
    assert seen[0] > 30, "of 48×56 pixels"
    assert error(result, expected)[0] < 1e-3


def test_fused_network_errs_no_more_than_the_plain_one_where_sampling_magnifies_rounding() -> None:
    model = filled(replace(LITE, backbone="conv_t", multi_scale_input="add"), reach=2.0)
    image = noise(1, 3, 96, 128)
    with torch.inference_mode():
        plain, result = model(image), fuse(model)(image)
        exact = model.double()(image.double())
    slip = (plain - exact).square().mean().sqrt()
    assert slip > 1e-5, "or there is nothing to see here"
    assert (result - exact).square().mean().sqrt() < 1.5 * slip


def relative(result: Tensor, expected: Tensor) -> float:
    """Relative RMS of the difference."""
    return ((result.float() - expected).square().mean() / expected.square().mean()).sqrt().item()


@pytest.mark.slow
def test_bf16_is_close_to_fp32_and_closer_than_the_plain_network(lite: BiRefNet) -> None:
    image = scene(96, 96)
    plain = BiRefNet(LITE).eval()
    plain.load_state_dict(lite.state_dict())
    with torch.inference_mode():
        expected = lite(image)
        result = relative(fuse(lite).to(torch.bfloat16)(image), expected)
        # Rounding the weights alone costs these random networks more than one per cent.
        assert result < 0.02
        assert result < relative(plain.to(torch.bfloat16)(image.bfloat16()), expected)


def test_fp16_is_close_to_fp32() -> None:
    model = filled(replace(TALK, multi_scale_input="cat", attention=("", "deformable", "", "", "")))
    image = scene(64, 96)
    with torch.inference_mode():
        assert relative(fuse(model).to(torch.float16)(image), model(image)) < 0.004


def test_context_blocks_are_kept_as_they_are() -> None:
    # On maps and not on logits: random weights make the deepest map 20,000 large, and what follows magnifies rounding.
    model = filled(replace(TALK, backbone="conv_c"))
    image = noise(2, 3, 96, 128)
    fused = fuse(model)
    with torch.inference_mode():
        for expected, result in zip(model.bb(image), cast(Any, fused).bb(image), strict=True):
            assert (result - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(16, 32, 2), (40, 40, 1)])
def test_convolutions_with_what_follows_fused_in_give_the_same_bits(inputs: int, outputs: int, stride: int) -> None:
    conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1).requires_grad_(False)
    x = noise(1, inputs, 40, 56).contiguous(memory_format=torch.channels_last)
    fused = FusedConv(copy.deepcopy(conv))
    with torch.inference_mode():
        for image in (x, x[:, :, 3:]):  # the weight is laid out for the first size
            plain = conv(image)
            other = noise(*plain.shape)
            assert torch.equal(fused(image), F.relu(plain))
            assert torch.equal(fused.added(other, image), F.relu(other + plain))
        assert torch.equal(copy.deepcopy(fused)(x), fused(x))
        assert torch.equal(fused.double()(x.double()), F.relu(conv.double()(x.double())))


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN has nothing to fuse with")
@pytest.mark.skipif(fast_conv._FUSED is None, reason="torch without oneDNN has nothing to fuse with")
def test_a_backbone_is_one_step_for_each_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = MagicMock(wraps=fast_conv._FUSED)
    monkeypatch.setattr(fast_conv, "_FUSED", steps)
    monkeypatch.setattr(nn.Conv2d, "forward", None)
    fused = FastConvNet(ConvNet(CONV_SIZES["conv_t"]).eval().requires_grad_(False))
    with torch.inference_mode():
        fused(noise(1, 3, 320, 384))
    assert steps.call_count == 1 + 4 + 8
    assert steps.binary.call_count == 8


@pytest.mark.parametrize(
    "geometry",
    [
        TALK,
        replace(TALK, backbone="conv_m", context=False),
        replace(TALK, second_backbone="efficientnet_lite0"),
        replace(TALK, multi_scale_input="add", head="linear"),
        replace(TALK, multi_scale_input="cat", attention=("", "deformable", "aspp", "", "deformable"), aspp_width=32),
        replace(TALK, multi_scale_input="cat", context=False, block_width=32, reference_width=16, head="linear"),
        replace(LITE, multi_scale_input="add", attention=("aspp", "", "", "", ""), aspp_width=16),
        replace(LITE, multi_scale_input="", context=False, attention=("",) * 5, head="subpixel"),
    ],
)
@pytest.mark.parametrize("size", [(1, 3, 32, 64), pytest.param((2, 3, 96, 128), marks=pytest.mark.slow)])
def test_every_geometry_can_be_fused(geometry: Geometry, size: tuple[int, int, int, int]) -> None:
    model = filled(geometry)
    image = noise(*size)
    with torch.inference_mode():
        expected, result = model(image), fuse(model)(image)
    assert expected.std() > 0.1
    assert error(result, expected)[0] < 1e-3


BRIDGES = [fast_decoder.PlainBridge, fast_decoder.TapBridge, fast_decoder.NarrowBridge]


@pytest.mark.parametrize(
    "mode", ["cat", pytest.param("add", marks=pytest.mark.slow), pytest.param("", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("kind", BRIDGES)
def test_every_bridge_gives_what_the_plain_decoder_does(kind: type[nn.Module], mode: str) -> None:
    model = filled(replace(LITE, multi_scale_input=mode, attention=("",) * 5))
    decoder: Any = model.decoder
    block, after, lateral = decoder.decoder_block4, decoder.decoder_block3, decoder.lateral_block4
    channels = block.conv_out.out_channels
    out = folding.fold_norm(block.conv_out, block.bn_out)
    inward = folding.conv_like(after.conv_in.weight[:, :channels], None)
    skip = fast_decoder.Lateral(lateral, mode)
    inside, full = noise(2, 64, 3, 5), noise(2, skip.full.shape[1], 6, 10)
    small = noise(2, skip.small.shape[1], 3, 5) if mode else None
    x = block.bn_out(block.conv_out(inside))
    x = x * torch.sigmoid(decoder.gdt_convs_attn_4(decoder.gdt_convs_4(x)))
    joined = full
    if small is not None:
        joined = torch.cat((full, resize(small, full)), dim=1) if mode == "cat" else full + resize(small, full)
    expected = inward(resize(x, full) + lateral(joined))
    result = kind(out, fast_decoder.edge_gate(decoder, 4), skip, inward)(inside, full, small)
    torch.testing.assert_close(result, expected, atol=2e-4, rtol=0)


def test_wide_stages_take_the_narrow_bridge_and_small_networks_the_plain_one(lite: BiRefNet) -> None:
    assert [type(b) for b in fuse(lite).decoder.bridges] == [*[BRIDGES[2]] * 2, BRIDGES[1]]
    assert [type(b) for b in fuse(BiRefNet(TALK)).decoder.bridges] == [BRIDGES[0]] * 3


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 2), (7, 6), (40, 40)])
@pytest.mark.parametrize("channels", [3, 40])
def test_two_convolutions_become_one_to_the_border(size: tuple[int, int], channels: int) -> None:
    first, second = nn.Conv2d(channels, 64, 3, padding=1), nn.Conv2d(64, channels, 3, padding=1)
    x = noise(2, channels, *size)
    with torch.inference_mode():
        result = folding.TwoConvs(first, second)(x)
        torch.testing.assert_close(result, second(first(x)), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("source", "target"), [((3, 4), (6, 8)), ((1, 2), (2, 4)), ((5, 3), (5, 3)), ((1, 1), (1, 7))])
def test_convolution_begun_before_the_upsampling_equals_it_after(
    source: tuple[int, int], target: tuple[int, int]
) -> None:
    conv = nn.Conv2d(6, 4, 3, padding=1, bias=False)
    x = noise(2, 6, *source)
    taps = F.linear(x.permute(0, 2, 3, 1), folding.taps_of(conv.weight))
    expected = conv(resize(x, target))
    torch.testing.assert_close(folding.upsampled_conv(taps, target), expected, atol=1e-5, rtol=0)


def test_two_resizes_become_one_matrix_on_each_axis() -> None:
    x = noise(2, 5, 6, 9)
    result = resized_through(x, (12, 18), (3, 4))
    torch.testing.assert_close(result, resize(resize(x, (12, 18)), (3, 4)), atol=1e-5, rtol=0)


def test_norm_behind_a_strided_convolution_is_folded() -> None:
    conv, norm = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(4).eval()
    nn.init.normal_(norm.weight)
    norm.running_mean = noise(4)
    x = noise(1, 3, 9, 8)
    torch.testing.assert_close(folding.fold_norm(conv, norm)(x), norm(conv(x)), atol=1e-5, rtol=0)


def test_fused_network_shares_nothing_with_its_source(lite: BiRefNet) -> None:
    model = filled(TALK)
    fused = fuse(model)
    assert fused.geometry == model.geometry
    assert not fused.training
    assert model.state_dict().keys() == BiRefNet(TALK).state_dict().keys()
    image = noise(1, 3, 64, 64)
    with torch.inference_mode():
        before = fused(image)
        for tensor in model.state_dict().values():
            tensor.zero_()
        assert torch.equal(fused(image), before)


def test_fusing_draws_no_random_numbers() -> None:
    model = filled(TALK)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    fuse(model)
    assert torch.equal(torch.rand(1), expected)


def test_sizes_that_do_not_fit_are_refused_as_by_the_plain_network() -> None:
    model = filled(TALK)
    image = torch.zeros(1, 3, 64, 72)
    with pytest.raises(ValueError, match="multiples of 32") as plain:
        model(image)
    with pytest.raises(ValueError, match="multiples of 32") as fused:
        fuse(model)(image)
    assert str(fused.value) == str(plain.value)


def test_logits_have_the_dtype_of_the_image() -> None:
    fused = fuse(filled(TALK)).to(torch.bfloat16)
    image = noise(1, 3, 64, 64)
    with torch.inference_mode():
        assert fused(image).dtype == torch.float32
        assert fused(image.bfloat16()).dtype == torch.bfloat16


DEFORMABLE = replace(TALK, multi_scale_input="cat", attention=("", "", "", "", "deformable"), head="linear")


@pytest.mark.slow
def test_fused_network_can_be_exported() -> None:
    fused = fuse(filled(DEFORMABLE))
    image = noise(1, 3, 128, 128)
    with torch.inference_mode():
        expected = fused(image)
    exported = torch.export.export(fused, (image,)).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(image), expected, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_fused_network_can_be_traced_as_one_graph() -> None:
    fused = fuse(filled(DEFORMABLE))
    image = noise(1, 3, 128, 128)
    with torch.inference_mode():
        expected = fused(image)
    with torch.no_grad():
        # All of torch.compile but the code generator, which needs a C++ compiler and a minute.
        traced = torch.compile(fused, backend="aot_eager", fullgraph=True, dynamic=False)
        torch.testing.assert_close(traced(image), expected, atol=1e-4, rtol=0)

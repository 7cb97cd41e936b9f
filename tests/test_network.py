"""The network against the published one: keys, shapes and logits under weights filled by a rule."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from birefvideo.network.birefnet import BiRefNet, Geometry
from birefvideo.network.deform import DeformableConv2d

REFERENCE = Path(__file__).parent / "reference"
SMALL = Geometry(
    "conv_t", "", attention=("aspp", "", "", "", ""), aspp_width=16, aspp_dilations=(1, 2), head="subpixel"
)


def fill(model: BiRefNet) -> None:
    """Gives every tensor the values that the reference outputs were made with (see reference/README.md)."""
    for key, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        noise = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
        tensor.copy_(value_of(key, noise))


def value_of(key: str, noise: Tensor) -> Tensor:
    if key.endswith("running_mean"):
        return 0.1 * noise
    if key.endswith("running_var"):
        return 1 + 0.2 * noise.abs()
    if key.endswith("relative_position_bias_table"):
        return 0.5 * noise
    if noise.ndim == 1:
        return 1 + 0.1 * noise if key.endswith("weight") else 0.05 * noise
    return noise * (1.4 / noise[0].numel() ** 0.5)


@pytest.mark.parametrize("name", ["swin_v1_t", "swin_v1_l"])
def test_keys_and_shapes_are_those_of_the_published_state_dict(name: str) -> None:
    expected = json.loads((REFERENCE / f"{name}_state_dict.json").read_text())
    with torch.device("meta"):
        state = BiRefNet(Geometry(name)).state_dict()
    assert {k: [list(v.shape), str(v.dtype).removeprefix("torch.")] for k, v in state.items()} == expected


@pytest.mark.parametrize(
    ("name", "sizes"),
    [("swin_v1_t", [(256, 256), (320, 448)]), pytest.param("swin_v1_l", [(256, 256)], marks=pytest.mark.slow)],
)
def test_logits_equal_those_of_the_published_network(name: str, sizes: list[tuple[int, int]]) -> None:
    model = BiRefNet(Geometry(name)).eval()
    fill(model)
    expected = np.load(REFERENCE / f"{name}_outputs.npz")
    for height, width in sizes:
        generator = torch.Generator().manual_seed(height * 10000 + width)
        image = torch.randn(1, 3, height, width, generator=generator)
        with torch.inference_mode():
            logits = model(image).numpy()
        wanted = expected[f"logits_{height}x{width}"].reshape(logits.shape)
        assert np.abs(wanted).max() > 5, "the reference is no constant"
        np.testing.assert_allclose(logits, wanted, atol=1e-3, rtol=0)


@pytest.mark.parametrize("backbone", ["swin_v1_t", "conv_t", "conv_s", "conv_c"])
def test_every_backbone_gives_logits_at_the_input_size(backbone: str) -> None:
    model = BiRefNet(replace(SMALL, backbone=backbone)).eval()
    with torch.inference_mode():
        assert model(torch.rand(2, 3, 64, 96)).shape == (2, 1, 64, 96)


@pytest.mark.parametrize(
    ("multi_scale", "attention", "head"),
    [("cat", "deformable", "linear"), ("add", "aspp", "subpixel"), ("", "", "linear"), ("", "aspp", "subpixel")],
)
def test_every_option_of_the_decoder_trains(multi_scale: str, attention: str, head: str) -> None:
    geometry = replace(SMALL, multi_scale_input=multi_scale, attention=(attention,) * 5, head=head)
    model = BiRefNet(geometry).train()
    outputs = model.forward_training(torch.rand(2, 3, 64, 64))
    assert outputs.logits.shape == (2, 1, 64, 64)
    assert [tuple(s.shape[-2:]) for s in outputs.sides] == [(2, 2), (4, 4), (8, 8)]
    total = outputs.logits.mean() + sum(x.mean() for x in [*outputs.sides, *outputs.edges])
    total.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert not without


def test_a_frame_does_not_depend_on_its_batch_neighbours() -> None:
    model = BiRefNet(SMALL).eval()
    fill(model)
    images = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        together = model(images)
        alone = torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)


def test_sides_that_are_no_multiple_of_32_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        BiRefNet(SMALL)(torch.rand(1, 3, 64, 60))


def test_an_unknown_backbone_is_refused_with_the_names() -> None:
    with pytest.raises(ValueError, match="swin_v1_l"):
        Geometry("resnet")


def bilinear(image: Tensor, y: float, x: float) -> Tensor:
    """One sample of a (C, H, W) image, zero outside: the definition, pixel by pixel."""
    total = torch.zeros(image.shape[0])
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
                total += image[:, row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


@pytest.mark.parametrize("spread", [0.5, 6.0], ids=["inside", "far outside the image"])
def test_deformable_convolution_follows_its_definition(spread: float) -> None:
    conv = DeformableConv2d(3, 5, 3).eval()
    generator = torch.Generator().manual_seed(3)
    draw: Callable[..., Tensor] = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.copy_(draw(*parameter.shape) * 0.3)
        conv.offset_conv.weight *= spread
    image = draw(1, 3, 6, 7)
    with torch.inference_mode():
        result = conv(image)[0]
        offsets, mask = conv.offset_conv(image)[0], 2 * torch.sigmoid(conv.modulator_conv(image)[0])
    expected = torch.zeros_like(result)
    for y in range(6):
        for x in range(7):
            for tap in range(9):
                dy, dx = offsets[2 * tap, y, x].item(), offsets[2 * tap + 1, y, x].item()
                sample = bilinear(image[0], y + tap // 3 - 1 + dy, x + tap % 3 - 1 + dx) * mask[tap, y, x]
                expected[:, y, x] += conv.regular_conv.weight.detach()[:, :, tap // 3, tap % 3] @ sample
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float16, 2e-3), (torch.bfloat16, 1.6e-2)])
def test_deformable_sampling_keeps_its_place_in_half_precision(dtype: torch.dtype, bound: float) -> None:
    # A ramp 600 pixels wide: a wrong place shows as a wrong value. Offsets are exact in every dtype.
    conv = DeformableConv2d(1, 1, 1).eval()
    with torch.no_grad():
        conv.offset_conv.bias.copy_(torch.tensor([0.0, 0.25]))
        conv.regular_conv.weight.fill_(1.0)
    ramp = (torch.arange(600) % 8 / 8).expand(1, 1, 4, 600)
    with torch.inference_mode():
        exact = conv(ramp)
        half = conv.to(dtype)(ramp.to(dtype)).float()
    assert (half - exact).abs().max() < bound

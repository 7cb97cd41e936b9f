"""Half precision of norms whose statistics it cannot hold, in the plain and in the fused network."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_network import fill
from torch import Tensor, nn

import birefvideo
from birefvideo.errors import ModelError
from birefvideo.family.checkpoints import find, load, save_folder
from birefvideo.network.birefnet import BiRefNet, Geometry
from birefvideo.network.fuse import fuse

HUGE = 253_190.0
"""The largest variance in the embedded model; fp16 ends at 65,504."""
NARROW = Geometry(aspp_width=16, aspp_dilations=(1, 2), block_width=16, reference_width=16)
PLAIN = Geometry("conv_t", "", attention=("",) * 5, head="subpixel")


def with_huge_statistics(geometry: Geometry) -> BiRefNet:
    """A network of ordinary size of values everywhere but in the norms' statistics, and their weights to match."""
    model = BiRefNet(geometry).eval()
    with torch.no_grad():
        fill(model)
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                assert part.running_var is not None
                part.running_var.mul_(HUGE)
                part.weight.mul_(HUGE**0.5)
    return model


def alphas(model: nn.Module, image: Tensor, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = copy.deepcopy(model).to(dtype)(image.to(dtype))
    return logits.float().sigmoid()


@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
@pytest.mark.parametrize(
    "geometry",
    [
        replace(PLAIN, attention=("aspp", "", "", "", "")),
        replace(NARROW, backbone="conv_m", multi_scale_input="add", attention=("", "aspp", "", "", "")),
        replace(NARROW, backbone="conv_s", context=False, attention=("deformable", "", "", "", "")),
        pytest.param(replace(NARROW, backbone="swin_v1_t"), marks=pytest.mark.slow),
    ],
    ids=["conv_t", "conv_m", "conv_s", "swin_v1_t"],
)
def test_half_precision_gives_the_matte_of_fp32(geometry: Geometry, fused: bool) -> None:
    plain = with_huge_statistics(geometry)
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    wanted = alphas(plain, image, torch.float32)
    assert wanted.std() > 0.01, "the reference is no constant"
    model = fuse(plain) if fused else plain
    for dtype, mean in ((torch.float16, 5e-3), (torch.bfloat16, 4e-2)):
        off = (alphas(model, image, dtype) - wanted).abs()
        assert off.mean() < mean, dtype


def test_statistics_keep_their_precision_through_every_cast() -> None:
    model = with_huge_statistics(PLAIN)
    before = {name: value.clone() for name, value in model.named_buffers() if "running" in name}
    for cast in (model.half().float(), model.to(torch.bfloat16).to(torch.float32), model.half().bfloat16()):
        after = dict(cast.named_buffers())
        assert all(torch.equal(after[name], value) for name, value in before.items())
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert all(value.dtype == torch.float64 for name, value in model.double().named_buffers() if "running" in name)
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, 32, 32, dtype=torch.float64)).dtype == torch.float64


def test_the_embedded_model_in_plain_fp16_gives_its_fp32_matte() -> None:
    model = load(find("talk"))
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    wanted = alphas(model, image, torch.float32)
    assert (alphas(model, image, torch.float16) - wanted).abs().max() < 0.01
    assert (alphas(load(find("talk"), torch.float16), image, torch.float16) - wanted).abs().max() < 0.01


@pytest.mark.slow
def test_a_transformers_model_in_fp16_keeps_its_statistics(tmp_path: Path) -> None:
    model = with_huge_statistics(PLAIN)
    save_folder(model, tmp_path, long_side=64)
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    wanted = alphas(model, image, torch.float32)
    loaded = birefvideo.load_model(tmp_path).half()
    with torch.inference_mode():
        assert (loaded(image.half()).logits.float().sigmoid() - wanted).abs().mean() < 5e-3


def test_weights_whose_statistics_were_cast_out_of_range_are_refused(tmp_path: Path) -> None:
    save_folder(with_huge_statistics(PLAIN), tmp_path, long_side=64)
    weights = tmp_path / "model.safetensors"
    save_file({name: value.half() for name, value in load_file(weights).items()}, weights)
    with pytest.raises(ModelError, match="does not hold the range of its norms' statistics: save it again"):
        load(find(str(tmp_path)))

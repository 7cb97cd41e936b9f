"""The network's form for NVIDIA cards: interpreted, against the plain network; and compiled, without a card."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from test_fast_deform import aspp, image
from test_fuse import filled, scene
from torch import Tensor, nn

from birefvideo.network import birefnet
from birefvideo.network.birefnet import Geometry
from birefvideo.network.fast_deform import FastAsppDeformable
from birefvideo.network.fuse import fuse
from birefvideo.network.swin import SwinBlock, shift_mask

if torch.cuda.is_available():
    pytest.skip("kernels are compiled in this process, and cannot be interpreted too", allow_module_level=True)
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("TRITON_INTERPRET", "1")  # Triton asks for it when it reads a kernel, its own included
    pytest.importorskip("triton.language")
    KERNELS = importlib.import_module("birefvideo.network.gpu")

LITE = Geometry("swin_v1_t", aspp_width=32, block_width=16, reference_width=16)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("TRITON_INTERPRET", "1")  # it asks again where it imports a part of itself later
    return KERNELS


def swin_block(window: int, heads: int, shifted: bool) -> SwinBlock:
    """A block whose position and qkv biases are as large as trained ones."""
    torch.manual_seed(window)
    block = SwinBlock(32 * heads, heads, window, shifted).eval().requires_grad_(False)
    block.attn.relative_position_bias_table.normal_(0, 0.5)
    block.attn.qkv.bias.normal_(0, 0.3)
    return block


def plain(block: SwinBlock, x: Tensor) -> Tensor:
    h, w = (side + -side % block.window for side in x.shape[1:3])
    out: Tensor = block(x, shift_mask(h, w, block.window, x.device))
    return out


@pytest.mark.parametrize("shifted", [False, True], ids=["whole", "shifted"])
@pytest.mark.parametrize(
    ("window", "heads", "size"),
    [(7, 3, (17, 20)), (7, 1, (14, 21)), (7, 2, (3, 5)), (12, 2, (25, 24)), (12, 1, (5, 13))],
)
def test_a_block_gives_what_the_plain_one_does(
    gpu: ModuleType, window: int, heads: int, size: tuple[int, int], shifted: bool
) -> None:
    block = swin_block(window, heads, shifted)
    x = image(2, *size, 32 * heads)
    with torch.inference_mode():
        torch.testing.assert_close(gpu._Block(block)(x), plain(block, x), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("queries", "keys"), [(16, 64), (64, 16)])
def test_a_block_does_not_depend_on_how_its_work_is_cut(
    gpu: ModuleType, queries: int, keys: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "QUERIES", queries)
    monkeypatch.setattr(gpu, "KEYS", keys)
    block, x = swin_block(12, 1, True), image(1, 11, 9, 32)
    with torch.inference_mode():
        torch.testing.assert_close(gpu._Block(block)(x), plain(block, x), atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, of NaN
def test_a_token_that_is_not_a_number_spoils_its_own_window_and_no_other(gpu: ModuleType) -> None:
    block, x = swin_block(7, 1, False), image(1, 14, 14, 32)
    x[0, 8, 3] = float("nan")
    with torch.inference_mode():
        spoilt = gpu._Block(block)(x).isnan().all(-1)[0]
    expected = torch.zeros(14, 14, dtype=torch.bool)
    expected[7:, :7] = True
    assert torch.equal(spoilt, expected)


@pytest.mark.parametrize("size", [(1, 10, 12), (2, 9, 13), (2, 1, 1), (1, 2, 70)])
@pytest.mark.parametrize("reach", [1.0, 30.0])
def test_the_deformable_aspp_gives_what_the_plain_one_does(
    gpu: ModuleType, size: tuple[int, int, int], reach: float
) -> None:
    module = aspp(reach, 16, 32)
    x = image(size[0], 16, *size[1:])
    with torch.inference_mode():
        expected, result = module(x), gpu.GpuAsppDeformable(module)(x)
    assert expected.std() > 0.01
    # Offsets of 30 pixels turn the last bits of their prediction into visible steps between noise pixels.
    torch.testing.assert_close(result, expected, atol=1e-5 * reach, rtol=0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, of NaN and of infinity
def test_a_pixel_that_is_not_a_number_is_carried_as_in_the_other_form(gpu: ModuleType) -> None:
    module = aspp(1.0, 16, 32)
    module.aspp1.atrous_conv.regular_conv.weight[0, 0] = 0
    kernels, other = gpu.GpuAsppDeformable(module), FastAsppDeformable(module)
    x = image(1, 16, 6, 7)
    offsets = other.predictor.biases[0]
    with torch.inference_mode():
        assert not kernels(x).isnan().any()
        for spoilt in (0, 1, 2):  # y, x and modulation of the first branch
            kept = kernels.predict.bias.clone()
            kernels.predict.bias[spoilt * kernels.taps] = float("nan")
            offsets[spoilt] = float("nan")
            assert torch.equal(kernels(x).isnan(), other(x).isnan()) and kernels(x).isnan().all()
            kernels.predict.bias.copy_(kept)
            offsets[spoilt] = kept[spoilt * kernels.taps]
        x[0, 3, 5, 5] = float("inf")
        assert kernels(x).isnan().any()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["cat", "add"])
def test_the_whole_network_gives_the_plain_ones_logits(gpu: ModuleType, mode: str) -> None:
    model = filled(replace(LITE, multi_scale_input=mode))
    x = scene(64, 96)
    with torch.inference_mode():
        expected, result = model(x), fuse(model, gpu.GPU_PARTS)(x)
    assert expected.std() > 0.1
    assert (result - expected).abs().max() < 1e-3, "as the other form's bound"


def relative(result: Tensor, expected: Tensor) -> float:
    return ((result.float() - expected).square().mean() / expected.square().mean()).sqrt().item()


@pytest.mark.slow
def test_all_forms_agree_in_fp16(gpu: ModuleType) -> None:
    model = filled(LITE)
    x = scene(64, 64)
    with torch.inference_mode():
        expected = model(x)
        forms: dict[str, nn.Module] = {"kernels": fuse(model, gpu.GPU_PARTS), "fused": fuse(model), "plain": model}
        off = {name: relative(form.half()(x.half()), expected) for name, form in forms.items()}
    assert max(off.values()) < 0.01, off


def test_widths_that_the_kernel_does_not_take_keep_the_other_form(gpu: ModuleType) -> None:
    for widths, kind in (
        ((16, 32), gpu.GpuAsppDeformable),
        ((24, 32), FastAsppDeformable),
        ((8, 16), FastAsppDeformable),
    ):
        module = gpu.gpu_aspp(birefnet.AsppDeformable(*widths).eval().requires_grad_(False))
        assert type(module) is kind


COMPILE = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from birefvideo.network import gpu

capability, dtype = int(sys.argv[1]), sys.argv[2]
numbers = "height width rows columns shift heads pixels first last out_at".split()
others = {**dict.fromkeys(numbers, "i32"), "scale": "fp32", "steps": "*i32"}
attention = {"S": 12, "D": 32, "Q": gpu.QUERIES, "K": gpu.KEYS}
deform = {"stride": 184, "out_stride": 1024, "T": 60, "C": 64, "O": 256, "M": gpu.PIXELS}
for kernel, constants, options in (
    (gpu.attention_kernel, attention, {"num_warps": 4}),
    (gpu.attention_kernel, {**attention, "S": 7}, {"num_warps": 4}),
    (gpu.deform_kernel, deform, {"num_warps": 8, "num_stages": 2}),
):
    kinds = {name: others.get(name, "*" + dtype) for name in kernel.arg_names}
    kinds.update(dict.fromkeys(constants, "constexpr"))
    # Addresses of tensors are multiples of 16 bytes, as Triton finds out by itself at a launch.
    aligned = {(i,): [["tt.divisibility", 16]] for i, kind in enumerate(kinds.values()) if kind.startswith("*")}
    source = ASTSource(kernel, kinds, constants, aligned)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    assert f"sm_{capability}" in compiled.asm["ptx"]
    print(compiled.metadata.name, compiled.metadata.shared)
"""


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["fp16", "fp32"])
@pytest.mark.parametrize("capability", [80, 90])
def test_the_kernels_compile_for_cards_and_fit_in_them(capability: int, dtype: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", COMPILE, str(capability), dtype], capture_output=True, text=True, timeout=300
    )
    if "0 active drivers" in run.stderr:
        pytest.skip("this Triton compiles only where there is a card")
    assert run.returncode == 0, run.stderr
    shared = [int(line.split()[1]) for line in run.stdout.splitlines()]
    assert len(shared) == 3 and max(shared) <= 160 * 1024, run.stdout

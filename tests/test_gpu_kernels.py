"""The network's form for NVIDIA cards: interpreted, against the plain network; and compiled, without a card."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from benchmarks import gpu_steps
from test_fast_deform import aspp, image
from test_fuse import filled, scene
from torch import Tensor

from birefvideo.matting.devices import KINDS, Device
from birefvideo.matting.network_form import in_fastest_form
from birefvideo.network import birefnet
from birefvideo.network.birefnet import BiRefNet, Geometry
from birefvideo.network.fast_deform import FastAsppDeformable
from birefvideo.network.fuse import fuse
from birefvideo.network.swin import SWIN_SIZES, SwinBlock, SwinSize, shift_mask

pytestmark = pytest.mark.slow  # interpreted, each takes seconds
if torch.cuda.is_available():
    pytest.skip("kernels are compiled in this process, and cannot be interpreted too", allow_module_level=True)
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("TRITON_INTERPRET", "1")  # Triton asks for it when it reads a kernel, its own included
    pytest.importorskip("triton.language")
    KERNELS = importlib.import_module("birefvideo.network.gpu")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("TRITON_INTERPRET", "1")  # it asks again where it imports a part of itself later
    monkeypatch.setitem(KERNELS.PIXELS, 4, 128)  # interpreted, an operation takes as long on few numbers as on many
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
    [(7, 2, (9, 8)), (7, 1, (7, 14)), (7, 2, (3, 5)), (12, 2, (13, 12)), (12, 1, (5, 13))],
)
def test_a_block_gives_what_the_plain_one_does(
    gpu: ModuleType, window: int, heads: int, size: tuple[int, int], shifted: bool
) -> None:
    block = swin_block(window, heads, shifted)
    x = image(2 if size[0] < 7 else 1, *size, 32 * heads)
    with torch.inference_mode():
        torch.testing.assert_close(gpu._Block(block)(x), plain(block, x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("cut", [(16, 64), (64, 16)])
def test_a_block_does_not_depend_on_how_its_work_is_cut(
    gpu: ModuleType, cut: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(gpu.CUTS, 12, cut)
    block, x = swin_block(12, 1, True), image(1, 11, 9, 32)
    with torch.inference_mode():
        torch.testing.assert_close(gpu._Block(block)(x), plain(block, x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_scores_that_are_all_low_attend_as_others_do(gpu: ModuleType, dtype: torch.dtype) -> None:
    """Softmax does not see what is added to all scores; and a query's first keys may all lie beyond the shift."""
    block, x = swin_block(12, 1, True), image(1, 11, 9, 32)
    with torch.inference_mode():
        expected = plain(block, x)
        block.attn.relative_position_bias_table.sub_(120)
        result = gpu._Block(block).to(dtype)(x.to(dtype)).float()
    torch.testing.assert_close(result, expected, atol=2e-5 if dtype == torch.float32 else 0.02, rtol=0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, of NaN
def test_a_token_that_is_not_a_number_spoils_its_own_window_and_no_other(gpu: ModuleType) -> None:
    block, x = swin_block(7, 1, False), image(1, 14, 14, 32)
    x[0, 8, 3] = float("nan")
    with torch.inference_mode():
        spoilt = gpu._Block(block)(x).isnan().all(-1)[0]
    expected = torch.zeros(14, 14, dtype=torch.bool)
    expected[7:, :7] = True
    assert torch.equal(spoilt, expected)


@pytest.mark.parametrize(
    ("size", "reach"),
    [((1, 10, 12), 1.0), ((2, 5, 7), 30.0), ((2, 1, 1), 1.0), ((2, 1, 1), 30.0), ((1, 2, 70), 30.0)],
)
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
            result = kernels(x).isnan()
            assert torch.equal(result, other(x).isnan()) and result.all()
            kernels.predict.bias.copy_(kept)
            offsets[spoilt] = kept[spoilt * kernels.taps]
        x[0, 3, 5, 5] = float("inf")
        assert kernels(x).isnan().any()


@pytest.fixture
def tiny(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> BiRefNet:
    """A network with each part that has a kernel, as small as there is: interpreted, a large one takes minutes."""
    monkeypatch.setattr(KERNELS, "PIXELS", {2: 512, 4: 512})
    monkeypatch.setitem(SWIN_SIZES, "swin_v1_t", SwinSize(32, (2, 2, 2, 2), (1, 2, 4, 8), 7))
    attention = ("deformable", "", "", "", "deformable")
    return filled(Geometry("swin_v1_t", "", attention=attention, block_width=16, aspp_width=32, reference_width=16))


def relative(result: Tensor, expected: Tensor) -> float:
    return ((result.float() - expected).square().mean() / expected.square().mean()).sqrt().item()


def test_the_whole_network_gives_the_plain_ones_logits_in_all_forms(gpu: ModuleType, tiny: BiRefNet) -> None:
    x = scene(64, 64)
    with torch.inference_mode():
        expected = tiny(x)
        kernels, fused = fuse(tiny, gpu.GPU_PARTS), fuse(tiny)
        torch.testing.assert_close(kernels(x), expected, atol=1e-3, rtol=0)  # as the other form's bound
        halves = {"kernels": kernels.half(), "fused": fused.half(), "plain": tiny.half()}
        off = {name: relative(form(x.half()), expected) for name, form in halves.items()}
    assert expected.std() > 0.1
    assert max(off.values()) < 0.01, off


def test_a_network_for_a_card_takes_the_kernels_and_only_if_their_result_is_right(
    gpu: ModuleType, tiny: BiRefNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = Device(torch.device("cpu"), replace(KINDS["cpu"], triton_from=(0, 0)))
    network, form = in_fastest_form(tiny, card, torch.float32, card.backend())
    assert form == "the network ran with Triton kernels"
    assert any(isinstance(part, gpu.GpuAsppDeformable) for part in network.modules())
    launch = gpu.window_attention
    monkeypatch.setattr(gpu, "window_attention", lambda *args: launch(*args).flip(1))
    network, form = in_fastest_form(tiny, card, torch.float32, card.backend())
    assert form.startswith("the network ran without Triton kernels (their result was off by ")
    assert not any(isinstance(part, gpu.GpuAsppDeformable) for part in network.modules())


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
from benchmarks.gpu_steps import CUTS
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from birefvideo.network import gpu

capability = int(sys.argv[1])
numbers = "height width rows columns shift heads pixels first last out_at".split()
others = {**dict.fromkeys(numbers, "i32"), "scale": "fp32", "steps": "*i32"}

def build(kernel, dtype, warps, options, **constants):
    kinds = {name: others.get(name, "*" + dtype) for name in kernel.arg_names}
    kinds.update(dict.fromkeys(constants, "constexpr"))
    # Addresses of tensors are multiples of 16 bytes, as Triton finds out by itself at a launch.
    aligned = {(i,): [["tt.divisibility", 16]] for i, kind in enumerate(kinds.values()) if kind.startswith("*")}
    source = ASTSource(kernel, kinds, constants, aligned)
    options = {"num_warps": warps, **options}
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    assert f"sm_{capability}" in compiled.asm["ptx"]
    print(compiled.metadata.shared)

def both(dtype, cuts, pixels, options):
    for window, (queries, keys) in cuts.items():
        build(gpu.attention_kernel, dtype, 4, options, S=window, D=32, Q=queries, K=keys)
    build(gpu.deform_kernel, dtype, 8, options, stride=184, out_stride=1024, T=60, C=64, O=256, M=pixels)

for dtype in sys.argv[2:]:
    both(dtype, gpu.CUTS, gpu.PIXELS[4 if dtype == "fp32" else 2], gpu.OPTIONS)
if capability == 90:  # what the measuring run tries out
    for queries, keys, pixels, stages in CUTS:
        both("fp16", {12: (queries, keys)}, pixels, {**gpu.OPTIONS, "num_stages": stages})
"""
SMALLEST = 99 * 1024
"""Bytes of shared memory that one program may have on the cards that have the least: 8.6, 8.9 and 12.0."""


@pytest.mark.parametrize(
    ("capability", "dtypes"),
    [(80, ["fp16", "bf16"]), (86, ["fp16"]), (89, ["fp16"]), (90, ["fp16", "bf16", "fp32"])],
)
def test_the_kernels_compile_for_cards_and_fit_in_them(capability: int, dtypes: list[str], tmp_path: Path) -> None:
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    path = os.pathsep.join([str(Path(gpu_steps.__file__).parents[1]), environment.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", COMPILE, str(capability), *dtypes],
        capture_output=True, text=True, timeout=300, env={**environment, "PYTHONPATH": path},
    )  # fmt: skip
    if "0 active drivers" in run.stderr:
        pytest.skip("this Triton compiles only where there is a card")
    assert run.returncode == 0, run.stderr
    shared = [int(line) for line in run.stdout.splitlines()]
    ours = shared[: 3 * len(dtypes)]
    assert len(ours) == 3 * len(dtypes) and max(ours) <= SMALLEST, run.stdout
    assert max(ours[:3]) <= 64 * 1024, "fp16"

"""The inference backbone against the plain one, with and without padding, shifts cut by the border, and batches."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from birefvideo.network import fast_swin as module
from birefvideo.network.fast_swin import Segment, fast_swin, segments
from birefvideo.network.swin import SWIN_SIZES, SwinSize, SwinTransformer, shift_mask, to_windows

TINY = replace(SWIN_SIZES["swin_v1_t"], depths=(2, 2, 2, 2))
WINDOW_12 = SwinSize(32, (2, 1, 3, 2), (1, 2, 4, 8), 12)  # an odd number of blocks, too
SMALL = SwinSize(32, (2, 2, 2, 2), (1, 2, 4, 8), 7)


@cache
def backbone(size: SwinSize) -> SwinTransformer:
    """Weights that make every part count: position biases and qkv biases as large as trained ones."""
    torch.manual_seed(5)
    swin = SwinTransformer(size).eval()
    with torch.no_grad():
        for name, parameter in swin.named_parameters():
            if name.endswith("bias_table"):
                parameter.normal_(0, 0.5)
            elif parameter.ndim == 1:
                parameter.normal_(float(name.endswith("weight")), 0.2)
    return swin


def relative_error(result: Tensor, expected: Tensor) -> float:
    """Root mean square of the difference over that of what was expected."""
    return ((result.float() - expected).square().mean() / expected.square().mean()).sqrt().item()


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        (TINY, (1, 256, 256)),
        (TINY, (1, 320, 448)),
        (WINDOW_12, (2, 320, 448)),
        (WINDOW_12, (1, 32, 32)),
        (SMALL, (3, 80, 112)),  # half of 160×224: sides that turn odd
        (SMALL, (1, 224, 448)),  # no padding down to stride 32
    ],
)
def test_the_maps_are_those_of_the_plain_backbone(size: SwinSize, shape: tuple[int, int, int]) -> None:
    n, h, w = shape
    swin = backbone(size)
    image = torch.randn(n, 3, h, w)
    with torch.inference_mode():
        for result, expected in zip(fast_swin(swin)(image), swin(image), strict=True):
            assert expected.abs().max() > 2
            torch.testing.assert_close(result, expected, atol=5e-5, rtol=0)
            assert result.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.bfloat16, 1e-2), (torch.float16, 2e-3)])
def test_half_precision_is_as_near_as_its_rounding(dtype: torch.dtype, bound: float) -> None:
    swin = backbone(SMALL)
    image = torch.randn(1, 3, 160, 224)
    with torch.inference_mode():
        results = fast_swin(swin).to(dtype)(image.to(dtype))
        for result, expected in zip(results, swin(image), strict=True):
            assert result.dtype == dtype
            assert relative_error(result, expected) < bound


def test_what_bf16_cannot_hold_stays_in_fp32_wherever_the_network_goes() -> None:
    fast = fast_swin(backbone(SMALL)).to(torch.bfloat16).to("meta")
    kinds = {name: p.dtype for name, p in fast.named_parameters()}
    first = {dtype for name, dtype in kinds.items() if ".0.module." in name or "norm" in name or "embed" in name}
    assert first == {torch.float32}
    assert kinds["stages.1.blocks.0.fc1.weight"] == fast.dtype == torch.bfloat16
    assert {p.dtype for p in fast.to(torch.float16).parameters()} == {torch.float16}


def test_the_answer_does_not_depend_on_the_size_of_the_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    fast, image = fast_swin(backbone(SMALL)), torch.randn(3, 3, 96, 160)
    results = []
    for size in (1, 1 << 17, 1 << 30):
        monkeypatch.setattr(module, "CACHE_BYTES", size)
        with torch.inference_mode():
            results.append(fast(image))
    for maps in zip(*results, strict=True):
        torch.testing.assert_close(maps[0], maps[1], atol=1e-5, rtol=0)
        torch.testing.assert_close(maps[1], maps[2], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("length", "window"), [(8, 7), (14, 7), (32, 12), (5, 12), (64, 7)])
def test_segments_part_the_tokens_that_the_shift_mask_parts(length: int, window: int) -> None:
    padded = length + -length % window
    shift = window // 2
    # One row of windows: its masks tell which columns see each other.
    columns = torch.arange(padded).roll(-shift).expand(padded, padded)[None, ..., None]
    inside = to_windows(columns, window)[..., 0][: padded // window]
    together = set()
    for places, mask in zip(inside, shift_mask(padded, padded, window, torch.device("cpu")), strict=False):
        pairs = (mask == 0).nonzero()
        together |= {(places[i].item(), places[j].item()) for i, j in pairs if places[i] < length}
    expected = set()
    for part in segments(length, window, shift):
        seen = range(part.start, part.start + part.full)
        expected |= {(i, j) for i in seen[: part.real] for j in seen}
    assert together == expected


def test_segments_of_nothing_but_padding_are_left_out() -> None:
    assert segments(8, 7, 3) == [Segment(0, 3, 3), Segment(3, 5, 7)]


def test_the_plain_backbone_is_left_alone() -> None:
    swin = backbone(SMALL)
    before = copy.deepcopy(swin.state_dict())
    fast_swin(swin).to(torch.bfloat16)
    assert all(p.requires_grad for p in swin.parameters())
    torch.testing.assert_close(dict(swin.state_dict()), dict(before), atol=0, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("strict", [False, True], ids=["export", "compile"])
def test_it_exports_and_other_images_give_other_maps(strict: bool) -> None:
    swin = backbone(SwinSize(32, (2, 1, 1, 1), (1, 2, 4, 8), 7))
    fast: nn.Module = fast_swin(swin)
    first, second = torch.randn(2, 1, 3, 64, 96)
    exported = torch.export.export(fast, (first,), strict=strict).module()
    with torch.inference_mode():
        for result, expected in zip(exported(second), swin(second), strict=True):
            torch.testing.assert_close(result, expected, atol=5e-5, rtol=0)
        # Tracing must leave nothing behind that a plain call would pick up.
        for result, expected in zip(fast(first), swin(first), strict=True):
            torch.testing.assert_close(result, expected, atol=5e-5, rtol=0)


def test_shapes_can_be_asked_of_fake_tensors() -> None:
    fast = fast_swin(backbone(SMALL))
    shapes = [tuple(m.shape) for m in fast.to("meta")(torch.empty(2, 3, 96, 160, device="meta"))]
    assert shapes == [(2, 32, 24, 40), (2, 64, 12, 20), (2, 128, 6, 10), (2, 256, 3, 5)]

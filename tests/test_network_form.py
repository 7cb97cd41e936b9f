"""Which form a network runs in where a device has a choice, and what is said of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from test_fuse import TALK, filled, noise
from torch import nn

from birefvideo.matting import network_form
from birefvideo.matting.devices import KINDS, Device
from birefvideo.matting.engine import Engine
from birefvideo.matting.input_size import InputSize
from birefvideo.network.birefnet import BiRefNet
from birefvideo.network.fast_decoder import DecoderParts, PlainBridge
from birefvideo.network.fuse import Parts, fuse

CPU = torch.device("cpu")
SIZE = InputSize(fixed=(64, 64))


def engine(dtype: torch.dtype = torch.float32, fused: bool = True, level: int | None = 0) -> Engine:
    """An Engine on a CPU that has a choice from `level` on."""
    kind = replace(KINDS["cpu"], triton_from=None if level is None else (level, 0), level_name="level")
    return Engine(filled(TALK), SIZE, Device(CPU, kind), dtype=dtype, fused=fused)


def logits(network: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        out: torch.Tensor = network(noise(1, 3, 64, 64))
    return out


def test_a_device_without_a_choice_has_nothing_said_of_it() -> None:
    assert engine(level=None).form == ""


def test_without_triton_the_network_runs_in_the_other_form_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "birefvideo.network.gpu", raising=False)
    made = engine()
    assert made.form.startswith("the network ran without Triton kernels (")
    assert "triton" in made.form and made.form.endswith("): this cost speed, nothing else")
    assert torch.equal(logits(made.network), logits(engine(level=None).network))


@pytest.mark.parametrize(
    ("dtype", "level", "why"),
    [(torch.bfloat16, 0, "do not compute in bf16"), (torch.float32, 9, "level 9.0 is needed")],
)
def test_kernels_that_would_not_serve_are_not_tried(dtype: torch.dtype, level: int, why: str) -> None:
    assert why in engine(dtype, level=level).form


def emptied(*parts: Any) -> nn.Module:
    """A bridge that leads nowhere, as a kernel gone wrong may give it."""
    made = PlainBridge(*parts)
    made.inward.weight.zero_()
    return made


@pytest.mark.parametrize(
    ("bridge", "said"),
    [
        (PlainBridge, "the network ran with Triton kernels"),
        (emptied, "the network ran without Triton kernels (their result was off by "),
    ],
)
def test_kernels_are_taken_only_if_their_result_is_the_plain_networks(
    bridge: Callable[..., nn.Module], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = SimpleNamespace(GPU_PARTS=Parts(decoder=DecoderParts(bridge=bridge)))
    monkeypatch.setitem(sys.modules, "birefvideo.network.gpu", parts)
    made = engine()
    assert made.form.startswith(said)
    torch.testing.assert_close(logits(made.network), logits(engine(level=None).network), atol=1e-4, rtol=0)


def test_a_plain_network_is_plain() -> None:
    made = engine(fused=False)
    assert type(made.network) is BiRefNet and made.form == ""


def test_plain_and_fused_agree_in_fp16() -> None:
    model = filled(TALK)
    wanted = logits(model)
    for form in (fuse(model), model):
        half = form.half()
        with torch.inference_mode():
            result = half(noise(1, 3, 64, 64).half()).float()
        assert (result - wanted).norm() < 0.01 * wanted.norm()


def test_memory_that_does_not_suffice_for_a_trial_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> nn.Module:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(network_form, "_with_kernels", full)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        engine()

"""Linear layers with something behind them against the same in two steps."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from birefvideo.network import fast_linear
from birefvideo.network.fast_linear import add_linear, linear, linear_gelu

DTYPES = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 4e-3}


@pytest.fixture(params=[True, False], ids=["with oneDNN", "without"])
def _built(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(fast_linear, "_FUSED", None)


def layer_and_rows(dtype: torch.dtype, bias: bool = True) -> tuple[nn.Linear, Tensor]:
    torch.manual_seed(3)
    return nn.Linear(40, 24, bias).to(dtype).requires_grad_(False), torch.randn(50, 40).to(dtype)


@pytest.mark.usefixtures("_built")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
def test_each_form_gives_what_the_two_steps_do(dtype: torch.dtype, bias: bool) -> None:
    layer, x = layer_and_rows(dtype, bias)
    other = torch.randn(50, 24)
    exact = F.linear(x.double(), layer.weight.double(), layer.bias.double() if bias else None)
    with torch.inference_mode():
        results = {
            linear(x, layer): exact,
            linear_gelu(x, layer): F.gelu(exact),
            add_linear(other.to(dtype), x, layer): other.to(dtype) + exact,
        }
        finer = add_linear(other, x, layer)
    for result, expected in results.items():
        assert result.dtype == dtype
        torch.testing.assert_close(result.double(), expected, atol=DTYPES[dtype], rtol=DTYPES[dtype])
    assert finer.dtype == torch.float32


def test_gradients_still_pass_where_they_are_asked_for() -> None:
    layer, x = layer_and_rows(torch.float32)
    x.requires_grad_()
    add_linear(torch.zeros(50, 24), linear_gelu(x, layer)[:, :1].expand(-1, 40), layer).sum().backward()
    assert x.grad is not None and x.grad.abs().max() > 0

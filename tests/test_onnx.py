"""Export to ONNX: the plain network, by PyTorch's own exporter, gives the same logits in onnxruntime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_network import fill

from birefvideo.network.birefnet import BiRefNet, Geometry

pytest.importorskip("onnxscript", reason="the dev extra has it")
onnxruntime = pytest.importorskip("onnxruntime", reason="the dev extra has it")

NARROW = Geometry("conv_t", block_width=16, aspp_width=16, reference_width=16)


def largest_difference(model: BiRefNet, folder: Path, pictures: int) -> float:
    """Between the logits in torch and in onnxruntime, of pictures of which there are more than at the export."""
    generator = torch.Generator().manual_seed(3)
    torch.onnx.export(
        model,
        (torch.zeros(2, 3, 64, 96),),
        str(folder / "network.onnx"),
        input_names=["pixel_values"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("pictures")},),
        opset_version=20,
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(str(folder / "network.onnx"), providers=["CPUExecutionProvider"])
    pixels = torch.randn(pictures, 3, 64, 96, generator=generator)
    (logits,) = session.run(["logits"], {"pixel_values": pixels.numpy()})
    with torch.inference_mode():
        expected = model(pixels).numpy()
    assert expected.std() > 0.1, "the reference is no constant"
    return float(np.abs(logits - expected).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    "geometry",
    [
        pytest.param(replace(NARROW, attention=("deformable", "aspp", "", "", "")), id="deformable"),
        pytest.param(replace(NARROW, multi_scale_input="", attention=("",) * 5, head="subpixel"), id="subpixel"),
        pytest.param(Geometry("swin_v1_t"), id="swin_v1_t"),
    ],
)
def test_onnxruntime_gives_the_logits_of_torch(geometry: Geometry, tmp_path: Path) -> None:
    model = BiRefNet(geometry).eval().requires_grad_(False)
    fill(model)
    assert largest_difference(model, tmp_path, pictures=3) < 1e-3

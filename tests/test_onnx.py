"""Export to ONNX: the plain network, by PyTorch's own exporter, gives the same logits in onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from test_network import fill

from birefvideo.network.birefnet import BiRefNet, Geometry
from birefvideo.network.swin import SWIN_SIZES, SwinSize

SMALL_SWIN = SwinSize(width=24, depths=(2, 1, 1, 1), heads=(2, 2, 2, 2), window=4)
"""Windows that are shifted, that have to be padded, and that have a size of their own in every stage."""


@pytest.mark.slow
def test_onnxruntime_gives_the_logits_of_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxscript", reason="the dev extra has it")
    onnxruntime = pytest.importorskip("onnxruntime", reason="the dev extra has it")
    monkeypatch.setitem(SWIN_SIZES, "swin_v1_t", SMALL_SWIN)
    attention = ("deformable", "", "", "", "")
    geometry = Geometry("swin_v1_t", "", attention=attention, block_width=16, aspp_width=16, reference_width=16)
    # Its weights want gradients, as those of a model that was just loaded do.
    model = BiRefNet(geometry).eval()
    with torch.no_grad():
        fill(model)
    torch.onnx.export(
        model,
        (torch.zeros(2, 3, 64, 96),),
        str(tmp_path / "network.onnx"),
        input_names=["pixel_values"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("pictures")},),
        opset_version=20,
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(str(tmp_path / "network.onnx"), providers=["CPUExecutionProvider"])
    for pictures in (1, 3):  # neither is the number at the export
        pixels = torch.randn(pictures, 3, 64, 96, generator=torch.Generator().manual_seed(pictures))
        (logits,) = session.run(["logits"], {"pixel_values": pixels.numpy()})
        with torch.inference_mode():
            expected = model(pixels).numpy()
        assert expected.std() > 0.1, "the reference is no constant"
        np.testing.assert_allclose(logits, expected, atol=1e-3, rtol=0)

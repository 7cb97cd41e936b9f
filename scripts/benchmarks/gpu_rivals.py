"""Other ways to run the plain network on a card: torch.compile, and ONNX Runtime with CUDA or TensorRT."""

from __future__ import annotations

import importlib
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_meter import Meter
from benchmarks.networks import our_model

Rival = Callable[[Meter, str], dict[str, Any]]
"""Measures the plain network of a name."""
PROVIDERS: dict[str, tuple[str, dict[str, object]]] = {
    "TensorRT": ("TensorrtExecutionProvider", {"trt_fp16_enable": True}),
    "ONNX Runtime": ("CUDAExecutionProvider", {}),
}


def compiled(meter: Meter, name: str) -> dict[str, Any]:
    """torch.compile, launched as a graph."""
    network: Any = torch.compile(meter.placed(name, "plain", meter.half))
    pixels = meter.image(name, 1, meter.half)
    began = time.perf_counter()
    meter.on_stream(partial(network, pixels))
    first = round(time.perf_counter() - began, 1)
    return {"first_s": first, "graph": meter.timed(meter.graphed(partial(network, pixels)))["ms"]}


def onnx_rivals() -> list[tuple[str, Rival | str]]:
    """Return each way to run an ONNX file on a card, or what is missing for it."""
    try:
        runtime: Any = importlib.import_module("onnxruntime")
        importlib.import_module("onnxscript")
        there = runtime.get_available_providers()
    except ImportError as error:
        return [(rival, f"not installed ({error})") for rival in PROVIDERS]
    return [
        (rival, partial(_onnx, runtime, row) if row[0] in there else f"not installed (no {row[0]})")
        for rival, row in PROVIDERS.items()
    ]


def _onnx(runtime: Any, provider: tuple[str, dict[str, object]], meter: Meter, name: str) -> dict[str, Any]:
    """Export the plain network in the device's half, and run it with input and output left on the device."""
    pixels = meter.image(name, 1, meter.half).contiguous()
    with tempfile.TemporaryDirectory() as folder:
        session = _session(runtime, provider, our_model(name).to(meter.half), pixels, Path(folder) / "network.onnx")
    if session.get_providers()[0] != provider[0]:
        raise RuntimeError(f"it fell back to {session.get_providers()[0]}")
    binding = session.io_binding()
    logits = torch.empty_like(pixels[:, :1]).contiguous()
    for bind, tensor, value in ((binding.bind_input, pixels, "pixels"), (binding.bind_output, logits, "logits")):
        number = str(tensor.cpu().numpy().dtype)
        bind(value, tensor.device.type, tensor.device.index or 0, number, list(tensor.shape), tensor.data_ptr())
    times = []
    for _ in range(17 if meter.cuda else 3):
        began = time.perf_counter()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        times.append(1000 * (time.perf_counter() - began))
    if not logits.isfinite().all():
        raise RuntimeError("its logits are not finite")
    return {"first_s": round(times[0] / 1000, 1), "ms": round(sorted(times[1:])[len(times) // 2 - 1], 3)}


def _session(
    runtime: Any, provider: tuple[str, dict[str, object]], model: torch.nn.Module, pixels: Tensor, file: Path
) -> Any:
    names: dict[str, Any] = {"input_names": ["pixels"], "output_names": ["logits"]}
    torch.onnx.export(model, (pixels.cpu(),), file, **names, opset_version=20, dynamo=True, verbose=False)
    return runtime.InferenceSession(str(file), providers=[provider])

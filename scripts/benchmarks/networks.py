"""The sides of a network benchmark: the published code, nobg, ours in several forms, with equal weights."""

from __future__ import annotations

import importlib
import sys
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from birefvideo.family.checkpoints import find, load
from birefvideo.family.variants import EMBEDDED
from birefvideo.matting.input_size import InputSize
from birefvideo.matting.lanes import MOST, Lanes
from birefvideo.matting.streams import Stream
from birefvideo.network.birefnet import BiRefNet, Geometry
from birefvideo.network.fuse import fuse
from birefvideo.network.swin import SWIN_SIZES

BACKBONES = {"lite": "swin_v1_t", "general": "swin_v1_l", "hr": "swin_v1_l"}
SIDES = {"hr": 2048}
"""Sides of the square picture that a network sees, where they are not 1024."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "fp64": torch.float64}

Network = Callable[[Tensor], Tensor]
"""Normalised image (N, 3, H, W) fp32 on the CPU -> logits (N, 1, H, W) fp32 on the CPU."""


@dataclass(frozen=True)
class Side:
    """One thing to measure."""

    kind: str
    """'published', 'nobg', 'plain', 'fused', 'lanes' (fused, several frames at a time), 'onnx' or 'openvino'."""
    dtype: str = "fp32"
    """A name in DTYPES."""
    spins: int | None = None
    """GOMP_SPINCOUNT: how long threads of OpenMP wait awake for each other; None is OpenMP's own."""

    def __str__(self) -> str:
        return f"{self.kind} {self.dtype}" + ("" if self.spins is None else f" spins {self.spins}")


@dataclass(frozen=True)
class Setup:
    """The settings that all sides share."""

    model: str
    """'lite', 'general', 'hr' or 'talk'."""
    size: tuple[int, int]
    """Width and height of the network's input."""
    device: str
    """'cpu' or a CUDA device."""
    threads: int
    """Threads of torch and of OpenVINO on the CPU."""
    published: Path | None
    """A checkout of the published repository."""


class NotRunError(Exception):
    """A side that cannot run here; the message says why."""


def default_size(model: str, width: int, height: int) -> tuple[int, int]:
    """Return the width and height at which `model` sees a picture."""
    side = SIDES.get(model, 1024)
    size = find(EMBEDDED).size if model == EMBEDDED else InputSize(fixed=(side, side))
    return size.network_size(width, height)


def fill(model: nn.Module) -> None:
    """Give every weight the value that the parity tests use: noise seeded by the key, scaled by its kind."""
    for key, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        noise = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
        if key.endswith("running_mean"):
            noise *= 0.1
        elif key.endswith("running_var"):
            noise = 1 + 0.2 * noise.abs()
        elif key.endswith("relative_position_bias_table"):
            noise *= 0.5
        elif noise.ndim == 1:
            noise = 1 + 0.1 * noise if key.endswith("weight") else 0.05 * noise
        else:
            noise *= 1.4 / noise[0].numel() ** 0.5
        tensor.copy_(noise)


def build(side: Side, setup: Setup) -> Network:
    """Prepare a side.

    Raises:
        NotRunError: it needs what is not there.
    """
    torch.set_num_threads(setup.threads)
    if side.kind == "openvino":
        return openvino_network(side, setup)
    if side.kind == "onnx":
        return onnx_network(setup)
    if side.kind in ("published", "nobg"):
        model = published_model(setup) if side.kind == "published" else nobg_model(setup.model)
        return torch_network(model, side, setup)
    ours = our_model(setup.model)
    run = torch_network(ours if side.kind == "plain" else fuse(ours), side, setup)
    return InLanes(run, setup.threads) if side.kind == "lanes" else run


class InLanes:
    """A network that computes a frame `frames` times, several at a time, as a job on a CPU does with a clip."""

    def __init__(self, network: Network, threads: int) -> None:
        self._network = network
        count = min(MOST, threads)
        self._lanes = Lanes(torch.device("cpu"), count, threads // count)
        self.frames = 2 * count
        """Frames that one call computes."""

    def __call__(self, image: Tensor) -> Tensor:
        """Return the logits of one of them."""
        found: list[Tensor] = []
        with self._lanes.at_work():
            for _ in range(self.frames):
                self._lanes.run(Stream.COMPUTE, lambda: found.append(self._network(image)))
            self._lanes.join()
        return found[0]


def our_model(name: str) -> BiRefNet:
    """Return our plain network with the weights of the benchmark."""
    if name == EMBEDDED:
        return load(find(EMBEDDED))
    model = BiRefNet(Geometry(BACKBONES[name])).eval()
    fill(model)
    return model


def published_model(setup: Setup) -> nn.Module:
    """Build the published network from its own code; only the backbone is changed in its Config.

    Raises:
        NotRunError: there is no checkout, a package that it imports is missing, or it does not have the model.
    """
    if setup.published is None:
        raise NotRunError("no --published FOLDER")
    if setup.model not in BACKBONES:
        raise NotRunError(f"the published code has no {setup.model}")
    backbone = BACKBONES[setup.model]
    sys.path.insert(0, str(setup.published.resolve()))
    try:
        config: Any = importlib.import_module("config")
        original = config.Config

        class Chosen(original):  # type: ignore[misc, valid-type]
            """The published settings with another backbone: what its users edit in config.py."""

            def __init__(self) -> None:
                super().__init__()
                scales = 2 if self.mul_scl_ipt == "cat" else 1
                self.bb = backbone
                self.lateral_channels_in_collection = [
                    scales * SWIN_SIZES[backbone].width * 2**stage for stage in (3, 2, 1, 0)
                ]
                self.cxt = self.lateral_channels_in_collection[1:][::-1][-self.cxt_num :]

        config.Config = Chosen
        model: nn.Module = importlib.import_module("models.birefnet").BiRefNet(bb_pretrained=False).eval()
    except ImportError as error:
        raise NotRunError(f"the published code cannot be imported ({error})") from error
    fill(model)
    return model


def nobg_model(name: str) -> nn.Module:
    """Build the network of the independent package nobg, which maps the published keys to its own by its own code.

    Raises:
        NotRunError: the package or torchvision is missing, or it does not have the model.
    """
    if name not in BACKBONES:
        raise NotRunError(f"nobg has no {name}")
    try:
        theirs: Any = importlib.import_module("nobg.birefnet.modeling_birefnet")
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that does not fit torch
        raise NotRunError(f"nobg cannot be imported ({error})") from error
    swin = SWIN_SIZES[BACKBONES[name]]
    config = theirs.BiRefNetConfig(
        embed_dim=swin.width, depths=[*swin.depths], num_heads=[*swin.heads], window_size=swin.window
    )
    model: nn.Module = theirs.BiRefNet.from_origin(our_model(name), config=config)
    return model.eval()


def torch_network(model: nn.Module, side: Side, setup: Setup) -> Network:
    """Return a function that runs a torch model in the side's dtype on the device."""
    dtype = DTYPES[side.dtype]
    model = model.requires_grad_(False).to(setup.device, dtype)

    def run(image: Tensor) -> Tensor:
        with torch.no_grad():  # not inference mode, under which older counters do not see inside linear layers
            logits = model(image.to(setup.device, dtype))
        if isinstance(logits, dict):  # nobg's
            logits = logits["logits"]
        # The published network returns a list.
        last: Tensor = logits[-1] if isinstance(logits, list) else logits
        return last.float().cpu()

    return run


def onnx_network(setup: Setup) -> Network:
    """Export our plain network to ONNX by PyTorch's exporter, and run it in onnxruntime on the CPU.

    Raises:
        NotRunError: a package is missing.
    """
    try:
        importlib.import_module("onnxscript")
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise NotRunError(f"not installed ({error})") from error
    width, height = setup.size
    names: dict[str, Any] = {"input_names": ["pixel_values"], "output_names": ["logits"]}
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/network.onnx"
        # One picture: the exporter's graph is smaller where their number is known.
        pixels = torch.zeros(1, 3, height, width)
        torch.onnx.export(our_model(setup.model), (pixels,), file, **names, opset_version=20, dynamo=True)
        settings = runtime.SessionOptions()
        settings.intra_op_num_threads = setup.threads
        session = runtime.InferenceSession(file, settings, providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(session.run(["logits"], {"pixel_values": image.numpy()})[0])


def openvino_network(side: Side, setup: Setup) -> Network:
    """Convert the published network for OpenVINO, or our plain one without `--published`.

    Raises:
        NotRunError: OpenVINO is missing or cannot convert it.
    """
    try:
        openvino = importlib.import_module("openvino")
    except ImportError as error:
        raise NotRunError(f"not installed ({error})") from error
    model = our_model(setup.model) if setup.published is None else published_model(setup)
    width, height = setup.size
    example = torch.zeros(1, 3, height, width)
    try:
        with torch.no_grad():
            converted = openvino.convert_model(model, example_input=example, input=list(example.shape))
        hints = {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}[side.dtype],
            "INFERENCE_NUM_THREADS": setup.threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        compiled = openvino.Core().compile_model(converted, "CPU", hints)
    except Exception as error:  # its converter raises many kinds, and the table should go on
        raise NotRunError(f"cannot be converted ({str(error).splitlines()[0]})") from error
    return lambda image: torch.from_numpy(list(compiled(image.numpy()).values())[-1].copy())

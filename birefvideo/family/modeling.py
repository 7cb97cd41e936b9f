"""BiRefNet as a transformers model, for code that wants `from_pretrained`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import transformers
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils import ModelOutput, cached_file

from birefvideo.family.checkpoints import geometry_from_keys
from birefvideo.family.config import BiRefNetConfig
from birefvideo.family.native_size import PUBLISHED_SIZE, native_size
from birefvideo.family.shards import WEIGHTS
from birefvideo.family.variants import is_hub_id, variant
from birefvideo.network.birefnet import BiRefNet, Geometry, TrainingOutputs
from birefvideo.network.swin import WindowAttention, relative_position_index

_DTYPE = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
"""What transformers calls the argument; its default is float32 before 5 and the checkpoint's own from then on."""
_SAFETENSORS_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32}
_HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")


@dataclass
class ImageSegmentationOutput(ModelOutput):  # type: ignore[misc]
    """What the model returns."""

    loss: Tensor | None = None
    """Binary cross-entropy against `labels`, if given."""
    logits: Tensor | None = None
    """(N, 1, H, W) before the sigmoid."""


class BiRefNetForImageSegmentation(PreTrainedModel):  # type: ignore[misc]
    """A BiRefNet with transformers' loading and saving; reads published state dicts by their own key names."""

    config_class = BiRefNetConfig
    main_input_name = "pixel_values"

    def __init__(self, config: BiRefNetConfig, network: BiRefNet | None = None) -> None:
        super().__init__(config)
        network = network or BiRefNet(config.geometry())
        # Its parts are registered here and it is hidden in a tuple, so that the keys are the published ones:
        # transformers 4 can add a prefix for its own kind of base model only.
        self._network = (network,)
        for name, part in network.named_children():
            self.add_module(name, part)
        self.post_init()

    @property
    def birefnet(self) -> BiRefNet:
        """The network itself, which gives the logits alone; of the same parts as this model."""
        return self._network[0].train(self.training)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | PathLike[str],
        *arguments: Any,
        config: BiRefNetConfig | None = None,
        **options: Any,
    ) -> BiRefNetForImageSegmentation:
        """Load as transformers does, safetensors only; what the published configs lack is known by name or weights.

        The model is float32 unless `dtype` (or `torch_dtype`) says otherwise; "auto" is the dtype of the weights file.
        Whatever it is, the statistics of the norms stay float32, which half precision cannot hold.

        Raises:
            ModelError: the network's shape is not known.
        """
        name = str(pretrained_model_name_or_path)
        asked = [options.pop(key) for key in ("torch_dtype", "dtype") if key in options]
        hub_options = {key: options[key] for key in _HUB_OPTIONS if key in options}
        if config is None:
            values, _ = BiRefNetConfig.get_config_dict(name, **hub_options)
            known = values if "backbone" in values else {**values, **_published_values(name, hub_options)}
            config, options = BiRefNetConfig.from_dict(known, return_unused_kwargs=True, **options)
        options.setdefault("use_safetensors", True)
        loaded = super().from_pretrained(name, *arguments, config=config, **options, **{_DTYPE: torch.float32})
        model = loaded[0] if isinstance(loaded, tuple) else loaded  # a tuple with output_loading_info
        dtype = _dtype_called(asked[-1] if asked else None, name, hub_options)
        if dtype is not torch.float32:
            model.to(dtype)
            model.config.torch_dtype = dtype
        return loaded  # type: ignore[no-any-return]

    def save_pretrained(self, save_directory: str | PathLike[str], *arguments: Any, **options: Any) -> None:
        """Save as transformers does, with the image processor that goes with the network's input size."""
        super().save_pretrained(save_directory, *arguments, **options)
        self.config.save_processor(Path(save_directory))

    def _init_weights(self, module: Any) -> None:
        """Fill the index tables: the network does so when it is built, but transformers 5 builds it without memory."""
        if isinstance(module, WindowAttention):
            module.relative_position_index.copy_(relative_position_index(module.window))

    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None, return_dict: bool | None = None
    ) -> ImageSegmentationOutput | tuple[Tensor, ...]:
        """Map normalised (N, 3, H, W), sides multiples of 32, to logits; `labels` (N, 1, H, W) of 0 to 1 add a loss.

        Pictures of another floating-point dtype are cast to the model's. The loss reaches every parameter: to the
        matte's it adds those of the coarse mattes and edges that a BiRefNet is supervised with.

        Raises:
            ValueError: the pictures or labels have another shape, or are whole numbers.
        """
        _check_pictures(pixel_values)
        if labels is not None:
            _check_labels(labels, pixel_values)
        pixels = pixel_values.to(self.dtype)
        if labels is None:
            output = ImageSegmentationOutput(logits=self._network[0](pixels))
        else:
            outputs = self._network[0].forward_training(pixels)
            output = ImageSegmentationOutput(loss=_loss(outputs, labels), logits=outputs.logits)
        as_object = self.config.return_dict if return_dict is None else return_dict
        return output if as_object else output.to_tuple()


def _check_pictures(pixels: Tensor) -> None:
    if pixels.ndim != 4 or pixels.shape[1] != 3 or 0 in pixels.shape:
        raise ValueError(f"pixel_values are (pictures, 3, height, width), not {tuple(pixels.shape)}")
    if not pixels.is_floating_point():
        kind = str(pixels.dtype).removeprefix("torch.")
        raise ValueError(
            f"pixel_values are {kind}, but the network takes normalised pictures, float32 about 0: "
            "BiRefNetImageProcessor makes them from pictures of 0 to 255"
        )
    BiRefNet.check_size(pixels)


def _check_labels(labels: Tensor, pixels: Tensor) -> None:
    expected = (pixels.shape[0], 1, *pixels.shape[-2:])
    if tuple(labels.shape) != expected:
        raise ValueError(f"labels are {expected} for these pictures, a matte of 0 to 1 each, not {tuple(labels.shape)}")
    low, high = (float(end) for end in labels.aminmax())
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise ValueError(f"labels are mattes of 0 to 1, and these go from {low:g} to {high:g}: divide by 255?")


def _loss(outputs: TrainingOutputs, labels: Tensor) -> Tensor:
    """Return the binary cross-entropy of the matte, of the coarse mattes and, weighed 0.3, of the edges.

    Where an edge is expected is the matte's gradient, from 0 to 1. Source: supervision as in Zheng et al. (2024).
    """
    truth = labels.float()
    loss = F.binary_cross_entropy_with_logits(outputs.logits.float(), truth)
    for side, edge in zip(outputs.sides, outputs.edges, strict=True):
        small = F.interpolate(truth, size=side.shape[-2:], mode="area")
        largest = F.max_pool2d(small, 3, 1, 1)
        gradient = largest + F.max_pool2d(-small, 3, 1, 1)
        loss = loss + F.binary_cross_entropy_with_logits(side.float(), small)
        loss = loss + 0.3 * F.binary_cross_entropy_with_logits(edge.float(), gradient)
    return loss


def _dtype_called(asked: Any, name: str, hub_options: dict[str, Any]) -> torch.dtype:
    """Return the dtype that an argument means: None, a dtype, its name, or 'auto' for that of most weights."""
    if asked is None:
        return torch.float32
    if asked != "auto":
        dtype: torch.dtype = getattr(torch, asked) if isinstance(asked, str) else asked
        return dtype
    with safe_open(cached_file(name, WEIGHTS, **hub_options), "pt") as file:
        kinds = Counter(file.get_slice(key).get_dtype() for key in file.keys())  # noqa: SIM118
    floats = [_SAFETENSORS_DTYPES[kind] for kind, _ in kinds.most_common() if kind in _SAFETENSORS_DTYPES]
    return floats[0] if floats else torch.float32


def _published_values(name: str, hub_options: dict[str, Any]) -> dict[str, Any]:
    """Return what the config of published weights lacks: the network's shape, and its input where that is known."""
    size = native_size(variant(name)) if is_hub_id(name) else PUBLISHED_SIZE
    return {**asdict(_published_geometry(name, hub_options)), **size.to_config()}


def _published_geometry(name: str, hub_options: dict[str, Any]) -> Geometry:
    """Return the shape of weights whose config has none: by the registry, else by the shapes in their header."""
    if is_hub_id(name) and (backbone := variant(name).backbone):
        return Geometry(backbone)
    with safe_open(cached_file(name, WEIGHTS, **hub_options), "pt") as file:
        return geometry_from_keys({key: file.get_slice(key).get_shape() for key in file.keys()})  # noqa: SIM118

"""BiRefNet as a transformers model, for code that wants `from_pretrained`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any

import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput, cached_file

from birefvideo.family.checkpoints import geometry_from_config, geometry_from_keys
from birefvideo.family.hub import WEIGHTS
from birefvideo.family.variants import is_hub_id, variant
from birefvideo.network.birefnet import BiRefNet, Geometry
from birefvideo.network.swin import WindowAttention, relative_position_index

_HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")


class BiRefNetConfig(PretrainedConfig):  # type: ignore[misc]
    """The fields of `network.Geometry`; the published configs carry none of them and mean the defaults."""

    model_type = "birefnet"

    def __init__(self, **values: Any) -> None:
        for name, default in asdict(Geometry()).items():
            setattr(self, name, values.pop(name, default))
        super().__init__(**values)

    def geometry(self) -> Geometry:
        """Return the network's shape."""
        return geometry_from_config(self.to_dict())


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

        Raises:
            ModelError: the network's shape is not known.
        """
        name = str(pretrained_model_name_or_path)
        if config is None:
            hub_options = {key: options[key] for key in _HUB_OPTIONS if key in options}
            values, _ = BiRefNetConfig.get_config_dict(name, **hub_options)
            geometry = geometry_from_config(values) if "backbone" in values else _published_geometry(name, hub_options)
            config = BiRefNetConfig.from_dict({**values, **asdict(geometry)})
        options.setdefault("use_safetensors", True)
        return super().from_pretrained(name, *arguments, config=config, **options)  # type: ignore[no-any-return]

    def _init_weights(self, module: Any) -> None:
        """Fill the index tables: the network does so when it is built, but transformers 5 builds it without memory."""
        if isinstance(module, WindowAttention):
            module.relative_position_index.copy_(relative_position_index(module.window))

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> ImageSegmentationOutput:
        """Map normalised (N, 3, H, W), sides multiples of 32, to logits; `labels` (N, 1, H, W) of 0 to 1 add a loss."""
        logits = self._network[0](pixel_values)
        loss = None if labels is None else F.binary_cross_entropy_with_logits(logits, labels)
        return ImageSegmentationOutput(loss=loss, logits=logits)


def _published_geometry(name: str, hub_options: dict[str, Any]) -> Geometry:
    """Return the shape of weights whose config has none: by the registry, else by the shapes in their header."""
    if is_hub_id(name) and (backbone := variant(name).backbone):
        return Geometry(backbone)
    with safe_open(cached_file(name, WEIGHTS, **hub_options), "pt") as file:
        return geometry_from_keys({key: file.get_slice(key).get_shape() for key in file.keys()})  # noqa: SIM118

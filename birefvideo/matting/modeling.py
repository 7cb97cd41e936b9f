"""BiRefNet as a transformers model, for code that wants `from_pretrained`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from birefvideo.matting.checkpoints import geometry_from_config
from birefvideo.network.birefnet import BiRefNet, Geometry


class BiRefNetConfig(PretrainedConfig):  # type: ignore[misc]
    """The fields of `network.Geometry`; the published configs carry none of them and mean the defaults."""

    model_type = "birefnet"

    def __init__(self, **values: Any) -> None:
        for name, default in asdict(Geometry()).items():
            setattr(self, name, values.pop(name, default))
        super().__init__(**values)

    def geometry(self) -> Geometry:
        """The network's shape."""
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
    base_model_prefix = "birefnet"
    main_input_name = "pixel_values"

    def __init__(self, config: BiRefNetConfig) -> None:
        super().__init__(config)
        self.birefnet = BiRefNet(config.geometry())
        self.post_init()

    def _init_weights(self, module: Any) -> None:
        """The network initialises itself when it is built."""

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> ImageSegmentationOutput:
        """Normalised (N, 3, H, W), sides multiples of 32 -> logits; `labels` (N, 1, H, W) in [0, 1] add the loss."""
        logits = self.birefnet(pixel_values)
        loss = None if labels is None else F.binary_cross_entropy_with_logits(logits, labels)
        return ImageSegmentationOutput(loss=loss, logits=logits)

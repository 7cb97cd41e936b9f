"""The config of BiRefNet as a transformers model."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from transformers import PretrainedConfig

from birefvideo.family.checkpoints import geometry_from_config
from birefvideo.matting.input_size import InputSize
from birefvideo.network.birefnet import Geometry


class BiRefNetConfig(PretrainedConfig):  # type: ignore[misc]
    """The fields of `network.Geometry` and the entries of `InputSize.to_config`.

    The published configs carry none of them and mean the defaults.
    """

    model_type = "birefnet"

    def __init__(self, **values: Any) -> None:
        for name, default in asdict(Geometry()).items():
            setattr(self, name, values.pop(name, default))
        values.setdefault("id2label", {0: "background", 1: "foreground"})
        super().__init__(**values)

    def geometry(self) -> Geometry:
        """Return the network's shape."""
        return geometry_from_config(self.to_dict())

    def native_size(self) -> InputSize | None:
        """Return the size at which the network is to see pictures, or None where the config does not say.

        Raises:
            ValueError: what it says is no size.
        """
        return InputSize.from_config(self.to_dict())

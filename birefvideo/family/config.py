"""The config of BiRefNet as a transformers model."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
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

    def save_processor(self, folder: Path) -> None:
        """Write the config of the image processor that goes with the network, where its input size is known.

        That class itself needs Pillow, which saving a network does not.

        Raises:
            OSError: the disk refuses.
        """
        size = self.native_size()
        if size is not None:
            values = {"image_processor_type": "BiRefNetImageProcessor", **size.to_config()}
            (folder / "preprocessor_config.json").write_text(json.dumps(values, indent=2) + "\n")

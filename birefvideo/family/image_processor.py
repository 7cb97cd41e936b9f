"""Pictures to the network's input and its logits back to mattes, as transformers' image processors do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import BaseImageProcessor, BatchFeature

from birefvideo.matting.input_size import CONFIG_KEYS, InputSize
from birefvideo.matting.slots import IMAGENET_MEAN, IMAGENET_STD


class BiRefNetImageProcessor(BaseImageProcessor):  # type: ignore[misc]
    """Scales pictures to a checkpoint's own input size and normalises them by ImageNet's mean and deviation."""

    model_input_names = ("pixel_values",)

    def __init__(self, **values: Any) -> None:
        sizes = {key: values.pop(key) for key in CONFIG_KEYS if key in values}
        super().__init__(**values)
        for key, value in (sizes or {"input_size": [1024, 1024]}).items():
            setattr(self, key, value)

    @property
    def native_size(self) -> InputSize:
        """The size at which the network is to see pictures."""
        size = InputSize.from_config(self.to_dict())
        assert size is not None  # __init__ sets one
        return size

    def __call__(self, images: Any, return_tensors: str | None = "pt", **options: Any) -> BatchFeature:
        """As `preprocess`."""
        return self.preprocess(images, return_tensors, **options)

    def preprocess(self, images: Any, return_tensors: str | None = "pt") -> BatchFeature:
        """Return `pixel_values`, float32 (N, 3, height, width), for one picture or a list of pictures.

        A picture is a PIL image, an array (height, width, 3) or a tensor (3, height, width), both of 0 to 255. Where
        the network keeps a picture's aspect, those of one call must have one shape.

        Raises:
            ValueError: a picture is something else, or the pictures differ in shape.
        """
        pictures = images if isinstance(images, list | tuple) else [images]
        pixels = [self._pixels(_tensor(picture)) for picture in pictures]
        if len({one.shape for one in pixels}) > 1:
            raise ValueError("the pictures differ in shape, and this network keeps it: pass them one by one")
        return BatchFeature({"pixel_values": torch.cat(pixels)}, tensor_type=return_tensors)

    def post_process_matting(self, outputs: Any, target_sizes: Sequence[tuple[int, int]] | None = None) -> list[Tensor]:
        """Return each picture's matte, float32 (height, width) from 0 to 1, at `target_sizes` (height, width)."""
        alphas = outputs.logits.float().sigmoid()
        sizes = target_sizes or [tuple(alphas.shape[-2:])] * len(alphas)
        return [_scaled(alpha[None], size)[0, 0] for alpha, size in zip(alphas, sizes, strict=True)]

    def post_process_semantic_segmentation(
        self, outputs: Any, target_sizes: Sequence[tuple[int, int]] | None = None
    ) -> list[Tensor]:
        """Return each picture's classes, int64 (height, width): 1 where the foreground is more than half there."""
        return [(alpha > 0.5).long() for alpha in self.post_process_matting(outputs, target_sizes)]

    def _pixels(self, picture: Tensor) -> Tensor:
        width, height = self.native_size.network_size(picture.shape[-1], picture.shape[-2])
        mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        return (_scaled(picture[None], (height, width)) / 255 - mean) / deviation


def _tensor(picture: Any) -> Tensor:
    """Return a picture as float32 (3, height, width) of 0 to 255."""
    if isinstance(picture, Tensor):
        pixels = picture
    elif hasattr(picture, "convert"):
        if picture.mode.startswith(("I", "F")):
            raise ValueError(f"a picture of mode {picture.mode} has white anywhere; convert it to 8 bits first")
        pixels = torch.from_numpy(np.array(picture.convert("RGB"))).movedim(-1, 0)
    elif isinstance(picture, np.ndarray):
        pixels = torch.from_numpy(np.ascontiguousarray(picture)).movedim(-1, 0)
    else:
        raise ValueError(f"{type(picture).__name__} is no picture: give a PIL image, an array or a tensor")
    if pixels.ndim != 3 or pixels.shape[0] != 3 or not pixels.numel():
        raise ValueError(f"a picture is three channels of height × width, not {tuple(pixels.shape)}")
    is_floating, pixels = pixels.is_floating_point(), pixels.float()
    least, most = float(pixels.min()), float(pixels.max())
    if not 0 <= least <= most <= 255 or (0 < most <= 1 and is_floating):
        raise ValueError(f"a picture's values are 0 to 255, and these are {least:g} to {most:g}: scale them first")
    return pixels


def _scaled(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (N, C, H, W) at `size` (height, width), bilinearly, by a filter as wide as an axis shrinks."""
    if tuple(pixels.shape[-2:]) == tuple(size):
        return pixels
    return F.interpolate(pixels, size=tuple(size), mode="bilinear", align_corners=False, antialias=True)

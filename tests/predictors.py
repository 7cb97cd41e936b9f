"""Predictors of a bare network, as tests want them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from birefvideo.matting.devices import Device
from birefvideo.matting.engine import Engine
from birefvideo.matting.input_size import InputSize
from birefvideo.matting.predict import Predictor


def engine_of(model: nn.Module, size: InputSize, device: torch.device, **options: Any) -> Engine:
    """An Engine on PyTorch's device."""
    return Engine(model, size, Device.of(device), **options)


def predictor_of(
    model: nn.Module, size: InputSize, device: torch.device, *, batch: int | None = None, **options: Any
) -> Predictor:
    """A Predictor for one clip, with batches of so many frames."""
    return Predictor(engine_of(model, size, device, **options), batch)

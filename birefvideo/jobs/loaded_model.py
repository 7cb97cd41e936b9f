"""A loaded network with its checkpoint and device, ready for one clip after another."""

from __future__ import annotations

import torch

from birefvideo.errors import OptionError, named
from birefvideo.family import checkpoints
from birefvideo.frames import VideoInfo
from birefvideo.jobs.options import Options
from birefvideo.matting.devices import find_device
from birefvideo.matting.engine import Engine
from birefvideo.matting.forks import about_to_compute, check_not_forked
from birefvideo.matting.predict import Predictor
from birefvideo.matting.slots import PictureKind
from birefvideo.memory import check_memory

_BYTES_A_NETWORK_PIXEL = 180
"""Memory that the smallest network takes for a pixel that it sees, measured on a CPU; larger ones take more."""
_BYTES_A_WAITING_PIXEL = 8
"""Memory of a picture that waits for its batch to be full, with its alpha."""


class LoadedModel:
    """The network that `options` choose, on the device that they choose.

    Raises:
        BirefvideoError: there is no such model or device, or the weights do not fit.
    """

    def __init__(self, options: Options) -> None:
        about_to_compute()
        self.options = options
        self.device = find_device(options.device)
        self.checkpoint = checkpoints.find(options.model, has_gpu=self.device.runs_large_models)
        dtype = self.device.dtype_called(options.dtype)
        self._digest = self.checkpoint.digest()
        model = checkpoints.load(self.checkpoint)
        self.size = self.checkpoint.size.overridden(options.size)
        self.engine = Engine(model, self.size, self.device, dtype=dtype)

    def predictor(self, batch: int | None = None) -> Predictor:
        """Return a Predictor for one clip, with batches of `batch` frames, by default of as many as the options say."""
        return Predictor(self.engine, batch or self.options.batch)

    def check_fits(self, info: VideoInfo) -> None:
        """Refuse a batch, or a size of the network's input, that the host's memory cannot hold.

        Raises:
            OptionError: says how much they take, and how much is free.
        """
        batch = self.options.batch or 1
        width, height = self.size.network_size(info.width, info.height)
        on_device = self.device.kind.scales_pictures
        waiting = info.width * info.height * _BYTES_A_WAITING_PIXEL
        needed = batch * (waiting + width * height * (0 if on_device else _BYTES_A_NETWORK_PIXEL))
        what = f"batches of {batch} at {width}×{height}" if batch > 1 else f"frames at {width}×{height}"
        name = named("batch") if self.options.batch and batch > 1 else named("size")
        check_memory(needed, what, f"choose a smaller {name}", OptionError)

    def settings(self, info: VideoInfo) -> dict[str, str | int | tuple[int, int]]:
        """Return what decides the bytes of a clip's alpha, for the manifest."""
        size = self.size.network_size(info.width, info.height, info.sample_aspect_ratio)
        kind = PictureKind(info.width, info.height, info.pix_fmt, info.colour.is_hdr)
        form = {"form": self.engine.form} if self.engine.form else {}
        return {
            "model": self.checkpoint.name,
            "weights": self._digest,
            "geometry": str(self.checkpoint.geometry),
            "size": size,
            "device": self.device.name,
            "dtype": self.engine.dtype,
            "batch": self.options.batch or self.engine.batch_for(kind, info.sample_aspect_ratio),
            "threads": torch.get_num_threads(),
            **form,
        }


def check_machine(options: Options) -> None:
    """Check that the device, its dtype and the model are here, before any input is opened.

    Raises:
        BirefvideoError: one of them is not.
    """
    check_not_forked()
    device = find_device(options.device)
    device.dtype_called(options.dtype)
    checkpoints.find(options.model, has_gpu=device.runs_large_models)

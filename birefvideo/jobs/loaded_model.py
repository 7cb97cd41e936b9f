"""A loaded network with its checkpoint and device, ready for one clip after another."""

from __future__ import annotations

import torch

from birefvideo.frames import VideoInfo
from birefvideo.jobs.options import Options
from birefvideo.matting.devices import choose_device, choose_dtype
from birefvideo.matting.predict import Predictor
from birefvideo.matting.slots import PictureKind
from birefvideo.models import checkpoints


class LoadedModel:
    """The network that `options` choose, on the device that they choose.

    Raises:
        BirefvideoError: there is no such model or device, or the weights do not fit.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.device = choose_device(options.device)
        self.checkpoint = checkpoints.find(options.model, has_gpu=self.device.type == "cuda")
        dtype = choose_dtype(self.device, options.dtype)
        self._digest = self.checkpoint.digest()
        model = checkpoints.load(self.checkpoint)
        self.size = self.checkpoint.size.overridden(options.size)
        self.predictor = Predictor(model, self.size, self.device, dtype=dtype)

    def settings(self, info: VideoInfo) -> dict[str, str | int | tuple[int, int]]:
        """Return what decides the bytes of a clip's alpha, for the manifest."""
        size = self.size.network_size(info.width, info.height)
        cuda = self.device.type == "cuda"
        kind = PictureKind(info.width, info.height, info.pix_fmt, info.colour.is_hdr)
        return {
            "model": self.checkpoint.name,
            "weights": self._digest,
            "geometry": str(self.checkpoint.geometry),
            "size": size,
            "device": torch.cuda.get_device_name(self.device) if cuda else str(self.device),
            "dtype": self.predictor.report.dtype,
            "batch": self.options.batch or self.predictor.batch_for(kind),
            "threads": torch.get_num_threads(),
        }


def check_machine(options: Options) -> None:
    """Check that the device, its dtype and the model are here, before any input is opened.

    Raises:
        BirefvideoError: one of them is not.
    """
    device = choose_device(options.device)
    choose_dtype(device, options.dtype)
    checkpoints.find(options.model, has_gpu=device.type == "cuda")

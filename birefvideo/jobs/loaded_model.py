"""A loaded network with its checkpoint and device, ready for one clip after another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy, deepcopy

import torch

from birefvideo.errors import ModelError, OptionError, named
from birefvideo.family import checkpoints
from birefvideo.family.native_size import PUBLISHED_SIZE
from birefvideo.frames import VideoInfo
from birefvideo.jobs.engines import Here
from birefvideo.jobs.model_identity import ModelIdentity
from birefvideo.jobs.model_in_memory import KeptModel, NetworkInMemory
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import Plan
from birefvideo.matting.devices import Device, device_names, find_device
from birefvideo.matting.engine import Engine
from birefvideo.matting.forks import about_to_compute, check_not_forked
from birefvideo.matting.input_size import InputSize
from birefvideo.matting.predict import Predictor
from birefvideo.matting.slots import PictureKind
from birefvideo.memory import check_memory

_BYTES_A_NETWORK_PIXEL = 180
"""Memory that the smallest network takes for a pixel that it sees, measured on a CPU; larger ones take more."""
_BYTES_A_WAITING_PIXEL = 8
"""Memory of a picture that waits for its batch to be full, with its alpha."""
_BYTES_A_PROCESS, _BYTES_A_PIXEL = 400 << 20, 130
"""Memory of a process that computes, without its network, and what it takes for a pixel of the clip."""


class LoadedModel(KeptModel):
    """The network that `options` choose, on the device that they choose; of one in memory, a copy as it is now.

    It may run several jobs at once, in any threads.

    Raises:
        BirefvideoError: there is no such model or device, or the weights do not fit.
    """

    def __init__(self, options: Options) -> None:
        about_to_compute()
        self.options = options
        self.device = find_device(options.device)
        dtype = self.device.dtype_called(options.dtype)
        network, self.identity, self.native = _network_of(options, self.device)
        self.size = self.native.overridden(options.size)
        self.engine = Engine(network, self.size, self.device, dtype=dtype, mirrored=options.mirror)

    def __str__(self) -> str:
        return str(self.options.model)

    @property
    def kind(self) -> str:
        """The kind of device that it runs on, such as 'cpu'."""
        return self.device.kind.name

    @property
    def place(self) -> str:
        """Where it runs, as PyTorch calls it."""
        return str(self.device)

    @property
    def workers(self) -> int:
        """How many processes the options ask for; this is one of them."""
        return len(device_names(self.options.device))

    @property
    def kept(self) -> LoadedModel:
        """Itself."""
        return self

    @property
    def settled(self) -> Mapping[str, tuple[object, ...]]:
        """Device, arithmetic, size and batch."""
        own = self.options
        return {
            "device": (own.device, str(self.device), self.device.kind.name),
            "dtype": (own.dtype, self.engine.dtype),
            "size": (own.size,),
            "mirror": (own.mirror,),
            "batch": (own.batch,),
        }

    def for_job(self, options: Options) -> LoadedModel:
        """Return the same network with the batch of another job's options."""
        other = copy(self)
        other.options = options
        return other

    def predictor(self, batch: int | None = None, *, alone: bool = False) -> Predictor:
        """Return a Predictor for one clip, with batches of `batch` frames, by default of as many as the options say.

        `alone` is for a single picture, which then comes sooner.
        """
        return Predictor(self.engine, batch or self.options.batch, alone=alone)

    @contextmanager
    def at_work(self, plan: Plan) -> Iterator[Here]:
        """Give what does the segments of a job."""
        yield Here(self.predictor(plan.settings["batch"]))

    def check_fits(self, info: VideoInfo, processes: int | None = None) -> None:
        """Refuse a batch, a size of the network's input, or so many processes, that the host's memory cannot hold.

        Raises:
            OptionError: says how much they take, and how much is free.
        """
        batch = self.options.batch or 1
        width, height = self.size.network_size(info.width, info.height)
        on_device = self.device.kind.scales_pictures
        waiting = info.width * info.height * _BYTES_A_WAITING_PIXEL
        needed = batch * (waiting + width * height * (0 if on_device else _BYTES_A_NETWORK_PIXEL))
        processes = processes or self.workers
        if processes > 1:
            weights = sum(value.nbytes for value in self.engine.network.state_dict().values())
            others = weights * (not on_device) + info.width * info.height * _BYTES_A_PIXEL + _BYTES_A_PROCESS
            what, remedy = f"{processes} processes at {width}×{height}", f"choose fewer with {named('device')}"
            check_memory(processes * needed + (processes - 1) * others, what, remedy, OptionError)
        what = f"batches of {batch} at {width}×{height}" if batch > 1 else f"frames at {width}×{height}"
        name = named("batch") if self.options.batch and batch > 1 else named("size")
        check_memory(needed, what, f"choose a smaller {name}", OptionError)

    def settings(self, info: VideoInfo) -> dict[str, str | int | tuple[int, int]]:
        """Return what decides the bytes of a clip's alpha, for the manifest."""
        size = self.size.network_size(info.width, info.height, info.sample_aspect_ratio)
        kind = PictureKind(info.width, info.height, info.pix_fmt, info.colour.is_hdr)
        form = {"form": self.engine.form} if self.engine.form else {}
        mirrored = {"mirrored": True} if self.options.mirror else {}
        return {
            "model": self.identity.name,
            "weights": self.identity.digest,
            "geometry": self.identity.geometry,
            "size": size,
            "device": self.device.name,
            "dtype": self.engine.dtype,
            "batch": self.options.batch or self.engine.batch_for(kind, info.sample_aspect_ratio),
            "threads": threads_each(self.options),
            **mirrored,
            **form,
        }


class LastModel:
    """Loads models for one job after another, and keeps the last: two may not fit into a GPU's memory."""

    def __init__(self) -> None:
        self._kept: LoadedModel | None = None

    def __call__(self, options: Options) -> LoadedModel:
        """Return the model that `options` choose, as `LoadedModel` does."""
        if self._kept is None or self._kept.options != options:
            self._kept = None
            self._kept = LoadedModel(options)
        return self._kept


def loaded_model(options: Options) -> LoadedModel:
    """Return the model that options hold, or load the one that they name, on the first of their devices.

    Raises:
        BirefvideoError: as `LoadedModel`.
    """
    if isinstance(options.model, KeptModel):
        check_not_forked()
        return options.model.kept.for_job(options)
    return LoadedModel(options)


def check_one_device(options: Options) -> None:
    """Refuse several devices where there is no job to share out.

    Raises:
        OptionError: as above.
    """
    if len(device_names(options.device)) > 1:
        one = device_names(options.device)[0]
        raise OptionError(
            f"{named('device')} is {options.device!r}, and several share jobs that make files: give {one!r}, or "
            "call birefvideo.matte"
        )


def threads_each(options: Options) -> int:
    """Return how many threads compute in each of the processes that options ask for."""
    return max(1, torch.get_num_threads() // len(device_names(options.device)))


def check_machine(options: Options) -> None:
    """Check that the device, its dtype and the model are here, before any input is opened.

    Raises:
        BirefvideoError: one of them is not.
    """
    check_not_forked()
    if isinstance(options.model, KeptModel):
        return
    for name in dict.fromkeys(device_names(options.device)):
        device = find_device(name)
        device.dtype_called(options.dtype)
    if isinstance(options.model, str):
        checkpoints.find(options.model, has_gpu=device.runs_large_models)


def weights_digest(network: torch.nn.Module) -> str:
    """Return the SHA-256 of a network's weights in memory, in hex: names, types, shapes and values, in order of names.

    The same weights in another type are others.
    """
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _network_of(options: Options, device: Device) -> tuple[torch.nn.Module, ModelIdentity, InputSize]:
    """Return a network of the caller's, or from a file, and the size at which it is to see pictures."""
    if isinstance(options.model, NetworkInMemory):
        return _copied(options.model)
    checkpoint = checkpoints.find(str(options.model), has_gpu=device.runs_large_models)
    digest = checkpoint.digest()
    network = checkpoints.load(checkpoint)
    name, geometry = checkpoint.name, str(checkpoint.geometry)
    identity = ModelIdentity(name, digest, geometry, checkpoint.reason, network.geometry.backbone)
    return network, identity, checkpoint.size


def _copied(model: NetworkInMemory) -> tuple[torch.nn.Module, ModelIdentity, InputSize]:
    given = model.network
    if any(value.is_meta for value in given.state_dict().values()):
        raise ModelError(f"the {model} has no weights yet: load them, or move it off the device 'meta'")
    # Copied first: what is told of it is told of what runs, should it be trained on meanwhile.
    network = deepcopy(given.birefnet)
    identity = ModelIdentity(str(model), weights_digest(network), str(network.geometry), "", network.geometry.backbone)
    return network, identity, given.config.native_size() or PUBLISHED_SIZE

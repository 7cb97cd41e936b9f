"""A loaded model that is kept between calls, and the one-line cut-out of a picture."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

from birefvideo.api import matte, mattes
from birefvideo.errors import OptionError, named, with_arguments
from birefvideo.family import checkpoints
from birefvideo.frames import Alpha, Frame
from birefvideo.jobs.arguments import EdgeArguments, FrameArguments, MatteArguments
from birefvideo.jobs.cut_picture import cut_picture
from birefvideo.jobs.given_picture import Picture, as_file
from birefvideo.jobs.loaded_model import LoadedModel, check_machine, check_one_device, loaded_model
from birefvideo.jobs.model_in_memory import KeptModel, NetworkInMemory
from birefvideo.jobs.options import Options
from birefvideo.jobs.result import Result
from birefvideo.matting.devices import find_device

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from PIL.Image import Image
    from typing_extensions import Unpack

    from birefvideo.family.modeling import BiRefNetForImageSegmentation
    from birefvideo.jobs.option_values import RGB

Output = Literal["image", "array", "alpha"]
"""What `cutout` returns."""


class PictureArguments(EdgeArguments, total=False):
    """The options of `Session.cutout`, as keywords: the types that each takes."""

    background: str | PathLike[str] | RGB | None
    fit: str
    despill: str | RGB | None
    ignore_alpha: bool


class CutoutArguments(PictureArguments, total=False):
    """The options of `cutout`, as keywords: those of `Session.cutout`, and those that choose and load the model."""

    model: str | PathLike[str] | KeptModel | NetworkInMemory | BiRefNetForImageSegmentation
    size: int | tuple[int, int] | str | None
    device: str | torch.device
    dtype: str | torch.dtype


class Session(KeptModel):
    """A model that is loaded once, when the session is made, and runs any number of jobs.

    Threads may share a session: they take turns on the device, batch by batch. What it holds of memory goes with it.

    Args:
        model: as of `Options`, or a network as `load_model` returns it: a copy is taken, so that later training does
            not change the session.
        device: as of `Options`; the session's calls cannot choose another.
        dtype: likewise.
        size: likewise.
        batch: as of `Options`; a call may choose another.

    Raises:
        BirefvideoError: there is no such model or device, or a value is not allowed.
    """

    def __init__(
        self,
        model: str | PathLike[str] | BiRefNetForImageSegmentation = "auto",
        *,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        size: int | tuple[int, int] | str | None = None,
        batch: int | None = None,
    ) -> None:
        options = Options(model=model, device=device, dtype=dtype, size=size, batch=batch)
        if isinstance(options.model, KeptModel):
            raise OptionError(f"{named('model')} is a Session, which is loaded already: use it itself")
        check_one_device(options)
        check_machine(options)
        self._kept = LoadedModel(options)

    def __repr__(self) -> str:
        return f"Session({self.name!r}, device={self.device!r}, dtype={self.dtype!r})"

    def __str__(self) -> str:
        return str(self._kept)

    def __reduce__(self) -> tuple[Callable[..., Session], tuple[object, ...]]:
        own = self._kept.options
        if isinstance(own.model, NetworkInMemory):
            raise TypeError(
                "a Session of a network in memory cannot go to another process: save the network with "
                "save_pretrained, and make a Session of that folder there"
            )
        return _made_again, (own.model, own.device, own.dtype, own.size, own.batch)

    @property
    def name(self) -> str:
        """What the model is called."""
        return self._kept.identity.name

    @property
    def device(self) -> str:
        """Where it runs, as PyTorch calls it."""
        return str(self._kept.device)

    @property
    def dtype(self) -> str:
        """What it computes in, such as 'float32'."""
        return self._kept.engine.dtype

    @property
    def kept(self) -> LoadedModel:
        """The loaded model, for the library's own use."""
        return self._kept

    @property
    def settled(self) -> Mapping[str, tuple[object, ...]]:
        """The options that calls cannot choose, for the library's own use."""
        return self._kept.settled

    def matte(
        self,
        source: str | PathLike[str],
        out: str | PathLike[str] | None = None,
        to: str | Sequence[str] | None = None,
        **arguments: Unpack[MatteArguments],
    ) -> Result:
        """Matte one clip into files with this model; see `birefvideo.matte`."""
        return matte(source, out, to, **_with_model(arguments, self))

    def mattes(
        self, source: str | PathLike[str], *, options: Options | None = None, **choices: Unpack[FrameArguments]
    ) -> Generator[Frame, None, None]:
        """Return an iterator over a clip's frames, made with this model; see `birefvideo.mattes`."""
        return mattes(source, options=options, **_with_model(choices, self))

    @overload
    def cutout(
        self, image: Picture, *, output: Literal["image"] = "image", **choices: Unpack[PictureArguments]
    ) -> Image: ...

    @overload
    def cutout(
        self, image: Picture, *, output: Literal["array"], **choices: Unpack[PictureArguments]
    ) -> NDArray[np.uint8]: ...

    @overload
    def cutout(self, image: Picture, *, output: Literal["alpha"], **choices: Unpack[PictureArguments]) -> Alpha: ...

    def cutout(
        self, image: Picture, *, output: Output = "image", **choices: Unpack[PictureArguments]
    ) -> Image | NDArray[np.uint8] | Alpha:
        """Cut one picture out with this model; see `birefvideo.cutout`."""
        return _cutout(image, output, self._options(None, _without_none(choices)))

    def _options(self, options: Options | None, choices: Mapping[str, Any]) -> Options:
        return (options or Options()).changed(**_with_model(choices, self))


def _with_model(choices: Mapping[str, Any], session: Session) -> Any:
    if "model" in choices:
        raise OptionError(f"{named('model')} is the session's own: leave it out, or call birefvideo's functions")
    return {**choices, "model": session}


@overload
def cutout(image: Picture, *, output: Literal["image"] = "image", **choices: Unpack[CutoutArguments]) -> Image: ...


@overload
def cutout(image: Picture, *, output: Literal["array"], **choices: Unpack[CutoutArguments]) -> NDArray[np.uint8]: ...


@overload
def cutout(image: Picture, *, output: Literal["alpha"], **choices: Unpack[CutoutArguments]) -> Alpha: ...


def cutout(
    image: Picture, *, output: Output = "image", **choices: Unpack[CutoutArguments]
) -> Image | NDArray[np.uint8] | Alpha:
    """Cut the people out of one picture.

    The model stays loaded for the next call, until a call asks for another one; threads may call at the same time. A
    `Session` holds several, and a network in memory, for as long as you keep it.

    Args:
        image: a file's name, its bytes, a file open as 'rb', a PIL image, or codes in the order red, green, blue,
            alpha: uint8 (height, width), (height, width, 3) or (height, width, 4). EXIF's orientation counts.
        output: 'image': a PIL image, RGBA, with the picture's ICC profile in its `info`; 'array': uint8 (height, width,
            4); 'alpha': the matte, float32 (height, width), 0 to 1. Colour is not multiplied by alpha, and is the
            picture's own where alpha is 255. More than 8 bits are rounded to 8, and HDR becomes sRGB.
        **choices: options as of `Options`, and `background`: None leaves it transparent.

    Raises:
        InputError: it is no picture, or damaged so that nothing of it can be decoded.
        BirefvideoError: an option, the model or the device cannot be used.

    Warns with a UserWarning where the picture is damaged, or nobody was found in it.
    """
    return _cutout(image, output, Options(**_without_none(choices)))


def _cutout(image: Picture, output: Output, options: Options) -> Image | NDArray[np.uint8] | Alpha:
    if output not in get_args(Output):
        raise OptionError(f"{named('output')} is {output!r}: give one of {', '.join(get_args(Output))}")
    for name in options.directions:
        raise OptionError(f"{named(name)} is for files: pass it to birefvideo.matte, which takes pictures too")
    check_one_device(options)
    check_machine(options)
    with as_file(image) as path:
        model = _model_for(options)
        cut = cut_picture(path, options, model)
    for line in cut.warnings:
        warnings.warn(with_arguments(line), stacklevel=3)
    if output == "alpha":
        return cut.alpha
    if output == "array":
        return cut.rgba
    from PIL import Image

    made = Image.fromarray(cut.rgba)
    if cut.profile:
        made.info["icc_profile"] = cut.profile
    return made


def _without_none(choices: Mapping[str, Any]) -> Any:
    """Return the options that were given: None is each one's default, where it is allowed at all."""
    return {name: value for name, value in choices.items() if value is not None}


def _made_again(model: str, device: str, dtype: str, size: int | tuple[int, int] | None, batch: int | None) -> Session:
    return Session(model, device=device, dtype=dtype, size=size, batch=batch)


class _LastModel:
    """The model of the last call of `cutout`."""

    lock = threading.Lock()
    key: tuple[object, ...] | None = None
    """What it was loaded of."""
    model: LoadedModel | None = None


def _model_for(options: Options) -> LoadedModel:
    """Return the model that options hold, or the last one if it is still what they name, or load it."""
    if not isinstance(options.model, str):
        return loaded_model(options)
    device = find_device(options.device)
    checkpoint = checkpoints.find(options.model, has_gpu=device.runs_large_models)
    status = checkpoint.weights.stat()
    file = (checkpoint.weights, status.st_size, status.st_mtime_ns, status.st_ino)
    key = (*file, checkpoint.size, str(device), options.dtype, options.size)
    with _LastModel.lock:
        if _LastModel.model is None or _LastModel.key != key:
            _LastModel.model = None  # first, so that two are never in memory
            _LastModel.model, _LastModel.key = LoadedModel(options), key
        return _LastModel.model.for_job(options)

"""A picture however a program has it, as a file: what reads files reads all of them, in one way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import IOBase
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np

from birefvideo.errors import BirefvideoError, InputError
from birefvideo.hints import possible_path
from birefvideo.media.reading.open_input import check_is_file, open_input
from birefvideo.media.reading.stills import is_still
from birefvideo.paths import writing

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

Picture: TypeAlias = "str | PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image | NDArray[np.uint8]"
"""A file's name, its bytes, a file open for reading them, a PIL image, or R'G'B', R'G'B'A or grey codes, uint8 (height,
width[, 3 or 4])."""

_AS_THEY_ARE = frozenset({"1", "L", "LA", "RGB", "RGBA", "I;16", "I;16L", "I;16B"})
"""PIL's modes that a PNG holds."""
_NO_PICTURE = frozenset({"I", "F"})
"""PIL's modes whose black and white are anywhere."""


@contextmanager
def as_file(picture: Picture) -> Iterator[Path]:
    """Give the file of a picture: its own, or one that lasts as long as the block.

    Raises:
        InputError: it is nothing that a picture can be made of.
        OutputError: there is no room for the file.
    """
    if isinstance(picture, str | PathLike):
        yield possible_path(picture)
        return
    data = _bytes(picture)
    image = None if data is not None else _image(picture)
    with TemporaryDirectory(prefix="birefvideo-") as folder, called("the picture", Path(folder, "picture")) as path:
        with writing(path):
            if image is None:
                path.write_bytes(data or b"")
            else:
                _save(image, path)
        yield path


@contextmanager
def called(name: str, path: Path) -> Iterator[Path]:
    """Give a path of ours, which messages of errors in the block call by another name."""
    try:
        yield path
    except BirefvideoError as error:
        raise type(error)(error.message.replace(str(path), name)) from error


def check_is_picture(path: Path, films: str) -> None:
    """Refuse what is not the file of one picture.

    Args:
        path: the file.
        films: what is for films.

    Raises:
        InputError: says what it is instead.
    """
    if is_still(path):
        return
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a picture")
    check_is_file(path)
    open_input(path).close()  # which says of most files why they are none
    raise InputError(f"{path} is not the file of one picture; for films and animations there is {films}")


def _bytes(picture: Any) -> bytes | bytearray | memoryview | None:
    """Return a file's bytes where a picture is these, or an open file; else None."""
    if isinstance(picture, bytes | bytearray | memoryview):
        return picture
    if not isinstance(picture, IOBase):
        return None
    try:
        data = picture.read()
    except (OSError, ValueError) as error:
        raise InputError(f"the file cannot be read ({error}); open it again, or pass its name") from error
    if not isinstance(data, bytes):
        raise InputError("the file is open as text; open it as 'rb', or pass its name")
    return data


def _image(picture: Any) -> Image:
    """Return a PIL image of a picture in memory, upright, in a mode that a PNG holds."""
    from PIL import Image, ImageOps

    if not isinstance(picture, Image.Image):
        return Image.fromarray(_codes(picture))
    try:
        image: Image.Image = ImageOps.exif_transpose(picture)
    except (OSError, ValueError, SyntaxError) as error:  # it reads its file only now
        raise InputError(f"the picture cannot be read ({error}); open it again, or pass the file's name") from error
    if min(image.size) < 1:
        raise InputError(f"a picture of {image.width}×{image.height} pixels has none; give one that has")
    if image.mode in _NO_PICTURE:
        raise InputError(f"a picture of mode {image.mode} has no black and white; convert it to L or RGB first")
    if image.mode == "La":  # multiplied by alpha; of colour, PIL converts it on the way
        image = image.convert("LA")
    if image.has_transparency_data and image.mode not in ("LA", "RGBA"):
        return image.convert("RGBA")
    return image if image.mode in _AS_THEY_ARE else image.convert("RGB")


def _codes(picture: Any) -> NDArray[np.uint8]:
    allowed = "give uint8 (height, width), or (height, width, 3 or 4) in the order red, green, blue, alpha"
    if not isinstance(picture, np.ndarray):
        raise InputError(
            f"{type(picture).__name__} is no kind of picture: give a file's name, its bytes, "
            "an open file, a PIL image or an array"
        )
    is_picture = picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] in (1, 3, 4))
    if picture.dtype != np.uint8 or not is_picture or not picture.size:
        raise InputError(f"the picture is an array of {picture.dtype} {picture.shape}: {allowed}")
    return np.ascontiguousarray(picture[..., 0] if picture.shape[2:] == (1,) else picture)


def _save(image: Image, path: Path) -> None:
    try:
        image.save(path, "PNG", compress_level=0)
    except (ValueError, SyntaxError) as error:
        raise InputError(f"the picture cannot be read ({error}); open it again, or pass the file's name") from error

"""What a file is that is meant to hold weights, by its content: its name may say anything."""

from __future__ import annotations

import enum
import re
import zipfile
from pathlib import Path

from birefvideo.errors import ModelError, named

_FETCH = "download the file itself again"
_CONVERT = "birefvideo runs PyTorch weights: get the model's .safetensors or .pth file"
_UNPACK = "unpack it, and name the weights file in it"
_STARTS = (
    (b"version https://git-lfs", "a Git LFS pointer to the weights", "run git lfs pull in its folder, or " + _FETCH),
    (b"# xet version", "a pointer to the weights", _FETCH),
    (b"/annex/objects/", "a git-annex pointer to the weights", "run git annex get on it, or " + _FETCH),
    (b"GGUF", "a GGUF model", _CONVERT),
    (b"\x89HDF\r\n", "an HDF5 file, as Keras writes it", _CONVERT),
    (b"\x93NUMPY", "a NumPy array", _CONVERT),
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ", "an xz archive", _UNPACK),
    (b"7z\xbc\xaf", "a 7z archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", _UNPACK),
    (b"\x89PNG", "a picture", "check the path"),
    (b"\xff\xd8\xff", "a picture", "check the path"),
    (b"\x1a\x45\xdf\xa3", "a video", "check the path"),
    (b"%PDF", "a PDF document", "check the path"),
    (b"\x7fELF", "a program", "check the path"),
)
_LATER = (
    (4, b"TFL3", "a TensorFlow Lite model", _CONVERT),
    (4, b"ftyp", "a video", "check the path"),
    (257, b"ustar", "a tar archive", _UNPACK),
)
_MARKUP = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml|error|!--)", re.IGNORECASE)
# Protocol buffers: field 1 (the version, a small number), then another field of ONNX' ModelProto.
_ONNX = re.compile(rb"\x08[\x01-\x20][\x12\x1a\x22\x28\x32\x3a\x42\x72]", re.DOTALL)
_HEAD = 1024
"""Bytes that are looked at."""


class Kind(enum.Enum):
    """How a file keeps weights."""

    SAFETENSORS = enum.auto()
    """A header of JSON and the tensors' bytes."""
    ARCHIVE = enum.auto()
    """What `torch.save` writes: a zip archive with a pickle."""
    PICKLE = enum.auto()
    """What `torch.save` wrote before PyTorch 1.6."""


def kind_of(path: Path) -> Kind:
    """Return how a file keeps weights.

    Raises:
        OSError: it cannot be read.
        ModelError: it holds something else; says what, and what to do.
    """
    if not path.is_file():  # reading a pipe would wait for ever
        raise unusable(path, "it is no file" if path.exists() else "it is not there", "check the path")
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 40:
        return Kind.SAFETENSORS
    if head.startswith(b"PK\x03\x04"):
        _check_archive(path)
        return Kind.ARCHIVE
    if (found := _foreign(head)) is not None:
        what, remedy = found
        size = re.search(rb"^size (\d{1,15})$", head, re.MULTILINE) if head.startswith(_STARTS[0][0]) else None
        raise unusable(path, f"it is {what}{f' of {int(size[1]) / 1e6:,.1f} MB' if size else ''}", remedy)
    if head.startswith(b"\x80"):
        return Kind.PICKLE
    raise unusable(path, f"it begins with the bytes {head[:8].hex(' ')}, as no weights do", _FETCH)


def unusable(path: Path, why: str, remedy: str = "copy or download it again") -> ModelError:
    """Return the error of a file that holds no weights, as one line."""
    return ModelError(f"{path} cannot be read as weights ({why}): {remedy}")


def _foreign(head: bytes) -> tuple[str, str] | None:
    """Return what a file is that begins so, and what to do, or None where that is not known."""
    if not head:
        return "empty", _FETCH
    for start, what, remedy in _STARTS:
        if head.startswith(start):
            return what, remedy
    for at, mark, what, remedy in _LATER:
        if head.startswith(mark, at):
            return what, remedy
    if _MARKUP.match(head):
        return "a web page, such as a site's error or login", f"{_FETCH}, not the page about it"
    if _ONNX.match(head):
        return "an ONNX model", _CONVERT
    return _text(head)


def _text(head: bytes) -> tuple[str, str] | None:
    try:
        text = head.decode("utf-8", errors="strict" if len(head) < _HEAD else "ignore")
    except UnicodeDecodeError:
        return None
    if not all(letter.isprintable() or letter in "\r\n\t" for letter in text):
        return None
    if text.lstrip()[:1] in ("{", "["):
        return "JSON", f"name the weights file beside it, or its folder with {named('model', 'FOLDER')}"
    words = " ".join(text.split())
    return f"text: '{words[:40]}{'…' if len(words) > 40 else ''}'", _FETCH


def _check_archive(path: Path) -> None:
    """Refuse a zip archive that `torch.save` did not write, or that unfolds to more than it is."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise unusable(path, f"it is cut off or damaged: {error}") from error
    names = [member.filename for member in members]
    ends = {name.rpartition("/")[2] for name in names}
    weights = [name for name in names if name.endswith((".safetensors", ".pth", ".pt", ".ckpt", ".bin"))]
    if "constants.pkl" in ends or "archive_format" in ends or any("/code/" in name for name in names):
        remedy = "get the weights it was made from, or save them: torch.save(model.state_dict(), 'weights.pth')"
        raise unusable(path, "it is a compiled PyTorch program (TorchScript or torch.export)", remedy)
    if "data.pkl" not in ends:
        inside = f"that holds {weights[0]}" if weights else "without weights"
        raise unusable(path, f"it is a zip archive {inside}", _UNPACK if weights else "check the path")
    claimed, size = sum(member.file_size for member in members), path.stat().st_size
    if claimed > size:
        why = f"{claimed / 1e6:,.0f} MB packed into {size / 1e6:,.1f} MB, which PyTorch does not do"
        raise unusable(path, why)

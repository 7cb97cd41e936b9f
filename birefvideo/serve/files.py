"""Files of jobs and uploads as answers: with ranges for players, and folders as one zip that is made as it goes."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import zipfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from starlette.responses import FileResponse, Response, StreamingResponse

from birefvideo.jobs.review import script
from birefvideo.serve.faults import not_found

_TYPES = {".mov": "video/quicktime", ".mkv": "video/x-matroska", ".webm": "video/webm", ".apng": "image/apng"}
_BLOCK = 1 << 20
_REVIEW = "_review.html"
"""Ending of the page that a job makes with --review."""


def file_answer(path: Path, *, as_download: bool) -> Response:
    """Return a file; of what is neither picture, sound nor film no script runs but that of our own review page.

    Raises:
        RefusedError: it is gone.
    """
    if not path.is_file():
        raise not_found("file of that name")
    kind = _TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    disposition = "attachment" if as_download else "inline"
    answer = FileResponse(path, media_type=kind, filename=path.name, content_disposition_type=disposition)
    if not kind.startswith(("video/", "image/", "audio/")) or kind == "image/svg+xml":
        is_ours = path.name.endswith(_REVIEW)
        answer.headers["content-security-policy"] = _review_policy() if is_ours else "sandbox; default-src 'none'"
    return answer


@lru_cache(maxsize=1)
def _review_policy() -> str:
    """Return what a review page may do: run its own script, and play the films that it holds or that lie beside it."""
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src 'self' blob: data:; "
        "media-src 'self' blob:; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
    )


def zip_answer(folder: Path) -> Response:
    """Return the files of a folder as a zip, which is never whole anywhere.

    Raises:
        RefusedError: it is gone.
    """
    if not folder.is_dir():
        raise not_found("folder of that name")
    paths = sorted(file for file in folder.iterdir() if file.is_file() and not file.is_symlink())
    return zip_of(f"{folder.name}.zip", {f"{folder.name}/{path.name}": path for path in paths})


def zip_of(name: str, paths: Mapping[str, Path]) -> Response:
    """Return files as a zip of that name, each under the name that it is to have in it."""
    headers = {"content-disposition": f"attachment; filename*=utf-8''{quote(name, safe='')}"}
    return StreamingResponse(_zipped(paths), media_type="application/zip", headers=headers)


def _zipped(paths: Mapping[str, Path]) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED, allowZip64=True) as made:
        for name, path in paths.items():
            entry = zipfile.ZipInfo.from_file(path, name)
            with made.open(entry, "w", force_zip64=True) as target, path.open("rb") as source:
                while block := source.read(_BLOCK):
                    target.write(block)
                    yield sink.taken()
    yield sink.taken()


class _Sink:
    """Takes what a zip is written to; it cannot seek."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes, /) -> int:
        self._data += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: what is written is there."""

    def close(self) -> None:
        """Do nothing: the last bytes are still to be taken."""

    def taken(self) -> bytes:
        data, self._data = bytes(self._data), bytearray()
        return data

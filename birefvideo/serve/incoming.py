"""A file that arrives from the network: written to the disk as it comes, never held in memory."""

from __future__ import annotations

import asyncio
import os

from birefvideo.own_files import make_anew
from birefvideo.serve.data_folder import DataFolder
from birefvideo.serve.faults import RefusedError

_AT_ONCE = 1 << 20
"""Bytes that are written at once, in a thread: the disk may be slow, and others are served meanwhile."""
LEAST_FREE = 256 << 20
"""Bytes of the disk that stay free."""


class Incoming:
    """A new file in the folder of what arrives.

    Args:
        data: the server's folder.
        most: bytes that it may have.
    """

    def __init__(self, data: DataFolder, most: int) -> None:
        self.path = data.incoming()
        self.size = 0
        """Bytes that have come."""
        self._data = data
        self._most = most
        self._file = os.fdopen(make_anew(self.path), "wb", buffering=0)
        self._buffer = bytearray()

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            RefusedError: it becomes too large, or the disk is full.
        """
        self.size += len(chunk)
        if self.size > self._most:
            raise RefusedError(413, "too_large", f"the file is larger than {self._most:,} bytes: make it smaller first")
        self._buffer += chunk
        if len(self._buffer) >= _AT_ONCE:
            await self._flush()

    async def finish(self) -> None:
        """Write the rest.

        Raises:
            RefusedError: nothing has come, or the disk is full.
        """
        await self._flush()
        self._file.close()
        if not self.size:
            raise RefusedError(422, "bad_input", "the file is empty: send a clip or a picture")

    def drop(self) -> None:
        """Remove it, unless it has found its place."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    async def _flush(self) -> None:
        data, self._buffer = self._buffer, bytearray()
        try:
            await asyncio.to_thread(self._write, data)
        except OSError as error:
            raise RefusedError(507, "disk_full", f"the server cannot store it ({error.strerror or error})") from error

    def _write(self, data: bytearray) -> None:
        if self._data.free() < LEAST_FREE:
            raise OSError(28, "its disk is full")
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

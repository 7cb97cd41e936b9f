"""A connection as Uvicorn is given it: what it writes in pieces goes out at once, and closing loses none of it."""

from __future__ import annotations

import asyncio
from typing import Any

_MOST_HELD = 64 << 10
"""Bytes that are held back at most."""
_EVERY = 1.0
"""Seconds between two looks whether a client has taken what a closed connection still holds for it."""


class Joining:
    """A transport that sends in one piece what is written in one turn of the loop.

    Uvicorn writes the head and the body of an answer apart; each piece wakes the client, and that costs as much as
    the answer.

    Args:
        bare: what it writes to.
        loop: whose turns count.
        below: what `bare` itself writes to, where that speaks TLS. Asyncio ends TLS 30 s after it was closed, whatever
            the client still has to take by then; so it is closed once that is nothing.
    """

    def __init__(
        self, bare: asyncio.Transport, loop: asyncio.AbstractEventLoop, below: asyncio.Transport | None = None
    ) -> None:
        self.bare = bare
        self._loop = loop
        self._below = below
        self._held: list[bytes] = []
        self._size = 0
        self._is_closing = False

    def __getattr__(self, name: str) -> Any:
        """Return what the bare transport has under that name."""
        return getattr(self.bare, name)

    def write(self, data: bytes) -> None:
        """Send bytes, at the end of this turn."""
        if not self._held:
            self._loop.call_soon(self._send)
        self._held.append(bytes(data))
        self._size += len(data)
        if self._size > _MOST_HELD:
            self._send()

    def is_closing(self) -> bool:
        """Return whether it takes nothing more."""
        return self._is_closing or self.bare.is_closing()

    def close(self) -> None:
        """End it, once what was written has gone."""
        if not self._is_closing:
            self._is_closing = True
            self._send()
            self._close_once_taken()

    def abort(self) -> None:
        """End it at once."""
        self._is_closing = True
        self._held.clear()
        self.bare.abort()

    def _send(self) -> None:
        held, self._held, self._size = self._held, [], 0
        if held:
            self.bare.write(b"".join(held))

    def _close_once_taken(self) -> None:
        if self._below is not None and not self.bare.is_closing() and self._has_left(self._below):
            self.bare.pause_reading()
            self._loop.call_later(_EVERY, self._close_once_taken)
        else:
            self.bare.close()

    def _has_left(self, below: asyncio.Transport) -> bool:
        return bool(self.bare.get_write_buffer_size() + below.get_write_buffer_size())

"""What reads requests for uvicorn: httptools, which takes half the time of h11, held to the same limit."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_HEAD = 64 << 10
"""Bytes of a request's first line and headers."""

parser: type[asyncio.Protocol] = H11Protocol
"""What uvicorn is to use."""
try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError:  # it has no wheel for this machine
    pass
else:

    class _Bounded(HttpToolsProtocol):
        """Uvicorn's, which alone would keep headers and trailers of any length."""

        _unfinished = 0
        """Bytes that have come since the last piece of a body, or the last whole request."""

        def data_received(self, data: bytes) -> None:
            self._unfinished += len(data)
            super().data_received(data)
            if self._unfinished > MOST_HEAD and self.parser is not None:
                self.send_400_response("The request's headers are too long.")

        def on_body(self, body: bytes) -> None:
            self._unfinished = 0
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._unfinished = 0
            super().on_message_complete()

    parser = _Bounded

"""Runs the server until it is told to stop."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import closing

import uvicorn

from birefvideo.errors import OptionError, OutputError, named
from birefvideo.serve.app import make_app
from birefvideo.serve.http_parsers import MOST_HEAD, speaking
from birefvideo.serve.log import shown_log
from birefvideo.serve.settings import Settings
from birefvideo.serve.studio import Studio
from birefvideo.serve.tls import certificate, speaker

_TO_END = 3
"""Seconds that answers under way have to end when the server is to stop."""


def serve(settings: Settings, on_ready: Callable[[str, str], object]) -> None:
    """Serve until Ctrl-C or a signal; jobs that run then go on at the next start.

    Args:
        settings: where and how.
        on_ready: called with the server's address, and with the file of its authority where it speaks TLS, once it
            answers.

    Raises:
        BirefvideoError: the address, the folder or the certificate cannot be used.
    """
    with shown_log(), closing(_socket(settings)) as listening:
        asyncio.run(_serve(settings, listening, on_ready))


async def _serve(settings: Settings, listening: socket.socket, on_ready: Callable[[str, str], object]) -> None:
    studio = Studio(settings)
    context, authority = None, ""
    if settings.tls:
        try:
            files = certificate(studio.data.path / "tls", settings.host, settings.names)
            context = speaker(*files[1:])
        except OSError as error:
            raise OutputError(f"no certificate can be made ({error.strerror or error})") from error
        authority = str(files[0])
    server = make_server(settings, studio, context)
    telling = asyncio.create_task(_tell(server, settings, listening, authority, on_ready))
    try:
        await server.serve(sockets=[listening])
    finally:
        telling.cancel()


def make_server(settings: Settings, studio: Studio, context: ssl.SSLContext | None = None) -> uvicorn.Server:
    """Return what serves a studio, within limits; its method `serve` takes the sockets to listen at.

    `context` is what speaks TLS, if it is to.
    """
    config = uvicorn.Config(
        make_app(settings, studio),
        log_config=None,  # see `log`
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_TO_END,
        timeout_keep_alive=30,
        http=speaking(context),
        h11_max_incomplete_event_size=MOST_HEAD,
        ws_max_size=256 << 20,
    )
    return _Server(config, studio)


class _Server(uvicorn.Server):
    """Uvicorn, which would wait for answers that nobody gives any more."""

    def __init__(self, config: uvicorn.Config, studio: Studio) -> None:
        super().__init__(config)
        self._studio = studio

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the answers under way, then everything."""
        await self._studio.hurry()
        await super().shutdown(sockets)


async def _tell(
    server: uvicorn.Server,
    settings: Settings,
    listening: socket.socket,
    authority: str,
    on_ready: Callable[[str, str], object],
) -> None:
    while not server.started:
        await asyncio.sleep(0.02)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    on_ready(f"{'https' if settings.tls else 'http'}://{host}:{listening.getsockname()[1]}/", authority)


def _socket(settings: Settings) -> socket.socket:
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        raise OptionError(f"{named('host')} is {settings.host!r}: give an address of this machine") from None
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        if hasattr(socket, "SO_REUSEADDR"):
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise OptionError(
            f"{settings.host}:{settings.port} cannot be listened at ({error.strerror}): choose another "
            f"{named('port')}, or stop what uses it"
        ) from None
    return listening

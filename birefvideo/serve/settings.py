"""What whoever starts the server decides: where it listens, who may come in, and how much it takes."""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass
from pathlib import Path

from birefvideo.errors import OptionError, named

URLS = ("public", "none", "all")
"""Addresses that the server fetches clips from: those of the internet, none, or those of the local network too."""


@dataclass(frozen=True)
class Settings:
    """The server's settings.

    Raises:
        OptionError: they do not go together, or one is not allowed.
    """

    data: Path
    """Folder of uploads, jobs and results."""
    host: str = "127.0.0.1"
    """Address to listen at."""
    port: int = 8765
    """Port; 0 takes a free one."""
    token: str | None = None
    """What clients must show, or None where nobody else reaches the server."""
    tls: bool = False
    """Whether to speak TLS with a certificate made on this machine."""
    names: tuple[str, ...] = ()
    """Names, besides localhost and addresses, that requests may call this machine by."""
    origins: tuple[str, ...] = ()
    """Pages of other origins, as https://example.com, that may use it from a browser."""
    urls: str = "public"
    """Which addresses clips may be fetched from: see `URLS`."""
    most_upload: int = 16 << 30
    """Bytes of one uploaded or fetched file."""
    most_data: int = 200 << 30
    """Bytes of the folder; the oldest finished jobs go first."""
    keep_days: float = 30.0
    """Age at which finished jobs and unused uploads go."""
    most_waiting: int = 50
    """Jobs that may wait or run; one more is refused."""
    most_pixels: int = 8192 * 8192
    """Pixels of a picture, as the file declares it."""
    most_hours: float = 24.0
    """Time that one job may run."""

    def __post_init__(self) -> None:
        if self.urls not in URLS:
            raise OptionError(f"{named('urls')} is {self.urls!r}: give one of {', '.join(URLS)}")
        if not 0 <= self.port <= 65535:
            raise OptionError(f"{named('port')} is {self.port}: give a number from 0 (a free one) to 65535")
        for limit in ("most_upload", "most_data", "keep_days", "most_waiting", "most_hours"):
            if not 0 < getattr(self, limit) < math.inf:
                raise OptionError(f"{named(limit)} is to be a number above 0: leave it out for the usual one")
        if self.token is not None and (len(self.token) < 8 or not self.token.isascii() or " " in self.token):
            raise OptionError(f"{named('token')} is too easily guessed: give 8 or more ASCII letters without spaces")
        if not self.is_local and self.token is None:
            raise OptionError(
                f"{named('host')} is {self.host}, which other machines can reach: give a {named('token')} that clients "
                "have to show, or leave it at 127.0.0.1"
            )

    @property
    def is_local(self) -> bool:
        """Whether only programs of this machine reach the server."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Return whether a host, as a name or an address, is this machine seen from itself."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

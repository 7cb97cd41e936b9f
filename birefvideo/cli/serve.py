"""`birefvideo serve`: a page and interfaces, on this machine."""

from __future__ import annotations

import math
import webbrowser
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from birefvideo.cli.errors import reported
from birefvideo.cli.parse import path
from birefvideo.cli.printing import tell
from birefvideo.cli.shared_options import Debug
from birefvideo.errors import OptionError

if TYPE_CHECKING:
    from birefvideo.serve.settings import Settings

_NEEDED = ("starlette", "uvicorn", "python_multipart", "websockets", "httpx", "cryptography")
"""Modules of the extra."""
_GIGABYTE = 1 << 30


def serve(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; others than this machine need --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", help="0 takes a free one.")] = 8765,
    data: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Uploads, jobs and results; default: birefvideo in your home.")
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Speak TLS, with a certificate made here.")] = False,
    token: Annotated[
        str | None, typer.Option(envvar="BIREFVIDEO_TOKEN", metavar="TOKEN", help="What clients must show.")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    name: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="What else this machine is called; repeatable.")
    ] = None,
    origin: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="Site whose pages may use it, https://…; repeatable.")
    ] = None,
    urls: Annotated[
        str, typer.Option(metavar="WHICH", help="Addresses to fetch clips from: public, none or all.")
    ] = "public",
    most_upload: Annotated[float, typer.Option(metavar="GB", help="Size of a file at most.")] = 16,
    most_data: Annotated[float, typer.Option(metavar="GB", help="Size of the folder; the oldest results go.")] = 200,
    keep_days: Annotated[float, typer.Option(metavar="DAYS", help="How long results are kept.")] = 30,
    most_waiting: Annotated[int, typer.Option(metavar="JOBS", help="Jobs that may wait; more are refused.")] = 50,
    most_hours: Annotated[float, typer.Option(metavar="HOURS", help="Time that one job may run.")] = 24,
    debug: Debug = False,
) -> None:
    """Serve a page to cut clips out with, and interfaces for programs.

    Jobs run one after another, and go on after a restart. Only this machine reaches the server unless --host says
    otherwise. docs/serve.md tells the rest.
    """
    with reported(debug):
        _check_installed()
        from birefvideo.serve.run import serve as run
        from birefvideo.serve.settings import Settings

        settings = Settings(
            data=Path.home() / "birefvideo" if data is None else path(data),
            host=host,
            port=port,
            token=token,
            tls=tls,
            names=tuple(name or ()),
            origins=tuple(site.rstrip("/") for site in origin or ()),
            urls=urls,
            most_upload=_bytes(most_upload),
            most_data=_bytes(most_data),
            keep_days=keep_days,
            most_waiting=most_waiting,
            most_hours=most_hours,
        )
        try:
            run(settings, lambda address, authority: _ready(settings, address, authority, open_page))
        except KeyboardInterrupt:
            tell("stopped; jobs go on at the next start")


def _bytes(gigabytes: float) -> int:
    """Return bytes; 0, which is no limit that settings take, for what is no number."""
    return int(gigabytes * _GIGABYTE) if math.isfinite(gigabytes) else 0


def _ready(settings: Settings, address: str, authority: str, open_page: bool) -> None:
    tell(f"birefvideo listens at {address}")
    tell(f"  files are in {settings.data}; Ctrl-C stops it, and jobs go on at the next start")
    if authority:
        tell(f"  clients trust it by its authority: SSL_CERT_FILE={authority}")
    if open_page:
        webbrowser.open(address)


def _check_installed() -> None:
    missing = [module for module in _NEEDED if find_spec(module) is None]
    if missing:
        raise OptionError(f"serve needs more than is installed ({', '.join(missing)}): pip install 'birefvideo[serve]'")

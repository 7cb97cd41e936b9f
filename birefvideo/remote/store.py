"""One file at a URL, through fsspec: what is there, and every failure in one line without secrets."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from birefvideo.errors import BirefvideoError, InputError, OutputError
from birefvideo.hints import PLAYS, is_player
from birefvideo.remote.places import is_read_only, shown, without_secrets

INSTALL = "pip install 'birefvideo[remote]'"
"""What brings the packages for the usual stores."""
Identity = dict[str, str]
"""What tells an object from a later one of the same name."""

_TELLING = (
    *("size", "ETag", "etag", "md5Hash", "generation", "VersionId", "version_id", "content_hash", "Content-MD5"),
    *("LastModified", "Last-Modified", "last_modified", "mtime", "modify", "modified", "updated", "created"),
)
"""What stores say of an object that changes when it is written anew."""
_SILENCE = 60
"""Seconds that a server of the web may be silent; a file may take as long as it takes."""
_DENIED = (
    *("credentials", "denied", "forbidden", "accesskeyid", "access key", "signature", "401", "403", "auth"),
    *("token", "profile"),
)
_ELSEWHERE = ("the region", "specify a region", "moved permanently", "must be addressed using the specified endpoint")
"""What S3 says of a bucket that is asked for in another region than its own."""
_NO_NAME = re.compile(r": Bucket name must match.*")
_ADDRESS = re.compile(r"\S+://\S+")
_NUMBER = re.compile(r"^\[Errno \d+\] ")
_UNREACHED = ("connect", "timeout", "timed out", "endpoint", "gaierror", "resolve", "unreachable", "dns")


class Store:
    """What lies at one URL and beside it.

    Args:
        url: with all that it takes to use it.
        fault: the error that failures are raised as.

    Raises:
        BirefvideoError: the scheme is unknown, or its package is not installed.
    """

    def __init__(self, url: str, fault: type[InputError | OutputError] = InputError) -> None:
        self.url = url
        self.fault = fault
        self.fs, self.path = self._opened()

    def _opened(self) -> tuple[Any, str]:
        scheme = self.url.partition(":")[0].lower()
        if scheme in ("http", "https") and is_player(self.url):
            raise self.fault(f"{shown(self.url)} {PLAYS}")
        try:
            core, registry = importlib.import_module("fsspec.core"), importlib.import_module("fsspec.registry")
            if scheme not in registry.known_implementations and scheme not in registry.registry:
                raise self.fault(
                    f"{shown(self.url)} begins with {scheme}://, which is no kind of store: download it first"
                )
            more: dict[str, Any] = {}
            if scheme in ("http", "https"):
                aiohttp = importlib.import_module("aiohttp")
                limit = aiohttp.ClientTimeout(total=None, sock_connect=_SILENCE, sock_read=_SILENCE)
                more["client_kwargs"] = {"timeout": limit}
            with self.told("opened"):
                return core.url_to_fs(self.url, use_listings_cache=False, **more)  # type: ignore[no-any-return]
        except ImportError as error:
            raise self._lacks(scheme, error) from None

    def _lacks(self, scheme: str, error: ImportError) -> BirefvideoError:
        usual = INSTALL if scheme in ("s3", "s3a", "http", "https") else f"install what {scheme}:// needs"
        reason = without_secrets(str(error), self.url).rstrip(".")
        return self.fault(f"{shown(self.url)} needs a package that is not installed ({reason}): {usual}")

    @contextmanager
    def told(self, doing: str) -> Iterator[None]:
        """Turn any failure of the block into one line; `doing` is what could not be done, such as 'read'.

        Raises:
            BirefvideoError: `fault`, or what the block raises of ours.
        """
        try:
            yield
        except (BirefvideoError, ImportError):
            raise
        except Exception as error:
            raise self.fault(self._line(error, doing)) from None  # a traceback would show the whole URL

    def _line(self, error: Exception, doing: str) -> str:
        name = shown(self.url)
        if is_read_only(self.url) and isinstance(error, FileNotFoundError) and isinstance(error.__cause__, Exception):
            error = error.__cause__  # fsspec says so of everything that goes wrong on the web
        kind = type(error).__name__
        reason = " ".join(without_secrets(str(error) or kind, self.url).split())
        reason = _NO_NAME.sub("", _NUMBER.sub("", reason))[:300]
        if isinstance(error, FileNotFoundError) or getattr(error, "status", None) == 404:
            missing = "" if reason == name or reason.strip("/") in name else f" ({reason})"
            return f"{name} does not exist{missing}: check its name"
        if isinstance(error, NotImplementedError):
            return f"{name} cannot be {doing}: its kind of store does not allow that, choose another place"
        return f"{name} cannot be {doing} ({reason}): {_remedy(error, _ADDRESS.sub('', f'{kind} {reason}').lower())}"

    def info(self, doing: str = "read") -> dict[str, Any] | None:
        """Return what the store says of the object; None where there is none.

        Raises:
            BirefvideoError: the store cannot be asked.
        """
        with self.told(doing):
            self.fs.invalidate_cache()
            try:
                return dict(self.fs.info(self.path))
            except FileNotFoundError:
                return None

    def needed_info(self) -> dict[str, Any]:
        """Return what the store says of the object.

        Raises:
            BirefvideoError: there is none, or the store cannot be asked.
        """
        with self.told("read"):
            self.fs.invalidate_cache()
            return dict(self.fs.info(self.path))

    def make_parent(self) -> None:
        """Make the folder that the object is to be in, where folders need making: a bucket's do not."""
        parent = self.path.rpartition("/")[0]
        if not self.fs.async_impl and not self.fs.exists(parent):
            self.fs.makedirs(parent, exist_ok=True)

    @contextmanager
    def passing(self, doing: str, tick: Callable[[], object] | None) -> Iterator[Any]:
        """Give a transfer what fsspec calls as bytes pass; what `tick` raises ends it.

        Raises:
            BaseException: what `tick` raised, or as `told`.
        """
        raised: list[BaseException] = []

        def update(*_: object, **__: object) -> None:
            try:
                if tick is not None and not raised:
                    tick()
            except BaseException as error:  # which would end fsspec's own thread if it were Ctrl-C
                raised.append(error)
                raise RuntimeError("the transfer is to end") from None

        kind = importlib.import_module("fsspec.callbacks").Callback
        try:
            with self.told(doing):
                yield type("Ticking", (kind,), {"relative_update": update, "absolute_update": update})()
        except BirefvideoError:
            if raised:
                raise raised[0] from None
            raise


def identity(info: dict[str, Any]) -> Identity:
    """Return what tells an object from a later one of the same name."""
    return {key: str(info[key]).strip('"') for key in _TELLING if info.get(key) is not None}


def modified(info: dict[str, Any]) -> float:
    """Return when an object was written, in seconds; 0 where nothing says so."""
    for key in ("LastModified", "last_modified", "mtime", "modified", "updated", "created"):
        value = info.get(key)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return 0.0


def _remedy(error: Exception, said: str) -> str:
    """Return what to do about a failure of a store, by what it says in small letters."""
    if "invalid bucket name" in said:
        return "check its name"
    if any(word in said for word in _ELSEWHERE):
        return "name the bucket's own region and endpoint"
    if isinstance(error, PermissionError) or any(word in said for word in _DENIED):
        return "check the credentials and what they allow"
    if "bad request" in said:  # all that S3 says of an object where a token has expired
        return "check the credentials, which may have expired, and the region"
    if any(word in said for word in _UNREACHED):
        return "check the network and the address, and run the same command again"
    return "try again"

"""The settings of a download, checked before a connection is opened, and what its errors mean, in one line each."""

from __future__ import annotations

import errno
import importlib.util
import os
import re
import urllib.request
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from birefvideo.errors import ModelError, named
from birefvideo.family.client import HTTPError, OfflineModeIsEnabled, constants, get_token
from birefvideo.family.hub_place import check_usable
from birefvideo.family.shards import WEIGHTS
from birefvideo.family.variants import VARIANTS, Variant

_CLIENT = HTTPError.__module__
"""The HTTP library of the hub's client: requests, httpx or a successor of it."""
_IS_REQUESTS = _CLIENT.startswith("requests")
_INVALID_URL: Any = getattr(import_module(_CLIENT), "InvalidURL", OSError)
FAILURES: tuple[Any, ...] = (OSError, HTTPError, ImportError, ValueError, _INVALID_URL)
"""What the client raises: requests' errors are OSErrors, httpx' share a base, and settings it cannot use are others."""
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SOCKS = ("socks5", "socks5h", *(("socks4", "socks4a") if _IS_REQUESTS else ()))
_SOCKS_MODULE, _SOCKS_PACKAGE = ("socks", "PySocks") if _IS_REQUESTS else ("socksio", "socksio")
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if _IS_REQUESTS else ("SSL_CERT_FILE", "SSL_CERT_DIR")


def check_settings() -> None:
    """Refuse settings of which a download cannot come.

    Raises:
        ModelError: names the setting, and what it may be.
    """
    check_usable()
    _check_address("HF_ENDPOINT", constants.ENDPOINT, ("http", "https"), "such as https://huggingface.co")
    for name, proxy in _proxies():
        _check_proxy(name, proxy)
    for name in _CERTIFICATES:
        path = os.environ.get(name)
        if path and not Path(path).exists():
            raise ModelError(f"{name} is {path!r}, which is not there: set it to your certificates, or unset it")
    for name in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
        if getattr(constants, name) <= 0:
            raise ModelError(f"{name} is {getattr(constants, name)}: give a number of seconds above 0, or unset it")
    _check_token()


def _proxies() -> Iterator[tuple[str, str]]:
    """Yield the proxies that the client will use, each with the name of its setting."""
    kinds = (urlsplit(constants.ENDPOINT).scheme, "all") if _IS_REQUESTS else ("http", "https", "all")
    for kind, proxy in urllib.request.getproxies().items():
        if kind in kinds and proxy:
            names = [name for name in (f"{kind}_proxy", f"{kind}_proxy".upper()) if os.environ.get(name) == proxy]
            yield (names[0] if names else f"the system's {kind} proxy"), proxy


def _check_proxy(name: str, proxy: str) -> None:
    address = proxy if "://" in proxy else f"http://{proxy}"
    parts = _check_address(name, address, ("http", "https", *_SOCKS), "such as http://proxy:3128")
    if parts.scheme in _SOCKS and importlib.util.find_spec(_SOCKS_MODULE) is None:
        raise ModelError(
            f"{name} is a SOCKS proxy ({_shown(parts)}), for which the package {_SOCKS_PACKAGE} is needed: run "
            f"pip install {_SOCKS_PACKAGE}, or set {name} to an HTTP proxy"
        )


def _check_address(name: str, address: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    """Return the parts of an address; it is not shown where it might hold a password."""
    try:
        parts = urlsplit(address)
        is_whole = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # the port, or brackets that do not match
        parts, is_whole = SplitResult("", "", "", "", ""), False
    if not is_whole or re.search(r"[\s\x00-\x20\x7f\\]", address):
        shown = "an address with a name and password" if "@" in address else repr(address)
        kinds = "an http, https or socks5" if schemes[2:] else "an http or https"
        raise ModelError(f"{name} is {shown}, which cannot be used: give {kinds} address {example}, or unset it")
    return parts


def _check_token() -> None:
    """Refuse a token that no header can carry; it is never shown."""
    where = next((name for name in _TOKENS if os.environ.get(name)), constants.HF_TOKEN_PATH)
    try:
        token = os.environ.get(where) or get_token() or ""
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ModelError(f"the token in {where} cannot be read ({why}): delete that file, or set HF_TOKEN") from error
    if token.strip() and not re.fullmatch(r"[\x21-\x7e]+", token.strip()):
        raise ModelError(
            f"the token in {where} has characters that no token has (a space, a line break, an accent): copy it again "
            "from the hub's settings, or unset it"
        )


def _shown(parts: SplitResult) -> str:
    """Return an address without name and password."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _way() -> str:
    """Return the server, and the proxy on the way to it, for messages."""
    parts = urlsplit(constants.ENDPOINT)
    for name, proxy in _proxies():
        is_for_it = name.lower().startswith((f"{parts.scheme}_", "all_", f"the system's {parts.scheme}"))
        if is_for_it and not urllib.request.proxy_bypass(parts.hostname or ""):
            address = proxy if "://" in proxy else f"http://{proxy}"
            return f"{constants.ENDPOINT} through {name} ({_shown(urlsplit(address))})"
    return str(constants.ENDPOINT)


def explained(row: Variant, error: Any) -> ModelError:
    """Return what to do about an error of the client, in one line."""
    way = f"birefvideo models {row.name} --from FILE" if row.name in VARIANTS else named("model", "FILE")
    bring = f"bring the file with {way}"
    status = getattr(getattr(error, "response", None), "status_code", None)
    first = (str(error).splitlines() or [""])[0] or type(error).__name__
    if isinstance(error, OfflineModeIsEnabled):
        text = f"HF_HUB_OFFLINE is set, so {row.name} was not fetched: unset it, or {bring}"
    elif status:
        text = _refusal(row, status, bring)
    elif getattr(error, "errno", None) in NO_SPACE:
        text = f"no room left in {constants.HF_HOME}: make room and run it again, or set HF_HOME to another disk"
    elif getattr(error, "filename", None):
        text = f"cannot write {error.filename} ({error.strerror}): set HF_HOME to a folder of yours"
    elif "CERTIFICATE_VERIFY_FAILED" in str(error):
        text = (
            f"the certificate of {_way()} is not known here ({first}): set {_CERTIFICATES[0]} to the file with your "
            f"network's certificates, or {bring}"
        )
    elif "timeout" in type(error).__name__.lower() or isinstance(error, TimeoutError):
        text = (
            f"{_way()} did not answer in time: run it again and it goes on from there, allow more seconds with "
            f"HF_HUB_DOWNLOAD_TIMEOUT=60 and HF_HUB_ETAG_TIMEOUT=60, set HF_ENDPOINT to a mirror, or {bring}"
        )
    else:
        text = (
            f"fetching {row.name} from {_way()} broke off ({first}): run it again and it goes on from there, "
            f"set HF_ENDPOINT to {'another' if 'HF_ENDPOINT' in os.environ else 'a'} mirror, or {bring}"
        )
    return ModelError(text.replace("\n", " "))


def _refusal(row: Variant, status: int, bring: str) -> str:
    """Return what a status of the server means."""
    where = constants.ENDPOINT
    if status in (401, 403):
        remedy = row.access or f"if {row.page} exists, log in there, accept its terms, and set HF_TOKEN to your token"
        return f"{where} refuses {row.hub_id} ({status}); {remedy}"
    if status in (404, 410):
        at = f"revision {row.asked!r} with a {WEIGHTS}" if row.asked else WEIGHTS
        check = "check the revision" if row.asked else f"fetch its other files with hf download {row.hub_id}"
        return f"{where} has no {at} of {row.hub_id} ({status}): {check}, choose another HF_ENDPOINT, or {bring}"
    if status == 407:
        return (
            f"the proxy on the way to {_way()} wants a name and password (407): write them into its setting, or {bring}"
        )
    return f"{where} answered {status} for {row.hub_id}: try again later, set HF_ENDPOINT to a mirror, or {bring}"

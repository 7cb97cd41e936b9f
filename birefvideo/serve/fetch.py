"""Clips that a client names by address: fetched within limits, and never from where only this machine may look."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote, urljoin, urlsplit

import httpx

from birefvideo.serve.faults import RefusedError
from birefvideo.serve.store import Upload
from birefvideo.serve.studio import Studio

_MOST_REDIRECTS = 5
_CONNECT = 10.0
_SILENCE = 30.0
"""Seconds that may pass without a byte."""
_SECONDS = 3600.0
"""Seconds for a whole file."""


async def fetch(studio: Studio, url: str, *, is_clip: bool = True) -> Upload:
    """Fetch a clip, or where `is_clip` is False the file of an option.

    Raises:
        RefusedError: the address is not allowed, or there is no file.
        InputError: it is no clip.
    """
    deadline = time.monotonic() + _SECONDS
    async with _answer(url, studio.settings.urls) as answer:
        studio.check_announced(answer.headers.get("content-length"))
        name = unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2]
        return await studio.receive(name, _within(answer.aiter_bytes(), deadline), is_clip=is_clip)


@asynccontextmanager
async def _answer(url: str, allowed: str) -> AsyncIterator[httpx.Response]:
    """Follow redirects to a file, with each address checked, and connect to the very address that was checked."""
    timeout = httpx.Timeout(_SILENCE, connect=_CONNECT)
    async with httpx.AsyncClient(timeout=timeout, trust_env=False, follow_redirects=False) as client:
        for _ in range(_MOST_REDIRECTS):
            request = await request_to(client, "GET", url, allowed)
            try:
                answer = await client.send(request, stream=True)
            except httpx.HTTPError as error:
                raise _cannot(f"no answer ({error or type(error).__name__})") from None
            try:
                if answer.has_redirect_location:
                    url = _led_on(url, answer.headers["location"])
                    continue
                if answer.status_code != 200:
                    raise _cannot(f"its server answers {answer.status_code}")
                yield answer
                return
            finally:
                await answer.aclose()
    raise _cannot(f"it leads on more than {_MOST_REDIRECTS} times")


def _led_on(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise _cannot("it leads on to what is no address") from None


async def request_to(
    client: httpx.AsyncClient, method: str, url: str, allowed: str, *, content: bytes = b"", **headers: str
) -> httpx.Request:
    """Return a request to an address, made to the very number that was checked.

    Args:
        client: which sends it; it must follow no redirects.
        method: GET or POST.
        url: the address.
        allowed: one of `settings.URLS`.
        content: the body.
        headers: those of the request, with _ for -.

    Raises:
        RefusedError: the address is not allowed.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode()
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:  # which an error of Unicode is too
        raise _cannot("it is no address") from None
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise _cannot("give one that begins with http:// or https://, without a user's name")
    address = await _address(host, port, allowed)
    target = parts._replace(netloc=f"{_bracketed(address)}:{port}", fragment="").geturl()
    named = _bracketed(host) + (f":{parts.port}" if parts.port else "")
    try:
        return client.build_request(
            method,
            target,
            headers={"Host": named, **{name.replace("_", "-"): value for name, value in headers.items()}},
            content=content or None,
            extensions={"sni_hostname": host},  # which TLS is checked against
        )
    except (httpx.InvalidURL, ValueError):
        raise _cannot("it is no address") from None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _address(host: str, port: int, allowed: str) -> str:
    """Return an address of a host that may be asked.

    Raises:
        RefusedError: there is none.
    """
    if allowed == "none":
        raise _cannot("this server fetches nothing (--urls none): upload the file")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _cannot(f"there is no host {host[:100]!r}") from None
    addresses = [str(entry[4][0]) for entry in found]
    if allowed != "all" and not all(map(is_public, addresses)):  # a name that has both is made to trick
        raise _cannot(f"{host[:100]} is in a private network, where this server fetches nothing (--urls all allows it)")
    return addresses[0]


def is_public(address: str) -> bool:
    """Return whether an address is one of the internet, also where it is wrapped in one of IPv6."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if found in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


async def _within(chunks: AsyncIterator[bytes], deadline: float) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            if time.monotonic() > deadline:
                raise _cannot(f"it takes longer than {_SECONDS:g} s")
            yield chunk
    except httpx.HTTPError as error:
        raise _cannot(f"it breaks off ({error or type(error).__name__})") from None


def _cannot(why: str) -> RefusedError:
    return RefusedError(422, "bad_url", f"the address cannot be fetched: {why}")

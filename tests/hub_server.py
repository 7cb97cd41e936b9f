"""A model hub on the loopback: the resolve, HEAD, range, redirect and access rules that the hub's client relies on."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import unquote


@dataclass
class Request:
    """One request as the server saw it."""

    method: str
    path: str
    host: str
    range: str
    token: str
    sent: int = 0
    """Bytes of the body that were sent."""


@dataclass
class HubServer:
    """Serves what was published; a context manager."""

    versions: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    """Repository -> commit, oldest first -> file name -> content."""
    gated: dict[str, str] = field(default_factory=dict)
    """Repository -> the token that it wants."""
    redirect: str = ""
    """'relative': to another path here; 'elsewhere': files come from another host."""
    breaks_at: int | None = None
    """Bytes of weights sent in all at which the connection breaks, and each later one too."""
    hiccup_at: int | None = None
    """Bytes of a body at which the connection breaks, once."""
    ranges: bool = True
    """Whether ranges are honoured."""
    status: int = 0
    """Answer everything with this."""
    names: dict[str, str] = field(default_factory=dict)
    """Branches and tags of every repository -> commit; 'main' is the newest without."""
    chunked: bool = False
    """Send weights in chunks and without their length."""
    waits: float = 0
    """Seconds to wait before each answer."""
    etag: str | None = None
    """Claim this hash for every weights file."""
    requests: list[Request] = field(default_factory=list)

    def publish(self, repository: str, files: dict[str, bytes]) -> str:
        """Adds a commit on main; returns it."""
        versions = self.versions.setdefault(repository, {})
        commit = hashlib.sha1(f"{repository} {len(versions)}".encode()).hexdigest()
        versions[commit] = files
        return commit

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def sent(self) -> int:
        """Bytes of weights sent so far."""
        return sum(r.sent for r in self.requests if r.method == "GET" and "config.json" not in r.path)

    def __enter__(self) -> HubServer:
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer

    def log_message(self, *arguments: object) -> None:
        """Tells nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub, headers = self.hub, self.headers
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        path = unquote(self.path)
        self.request_ = Request(self.command, path, headers.get("Host", ""), headers.get("Range", ""), token)
        hub.requests.append(self.request_)
        if hub.waits:
            threading.Event().wait(hub.waits)
        if hub.status:
            return self._say(hub.status)
        if found := re.fullmatch(r"/files/(\w+)", path):
            contents = [c for v in hub.versions.values() for files in v.values() for c in files.values()]
            return self._send({hashlib.sha256(c).hexdigest(): c for c in contents}[found[1]], {})
        found = re.fullmatch(r"(/moved)?/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        if not found:
            return self._say(404)
        moved, repository, revision, name = (unquote(part or "") for part in found.groups())
        return self._resolve(repository, revision, name, bool(moved))

    def _resolve(self, repository: str, revision: str, name: str, moved: bool) -> None:
        hub, token = self.hub, self.request_.token
        versions = hub.versions.get(repository)
        if versions is None:
            return self._say(404 if token else 401, "RepoNotFound")
        if repository in hub.gated and token != hub.gated[repository]:
            return self._say(403 if token else 401, "GatedRepo")
        commit = hub.names.get(revision, list(versions)[-1] if revision == "main" else revision)
        if commit not in versions:
            return self._say(404, "RevisionNotFound")
        if hub.redirect == "relative" and not moved:
            return self._redirect(307, f"/moved/{repository}/resolve/{revision}/{name}", {})
        headers = {"X-Repo-Commit": commit}
        content = versions[commit].get(name)
        if content is None:
            return self._say(404, "EntryNotFound", headers)
        if name.endswith(".json"):
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content)  # git's own hash, as for all small files
            headers["ETag"] = f'"{blob.hexdigest()}"'
            return self._send(content, headers)
        sha256 = hashlib.sha256(content).hexdigest()
        headers |= {"X-Linked-Etag": f'"{hub.etag or sha256}"', "X-Linked-Size": str(len(content))}
        if hub.redirect == "elsewhere":
            port = hub.url.rsplit(":", 1)[1]
            return self._redirect(302, f"http://localhost:{port}/files/{sha256}", headers)
        return self._send(content, headers)

    def _redirect(self, status: int, location: str, headers: dict[str, str]) -> None:
        self._head(status, {"Location": location, "Content-Length": "0", **headers})

    def _say(self, status: int, code: str = "", headers: dict[str, str] | None = None) -> None:
        body = json.dumps({"error": code}).encode()
        told = {"X-Error-Code": code} if code else {}
        self._head(status, {"Content-Length": str(len(body)), **told, **(headers or {})})
        if self.command == "GET":
            self.wfile.write(body)

    def _send(self, content: bytes, headers: dict[str, str]) -> None:
        hub = self.hub
        start = 0
        if hub.ranges and (found := re.fullmatch(r"bytes=(\d+)-", self.request_.range)):
            start = int(found[1])
            headers = {**headers, "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        body = content[start:]
        length = {"Transfer-Encoding": "chunked"} if hub.chunked else {"Content-Length": str(len(body))}
        self._head(206 if start else 200, {**length, "Accept-Ranges": "bytes", **headers})
        if self.command == "HEAD":
            return
        if hub.chunked:
            parts = [body[i : i + 10_000] for i in range(0, len(body), 10_000)]
            self.wfile.write(b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b"")))
            self.request_.sent = len(body)
            return
        if hub.breaks_at is not None:
            body = body[: max(0, hub.breaks_at - hub.sent())]
        if hub.hiccup_at is not None:
            body = body[: hub.hiccup_at]
            hub.hiccup_at = None
        self.wfile.write(body)
        self.request_.sent = len(body)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

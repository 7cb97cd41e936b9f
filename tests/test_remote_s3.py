"""Clips and outputs in a bucket of moto's server, or of one that refuses as S3 does; skipped without s3fs or moto."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import fsspec
import pytest
from typer.testing import CliRunner

import birefvideo
from birefvideo.cli import app
from birefvideo.errors import BirefvideoError

pytest.importorskip("s3fs")
_LOOP = fsspec.asyn.get_loop()  # its thread and the one that looks up names stay, and are to be there before any test
_LOOP.set_default_executor(ThreadPoolExecutor(1))
asyncio.run_coroutine_threadsafe(asyncio.to_thread(int), _LOOP).result()

GetClip = Callable[[str], Path]


@pytest.fixture(autouse=True)
def connections() -> Iterator[None]:
    """Close what s3fs would keep open, and let no test take another's credentials."""
    kind: Any = fsspec.get_filesystem_class("s3")
    kind.clear_instance_cache()
    yield
    for store in list(kind._cache.values()):
        if store._s3 is not None:
            fsspec.asyn.sync(_LOOP, store._s3.__aexit__, None, None, None)
    kind.clear_instance_cache()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = pytest.importorskip("moto.server")
    running = moto.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, clip: GetClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in (("ACCESS_KEY_ID", "me"), ("SECRET_ACCESS_KEY", "hidden"), ("ENDPOINT_URL", server)):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("BIREFVIDEO_CACHE", str(tmp_path / "cache"))
    store = fsspec.filesystem("s3", use_listings_cache=False)
    urlopen(Request(f"{server}/moto-api/reset", method="POST")).close()
    store.mkdir("bucket")
    store.pipe_file("bucket/in/plain.mp4", clip("plain").read_bytes())
    return store


def test_a_clip_of_a_bucket_is_matted_into_it_once(bucket: Any, network: Path) -> None:
    made = birefvideo.matte("s3://bucket/in/plain.mp4", "s3://bucket/out/", "matte", model=network)
    assert made.urls == ("s3://bucket/out/plain_matte.mp4", "s3://bucket/out/plain_matte.json")
    assert bucket.find("bucket/out") == ["bucket/out/plain_matte.json", "bucket/out/plain_matte.mp4"]
    assert birefvideo.matte("s3://bucket/in/plain.mp4", "s3://bucket/out/", "matte", model=network).was_done


@pytest.mark.parametrize(
    ("source", "out", "line"),
    [
        ("s3://bucket/none.mp4", "s3://bucket/out/", "s3://bucket/none.mp4 does not exist: check its name"),
        ("s3://bucket/in/plain.mp4", "s3://nobucket/out/", r"does not exist \(The specified bucket does not exist\)"),
    ],
)
def test_a_missing_object_or_bucket_is_one_line(source: str, out: str, line: str, bucket: Any, network: Path) -> None:
    with pytest.raises(BirefvideoError, match=line):
        birefvideo.matte(source, out, "matte", model=network)


def test_a_key_of_any_letters_is_one_file(bucket: Any, network: Path, clip: GetClip) -> None:
    name = "in/a b+c#1 100% ü 日本?x=1&y.mp4"
    bucket.pipe_file(f"bucket/{name}", clip("plain").read_bytes())
    made = birefvideo.matte(f"s3://bucket/{name}", "s3://bucket/öut + #%/", "matte", model=network)
    stem = "bucket/öut + #%/a b+c#1 100% ü 日本?x=1&y_matte"
    assert bucket.find("bucket/öut + #%") == [f"{stem}.json", f"{stem}.mp4"]
    assert made.urls == (f"s3://{stem}.mp4", f"s3://{stem}.json")


class _Refuses(BaseHTTPRequestHandler):
    """Answers all requests with one error, in S3's words; no body comes with that to HEAD."""

    error = (403, "AccessDenied", "Access Denied")

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, code, message = self.error
        body = f"<Error><Code>{code}</Code><Message>{message}</Message><Token-0>a-token</Token-0></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - names of http.server's

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def refuses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[_Refuses]]:
    """A server that answers as its class says, and credentials for it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refuses) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), name="refuses").start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        names = {"ACCESS_KEY_ID": "my-id", "SECRET_ACCESS_KEY": "my-secret", "SESSION_TOKEN": "a-token"}
        for name, value in {**names, "ENDPOINT_URL": endpoint, "DEFAULT_REGION": "us-east-1"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("BIREFVIDEO_CACHE", str(tmp_path / "cache"))
        yield _Refuses
        server.shutdown()


@pytest.mark.parametrize(
    ("error", "of_file", "of_folder"),
    [
        (
            (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
            "(Forbidden): check the credentials and what they allow",
            "(The AWS Access Key Id you provided does not exist in our records.): check the credentials and what they",
        ),
        (
            (400, "ExpiredToken", "The provided token has expired."),
            "(Bad Request): check the credentials, which may have expired, and the region",
            "(The provided token has expired.): check the credentials and what they allow",
        ),
        (
            (400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-west-1'"),
            "(Bad Request): check the credentials, which may have expired, and the region",
            "(the region 'us-east-1' is wrong; expecting 'eu-west-1'): name the bucket's own region and endpoint",
        ),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_what_s3_refuses_is_one_line_without_credentials(
    error: tuple[int, str, str],
    of_file: str,
    of_folder: str,
    refuses: type[_Refuses],
    clip: GetClip,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refuses, "error", error)
    here = f"{tmp_path}/out/"
    for words, line in (
        (["s3://bucket/a.mp4", "-o", here], f"s3://bucket/a.mp4 cannot be read {of_file}"),
        (["s3://bucket/in/", "-o", here], f"s3://bucket/in/ cannot be listed {of_folder}"),
        ([str(clip("plain")), "-o", "s3://bucket/out/"], f"s3://bucket/out/plain_matte.json cannot be read {of_file}"),
    ):
        refused = CliRunner().invoke(app, ["matte", *words, "--to", "matte"])
        assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
        assert line in refused.stderr
        assert not any(secret in refused.output for secret in ("my-id", "my-secret", "a-token"))


def test_without_credentials_the_line_says_so(refuses: type[_Refuses], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(BirefvideoError, match=r"\(Unable to locate credentials\): check the credentials"):
        birefvideo.matte("s3://bucket/a.mp4", "out/")

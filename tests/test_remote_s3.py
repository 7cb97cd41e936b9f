"""Clips and outputs in a bucket, against moto's server; skipped where moto or s3fs is not installed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import fsspec
import pytest

import birefvideo
from birefvideo.errors import BirefvideoError

pytest.importorskip("s3fs")
moto = pytest.importorskip("moto.server")
_LOOP = fsspec.asyn.get_loop()  # its thread and the one that looks up names stay, and are to be there before any test
_LOOP.set_default_executor(ThreadPoolExecutor(1))
asyncio.run_coroutine_threadsafe(asyncio.to_thread(int), _LOOP).result()

GetClip = Callable[[str], Path]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
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
    store = fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True)
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

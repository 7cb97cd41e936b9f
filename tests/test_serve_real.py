"""`birefvideo serve` as a user starts it, with the real command behind it."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra birefvideo[serve] is not installed")
pytest.importorskip("httpx", reason="the extra birefvideo[serve] is not installed")

import httpx
from conftest import GetClip
from studios import Served

DOCS = Path(__file__).parents[1] / "docs" / "serve.md"


def _ended(at: str, key: str, seconds: float = 120) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job: dict[str, Any] = httpx.get(f"{at}/v1/jobs/{key}").json()
        if job["ended"]:
            return job
        time.sleep(0.1)
    raise AssertionError(job)


def test_without_the_extra_one_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from birefvideo.cli import app

    monkeypatch.setattr(
        sys.modules["birefvideo.cli.serve"], "find_spec", lambda name: None if name == "uvicorn" else True
    )
    assert app(["serve"], standalone_mode=False) == 2
    assert capsys.readouterr().err == (
        "birefvideo: serve needs more than is installed (uvicorn): pip install 'birefvideo[serve]'\n"
    )


@pytest.mark.slow
def test_a_killed_server_leaves_no_process_and_its_job_ends_right_later(copy: GetClip, tmp_path: Path) -> None:
    path, data = copy("plain"), tmp_path / "data"
    choices = {"to": "green", "size": "64x64"}
    with Served(data) as server:
        sent = httpx.post(f"{server.at}/v1/jobs", files={"video": path.read_bytes()}, data=choices, timeout=60).json()
        while not httpx.get(f"{server.at}/v1/jobs/{sent['id']}").json()["started"]:
            time.sleep(0.05)
        server.kill()
    with Served(data) as server:
        job = _ended(server.at, sent["id"])
        assert (job["status"], job["progress"]["done"]) == ("succeeded", 12), job
        made = httpx.get(server.at + job["outputs"][0]["url"]).content
    words = ["matte", "--to=green", "--size=64x64", f"--out={tmp_path}/", "--no-receipt", str(path)]
    subprocess.run([sys.executable, "-m", "birefvideo", *words], check=True, capture_output=True)
    alone = (tmp_path / f"{path.stem}_green.mp4").read_bytes()
    assert hashlib.sha256(made).hexdigest() == hashlib.sha256(alone).hexdigest()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_examples_of_the_documentation_work(copy: GetClip, tmp_path: Path) -> None:
    shutil.copy(copy("plain"), tmp_path / "clip.mp4")
    text = DOCS.read_text(encoding="utf-8")
    found = re.findall(r"^(curl .*)$|`(curl [^`]*)`", text, re.MULTILINE)
    examples = [block or inline for block, inline in found]
    assert len(examples) == 7
    with Served(tmp_path / "data") as server:
        upload = key = ""
        for example in examples:
            if "…" in example:  # to be filled in
                continue
            words = shlex.split(example.replace("http://127.0.0.1:8765", server.at))
            identity = upload if "/v1/jobs" in words[-1] and "--json" in words else key
            words = [word.replace('"ID"', f'"{identity}"').replace("/ID/", f"/{identity}/") for word in words]
            answer = subprocess.run([*words, "-sS", "--fail-with-body"], cwd=tmp_path, capture_output=True, text=True)
            assert answer.returncode == 0, (words, answer)
            made = re.search(r'"id": ?"(\w{24})"', answer.stdout)
            assert made
            if "/v1/uploads" in words[-1]:
                upload = made[1]
            else:
                key = made[1]
                httpx.post(f"{server.at}/v1/jobs/{key}/cancel", timeout=60)

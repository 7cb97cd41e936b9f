"""What goes wrong around the page of `birefvideo serve`, in a headless Chromium; behind it are stand-ins."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra birefvideo[serve] is not installed")

from browser import Browser, find_chromium
from studios import COMMAND, FACTS, listening

from birefvideo.errors import InputError
from birefvideo.serve import child
from birefvideo.serve.desk import Desk
from birefvideo.serve.faults import RefusedError

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium or Chrome is installed")

_PNG = base64.b64encode(cv2.imencode(".png", np.zeros((64, 96, 4), np.uint8))[1].tobytes()).decode()
_CATALOGUE = {
    "formats": [
        {
            "name": "prores",
            "description": "for editors (or --background), at once",
            "default": True,
            "unavailable": None,
        }
    ],
    "models": [{"name": "talk", "weights": True, "best_for": "people who talk"}],
}
_ADVICE = {"best": "talk", "choice": "talk", "reason": "one person", "why_not_best": ""}


_DROPPED = """files => {
    const held = new DataTransfer();
    for (const [name, bytes] of files) held.items.add(new File([new Uint8Array(bytes)], name));
    dispatchEvent(new DragEvent("drop", {dataTransfer: held, cancelable: true}));
}"""


class Behind:
    """What the page talks to: stand-ins, which can be kept busy."""

    def __init__(self) -> None:
        self.busy = 0

    async def ask(self, do: str, **values: Any) -> dict[str, Any]:
        if do in ("frame", "advise") and self.busy > 0:
            self.busy -= 1
            raise RefusedError(429, "busy", "too many files are being looked at: try again soon", retry_after=5)
        if do == "probe" and "broken" in values["path"]:
            raise InputError("it is no clip: export it again")
        answers: dict[str, dict[str, Any]] = {
            "probe": FACTS,
            "catalogue": _CATALOGUE,
            "advise": _ADVICE,
            "frame": {"png": _PNG, "time": 0.25},
        }
        return answers.get(do, {"device": "cpu", "outputs": []})


@contextmanager
def _serving(folder: Path, port: int = 0) -> Iterator[int]:
    """A server in a thread, until the block ends; yields its port."""
    ready, ports = threading.Event(), list[int]()
    ending: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def whole() -> None:
        over = asyncio.Event()
        ending.append((asyncio.get_running_loop(), over))
        async with listening(folder, at=port, most_upload=1 << 20) as (found, _):
            ports.append(found)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(whole()))
    thread.start()
    try:
        while not ready.wait(0.05):
            assert thread.is_alive()
        yield ports[0]
    finally:
        for loop, over in ending:
            loop.call_soon_threadsafe(over.set)
        thread.join()


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> Behind:
    found = Behind()
    monkeypatch.setattr(child, "PROGRAM", (sys.executable, str(COMMAND)))
    monkeypatch.setattr(Desk, "ask", lambda desk, do, **values: found.ask(do, **values))
    return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile"), 390, 844) as found:
        yield found


def _drop(browser: Browser, *files: tuple[str, int]) -> None:
    """Drops files of so many bytes on the page, as a mouse does."""
    browser.run(f"({_DROPPED})({json.dumps(files)})")


def _jobs(port: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"http://127.0.0.1:{port}/v1/jobs").json()["jobs"]
    return found


_READY = "document.querySelectorAll('.clip .body:not([hidden]) [name=to]').length"
_CUT = "document.querySelector('.clip .body:not([hidden]) .choices .main').click()"


def test_many_files_are_there_at_once_and_one_that_is_broken_stops_none(
    browser: Browser, behind: Behind, tmp_path: Path
) -> None:
    with _serving(tmp_path / "data") as port:
        browser.open(f"http://127.0.0.1:{port}/")
        behind.busy = 3
        names = [f"clip {number}.mp4" for number in range(8)]
        files = [("broken.mp4", 9), ("large.mp4", (1 << 20) + 1), ("empty.mp4", 0), *((name, 9) for name in names)]
        _drop(browser, *files)
        assert browser.run("document.querySelectorAll('.clip').length") == len(files)
        browser.until(f"{_READY} === {len(names)}")
        facts = browser.run("[...document.querySelectorAll('.clip .facts')].slice(0, 3).map(one => one.textContent)")
        assert facts[0] == "it is no clip: export it again"
        assert facts[1] == "it is larger than this server takes (1.0 MB)"
        assert "empty" in facts[2]
        browser.until("document.querySelectorAll('.stage img[src^=blob]').length === 8")
        browser.run("document.getElementById('cut-all').click()")
        browser.until("document.querySelectorAll('.job.succeeded').length === 8")
        assert {job["name"] for job in _jobs(port)} == set(names)
        assert browser.run("document.querySelectorAll('.clip').length") == 3
        assert not browser.run("document.getElementById('said').textContent.includes('not ready')")


def test_names_in_any_script_are_shown_as_text_and_their_files_are_got(
    browser: Browser, behind: Behind, tmp_path: Path
) -> None:
    names = ["“it's” <b>&amp;.mp4", "👋 שלום.mp4", "a\u202egpm.mp4"]
    with _serving(tmp_path / "data") as port:
        browser.open(f"http://127.0.0.1:{port}/")
        for number, name in enumerate(names, 1):
            _drop(browser, (name, 9))
            browser.until(f"{_READY} === 1")
            assert browser.run("document.querySelector('.clip h2').textContent") == name
            browser.run(_CUT)
            browser.until(f"document.querySelectorAll('.job.succeeded').length === {number}")
            shown = browser.run("document.querySelector('.job .files a').textContent")
            assert shown == f"Download {Path(_jobs(port)[0]['name']).stem}_alpha.mov"
            address = browser.run("document.querySelector('.job .files a').href")
            assert httpx.get(address).content == bytes(range(200))
        assert browser.run("document.documentElement.scrollWidth") <= 390
        _drop(browser, ("clip.mp4", 9))
        browser.until(f"{_READY} === 1")
        shown = browser.run("document.querySelector('.usual label').textContent")
        assert shown == "prores: for editors, at once"
        assert browser.run("document.querySelector('.job b') === null")


def test_a_removed_clip_is_sent_no_further_and_a_stopped_job_begins_again(
    browser: Browser, behind: Behind, tmp_path: Path
) -> None:
    with _serving(tmp_path / "data") as port:
        browser.open(f"http://127.0.0.1:{port}/")
        _drop(browser, ("slow.mp4", 9), ("unwanted.mp4", 9))
        browser.run("[...document.querySelectorAll('.drop-clip')][1].click()")
        assert browser.run("document.activeElement.id") == "pick"
        browser.until(f"{_READY} === 1")
        browser.run(_CUT)
        browser.until("document.querySelector('.job.running') === document.activeElement")
        browser.run("document.querySelector('.job .cancel').click()")
        browser.until("document.querySelector('.job.canceled .again:not([hidden])') !== null")
        browser.run("document.querySelector('.job .again').click()")
        browser.until(f"{_READY} === 1")
        browser.run(_CUT)
        browser.until("document.querySelectorAll('.job.succeeded, .job.running').length === 1")
        assert len(_jobs(port)) == 2
        kept = list((tmp_path / "data" / "uploads").iterdir())
        assert len(kept) == 1


def test_the_page_lives_through_a_server_that_is_away_for_a_while(
    browser: Browser, behind: Behind, tmp_path: Path
) -> None:
    with _serving(tmp_path / "data") as port:
        browser.open(f"http://127.0.0.1:{port}/")
        _drop(browser, ("clip.mp4", 9))
        browser.until(f"{_READY} === 1")
    browser.run("document.dispatchEvent(new Event('visibilitychange'))")
    browser.until("document.getElementById('said').textContent.includes('does not answer')")
    browser.run(_CUT)
    browser.until("document.querySelector('.wrong').textContent.includes('does not answer')")
    browser.run("document.querySelector('.time').dispatchEvent(new Event('input'))")
    browser.until("!document.querySelector('.wait').hidden")
    with _serving(tmp_path / "data", port):
        browser.until("document.getElementById('said').textContent === 'the server answers again'")
        browser.until("document.querySelector('.wait').hidden")
        assert browser.run("document.querySelector('.seen').textContent") == ""
        browser.run(_CUT)
        browser.until("document.querySelector('.job.succeeded') !== null")


def test_leaving_asks_first_while_something_would_be_lost(browser: Browser, behind: Behind, tmp_path: Path) -> None:
    with _serving(tmp_path / "data") as port:
        browser.open(f"http://127.0.0.1:{port}/")
        leave = "!dispatchEvent(new Event('beforeunload', {cancelable: true}))"
        assert not browser.run(leave)
        _drop(browser, ("broken.mp4", 9))
        browser.until("document.querySelector('.clip .facts').textContent.startsWith('it is no clip')")
        assert not browser.run(leave)
        _drop(browser, ("clip.mp4", 9))
        assert browser.run(leave)
        browser.until(f"{_READY} === 1")
        assert browser.run(leave)
        browser.run(_CUT)
        browser.until("document.querySelector('.job.succeeded') !== null")
        assert not browser.run(leave)


def test_a_reload_in_mid_upload_leaves_nothing_and_coming_back_shows_what_others_did(
    browser: Browser, behind: Behind, tmp_path: Path
) -> None:
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1}
    with _serving(tmp_path / "data") as port:
        at = f"http://127.0.0.1:{port}"
        browser.open(f"{at}/")
        browser.call("Network.emulateNetworkConditions", **slow, uploadThroughput=100_000)
        _drop(browser, ("clip.mp4", 1 << 20))
        browser.until("document.querySelector('.clip progress')?.value > 0")
        browser.open(f"{at}/")
        browser.call("Network.emulateNetworkConditions", **slow, uploadThroughput=-1)
        browser.until("document.readyState === 'complete' && !document.querySelector('.clip')")
        deadline = time.monotonic() + 60
        while [*(tmp_path / "data" / "incoming").iterdir(), *(tmp_path / "data" / "uploads").iterdir()]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        keys = [httpx.post(f"{at}/v1/jobs", files={"video": ("a.mp4", b"clip")}).json()["id"] for _ in range(2)]
        browser.open(f"{at}/docs")
        browser.run("history.back()")
        browser.until("document.querySelectorAll('.job.succeeded').length === 2")
        httpx.delete(f"{at}/v1/jobs/{keys[0]}")
        browser.until("document.querySelectorAll('.job').length === 1")
        browser.run("window.confirm = () => true")
        httpx.delete(f"{at}/v1/jobs/{keys[1]}")
        browser.run("document.querySelector('.job .delete')?.click()")
        browser.until("document.querySelectorAll('.job').length === 0")

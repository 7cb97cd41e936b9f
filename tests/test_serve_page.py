"""The page of `birefvideo serve` in a headless Chromium, with the real command behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest

pytest.importorskip("starlette", reason="the extra birefvideo[serve] is not installed")
pytest.importorskip("httpx", reason="the extra birefvideo[serve] is not installed")

import httpx
from browser import Browser, find_chromium
from conftest import GetClip
from studios import Served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium or Chrome is installed"),
]


def _choose(browser: Browser, *files: Path) -> None:
    """Does what dropping files on the page does: gives them to its file input."""
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=root, selector="#pick")["nodeId"]
    browser.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])


def _problems(browser: Browser) -> list[Any]:
    """What the page logged as an error, and what it asked of other hosts."""
    entries = [e["params"]["entry"] for e in browser.events if e.get("method") == "Log.entryAdded"]
    thrown = [e["params"] for e in browser.events if e.get("method") == "Runtime.exceptionThrown"]
    return [entry for entry in entries if entry["level"] == "error"] + thrown


def test_a_person_gets_from_a_dropped_clip_to_a_downloaded_prores(copy: GetClip, tmp_path: Path) -> None:
    path = copy("plain")
    with Served(tmp_path / "data") as server, Browser(tmp_path / "profile") as browser:
        browser.open(f"{server.at}/")
        _choose(browser, path)
        browser.until("document.querySelector('.stage img')?.naturalWidth === 96")
        browser.until("document.querySelectorAll('[name=to]').length > 3")
        browser.until("document.querySelector('.advice').textContent.startsWith('talk: ')")
        assert browser.run("[...document.querySelectorAll('[name=to]:checked')].map(box => box.value).join()") == (
            "prores,green"
        )
        browser.run("document.querySelector('.out').value = '0.3'")
        browser.run("document.querySelector('[name=grow]').value = -2")
        browser.run("document.querySelector('.choices .main').click()")
        browser.until("document.querySelector('.job.succeeded .files a') !== null")
        link = browser.run("document.querySelector('.job .files a').href")
        assert browser.run("document.querySelector('.job .files a').textContent") == f"Download {path.stem}_alpha.mov"
        browser.run("document.querySelector('.job .watch').click()")
        browser.until(
            "document.querySelector('#player iframe').contentDocument?.querySelector('#matte')?.readyState > 1"
        )
        (job,) = httpx.get(f"{server.at}/v1/jobs").json()["jobs"]
        assert job["options"] == {
            "model": "auto", "shrink": "2", "end": "0.3", "review": True, "to": ["prores", "green"],
        }  # fmt: skip
        made = tmp_path / "made.mov"
        made.write_bytes(httpx.get(link).content)
        with av.open(str(made)) as container:
            frames = [frame.format.name for frame in container.decode(video=0)]
        assert frames == ["yuva444p12le"] * 8
        assert not _problems(browser)
        hosts = [
            e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"
        ]
        assert all(url.startswith((server.at, "blob:", "data:", "about:")) for url in hosts)


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, True)])
def test_the_page_fits_its_window(width: int, dark: bool, copy: GetClip, tmp_path: Path) -> None:
    with Served(tmp_path / "data") as server, Browser(tmp_path / "profile", width, 844, dark=dark) as browser:
        browser.open(f"{server.at}/")
        _choose(browser, copy("plain"))
        browser.until("document.querySelectorAll('[name=to]').length > 3")
        assert browser.run("document.documentElement.scrollWidth") <= width
        colour = browser.run("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, colour[4:-1].split(","))) < 200) == dark
        browser.open(f"{server.at}/docs")
        browser.until("document.querySelectorAll('#options tr').length > 10")
        assert browser.run("document.documentElement.scrollWidth") <= width

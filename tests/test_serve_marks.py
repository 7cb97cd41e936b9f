"""Drawing marks on the server's page: what is drawn is seen at once, goes with the job, and comes back with it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra birefvideo[serve] is not installed")
pytest.importorskip("httpx", reason="the extra birefvideo[serve] is not installed")

import cv2
import httpx
from browser import Browser, find_chromium
from services import Served, served

from birefvideo.serve.desk import Desk

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium or Chrome is installed")

FACTS = {"width": 96, "height": 64, "fps": 24.0, "seconds": 2.0, "frames": 48, "is_picture": False}
FORMAT = {"name": "webm", "description": "for web pages", "default": True, "unavailable": ""}
MODEL = {"name": "talk", "best_for": "people", "weights": True}
INNER = "document.querySelector('iframe.marks').contentWindow"


class Looks:
    """Answers as the helper does, at once; knows what it was asked."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []

    async def ask(self, desk: Desk, do: str, **values: Any) -> dict[str, Any]:
        if do == "probe":
            return FACTS
        if do in ("frame", "source"):
            self.frames += [values] if do == "frame" else []
            kind = "png" if do == "frame" else "jpeg"
            picture = np.full((64, 96, 4 if do == "frame" else 3), 200, np.uint8)
            data = cv2.imencode(f".{kind}", picture)[1].tobytes()
            return {kind: base64.b64encode(data).decode(), "time": round(float(values["time"]) * 24) / 24}
        if do == "catalogue":
            return {"formats": [FORMAT], "models": [MODEL]}
        if do == "advise":
            return {"choice": "talk", "best": "talk", "reason": "one person who talks"}
        return {"device": "cpu", "outputs": []}


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: Looks) -> Iterator[Served]:
    with served(tmp_path / "data", monkeypatch) as found:
        monkeypatch.setattr(Desk, "ask", lambda desk, do, **values: looks.ask(desk, do, **values))
        yield found


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path / "profile", 1280, 900) as found:
        yield found


def choose(browser: Browser, server: Served, file: Path) -> None:
    """Opens the page and gives it a clip."""
    browser.open(f"{server.base}/")
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=root, selector="#pick")["nodeId"]
    browser.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])
    browser.until("document.querySelector('.stage img')?.naturalWidth === 96")
    browser.until("document.querySelector('[name=to]') !== null")


def draw(browser: Browser) -> None:
    """Begins to draw."""
    browser.run("document.querySelector('.draw').click()")
    browser.until(
        f"document.querySelector('iframe.marks') && {INNER}.marksPage && {INNER}.document.fonts.status === 'loaded'"
    )
    browser.until(f"{INNER}.document.getElementById('source').naturalWidth === 96")


def places(browser: Browser, *shares: tuple[float, float]) -> list[tuple[float, float]]:
    """Where shares of the picture are in the window."""
    browser.run(f"{INNER}.document.getElementById('canvas').scrollIntoView({{block: 'center'}})")
    outer, inner = (
        browser.run(f"(({{x, y, width, height}}) => [x, y, width, height])({element}.getBoundingClientRect())")
        for element in ("document.querySelector('iframe.marks')", f"{INNER}.document.getElementById('canvas')")
    )
    return [(outer[0] + inner[0] + x * inner[2], outer[1] + inner[1] + y * inner[3]) for x, y in shares]


def touch(browser: Browser, *shares: tuple[float, float]) -> None:
    """Draws with a finger."""
    first, *others = [[{"x": x, "y": y}] for x, y in places(browser, *shares)]
    browser.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=first)
    for points in others:
        browser.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=points)
    browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])


def test_marks_are_seen_at_once_go_with_the_job_and_come_back(
    browser: Browser, server: Served, looks: Looks, tmp_path: Path
) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"a clip")
    choose(browser, server, tmp_path / "clip.mp4")
    draw(browser)
    touch(browser, (0.25, 0.25), (0.5, 0.5))
    browser.run(f"{INNER}.document.querySelector('[data-do=remove]').click()")
    browser.run(f"{INNER}.document.querySelector('[data-shape=box]').click()")
    browser.run(f"{INNER}.document.getElementById('canvas').focus()")
    for key in ("Enter", "ArrowRight", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", "Enter"):
        browser.key(key)
    marks = json.loads(browser.run(f"JSON.stringify({INNER}.marksPage.marks())"))
    stroke, box = marks["marks"]
    assert (stroke["do"], stroke["time"], box["do"]) == ("keep", 1.0, "remove")
    assert stroke["stroke"][0] == pytest.approx([0.25, 0.25], abs=0.01)
    _until(lambda: looks.frames[-1]["marks"] == marks, "the marks are seen in the preview")
    browser.run("document.querySelector('[name=grow]').value = 3")
    browser.run("document.querySelector('.out').value = '1.5'")
    browser.run("document.querySelector('.choices .main').click()")
    browser.until("document.querySelector('.job.succeeded') !== null")
    (job,) = httpx.get(f"{server.base}/v1/jobs").json()["jobs"]
    kept = job["options"]["marks"].removeprefix("upload:")
    assert httpx.get(f"{server.base}/v1/uploads/{kept}/file").json() == marks
    assert [word for word in server.words(job["id"]) if word.startswith("--marks=")] == [
        f"--marks={server.folder}/uploads/{kept}/marks.json"
    ]
    browser.run("document.querySelector('.job .watch').click()")
    browser.run("document.querySelector('#player .correct').click()")
    browser.until(f"document.querySelector('iframe.marks') && {INNER}.marksPage?.marks() != null")
    assert json.loads(browser.run(f"JSON.stringify({INNER}.marksPage.marks())")) == marks
    assert browser.run("document.querySelector('[name=grow]').value") == "3"
    assert browser.run("document.querySelector('.out').value") == "1.5"
    assert not [e for e in browser.events if e.get("method") == "Runtime.exceptionThrown"]


def test_what_the_form_cannot_say_comes_back_with_a_clip_and_can_be_dropped(browser: Browser, server: Served) -> None:
    choices = {"to": "webm", "device": "cpu", "strict": "true", "grow": "30", "feather": "1.50", "levels": "0.05,0.9"}
    files = {"video": ("clip.mp4", b"a clip"), "background": ("wall.png", b"a wall")}
    sent = httpx.post(f"{server.base}/v1/jobs", files=files, data=choices).json()
    browser.open(f"{server.base}/")
    browser.until("document.querySelector('.job.succeeded') !== null")
    browser.run("document.querySelector('.job .again').click()")
    rows = "[...document.querySelectorAll('.also li')].map(row => row.firstChild.data).sort().join(' | ')"
    browser.until(f"{rows} !== ''")
    assert browser.run(rows) == "background: the same file | device: cpu | grow: 30 | strict"
    browser.run("document.querySelector('.also [aria-label=\"Remove strict\"]').click()")
    browser.run(
        "document.querySelector('[name=feather]').value = 2;"
        "document.querySelector('[name=feather]').dispatchEvent(new Event('input', {bubbles: true}))"
    )
    assert browser.run(rows) == "background: the same file | device: cpu | grow: 30"
    browser.run("document.querySelector('.choices .main').click()")
    browser.until("document.querySelectorAll('.job.succeeded').length === 2")
    again = httpx.get(f"{server.base}/v1/jobs").json()["jobs"][0]
    changes = {"model": "auto", "feather": "2", "review": False}
    assert again["options"] == {**{n: v for n, v in sent["options"].items() if n != "strict"}, **changes}
    assert not [e for e in browser.events if e.get("method") == "Runtime.exceptionThrown"]


_FOCUSED = """(() => {
  let one = document.activeElement;
  if (one.tagName === 'IFRAME') one = one.contentDocument.activeElement;
  const shown = one.id === 'pick' || one.type === 'file' ? one.parentElement : one;
  one.dataset.seen = getComputedStyle(shown).outlineStyle;
  return one.textContent.trim();
})()"""
_UNSEEN = """[document, document.querySelector('iframe.marks').contentDocument].flatMap(page =>
  [...page.querySelectorAll('button, select, input, summary, a[href], [tabindex="0"]')]
    .filter(one => one.checkVisibility() && !one.disabled && (one.dataset.seen ?? 'none') === 'none')
    .map(one => one.outerHTML.slice(0, 100)))"""


def test_every_control_is_reached_by_tab_and_shows_that_it_is(browser: Browser, server: Served, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"a clip")
    choose(browser, server, tmp_path / "clip.mp4")
    draw(browser)
    browser.run("document.getElementById('pick').focus()")
    texts = []
    for _ in range(70):
        texts.append(browser.run(_FOCUSED))
        for kind in ("rawKeyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert browser.run(_UNSEEN) == []
    order = ["Keep", "Stroke", "Undo", "Checkerboard", "Stop drawing", "Begin here", "Cut out"]
    assert [text for text in dict.fromkeys(texts) if text in order] == order


def test_marks_that_name_files_are_refused(tmp_path: Path) -> None:
    from birefvideo.errors import OptionError
    from birefvideo.serve.helper import check

    secret = tmp_path / "secret.png"
    cv2.imwrite(str(secret), np.zeros((4, 4), np.uint8))
    marks = tmp_path / "marks.json"
    marks.write_text(json.dumps({"birefvideo_marks": 1, "mend": [{"alpha": str(secret), "frame": 1}]}))
    for name in (str(secret), str(tmp_path / "nothing.png")):
        marks.write_text(json.dumps({"birefvideo_marks": 1, "mend": [{"alpha": name, "frame": 1}]}))
        with pytest.raises(OptionError, match="marks has mend, which names files on your own machine"):
            check("clip.mp4", {"marks": str(marks)}, ["webm"], str(tmp_path), [str(marks)], 1 << 20)


def _until(condition: Any, what: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)

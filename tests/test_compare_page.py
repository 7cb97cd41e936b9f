"""The page and the sheet of a comparison: whole in one file, within bounds, and usable by keyboard and on a phone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser, find_chromium

from birefvideo.comparison import page as pages
from birefvideo.comparison.choices import Absent, LeftOut
from birefvideo.comparison.disagreement import Edge, spread_of
from birefvideo.comparison.mattes import Row
from birefvideo.comparison.page import Words, render_page
from birefvideo.comparison.sheet import LONGEST, draw_sheet
from birefvideo.comparison.views import CloseUp, View

needs_chromium = pytest.mark.skipif(find_chromium() is None, reason="no Chromium here")
EVIL = "</script><img src=x onerror=alert(1)>{{data}}"


def cutouts(count: int, width: int, height: int) -> tuple[Any, ...]:
    """Half of the picture each, in a colour of its own; every one ends a little farther to the right."""
    made = []
    for index in range(count):
        one = np.zeros((height, width, 4), np.uint8)
        one[:, : width // 2 + 2 * index] = (40 * index % 256, 200, 90, 255)
        made.append(one)
    return tuple(made)


def view(count: int, width: int = 160, height: int = 90, seconds: float = 0.0, backdrop: Any = None) -> View:
    shown = cutouts(count, width, height)
    source = np.full((height, width, 3), (10, 20, 220), np.uint8)
    return View(seconds, "motion", source, shown, spread_of(shown), backdrop)


def row(label: str) -> Row:
    return Row(label, label, None, (64, 64), (64, 64), 0.25, 700_000_000, (0.5, 0.5))


def rendered(labels: list[str], views: list[View], title: str = "clip.mp4", **changes: Any) -> str:
    closer = [
        CloseUp(Edge(0, 60, 20, 40, 30, 9.0), views[0].source[20:50, 60:100], _parts(views[0]), (160, 90), 1.0),
    ]
    words = {
        "title": title, "facts": "160×90", "device": "cpu", "recommended": labels[0], "reason": "because",
        "changes": ["fast motion → matting"], "commands": [f"birefvideo matte {label}" for label in labels],
        "times": ["12 s"] * len(labels), **changes,
    }  # fmt: skip
    left = [LeftOut("hr", f"it takes long {title}")]
    missing = [Absent("general", "mixed content", "birefvideo models --download general", "")]
    return render_page(Words(**words), [row(label) for label in labels], views, closer, left, missing)


def _parts(shown: View) -> tuple[Any, ...]:
    return tuple(one[20:50, 60:100] for one in shown.cutouts)


def test_no_text_breaks_out_of_the_page_and_nothing_is_loaded() -> None:
    html = rendered([EVIL, "b"], [view(2)], title=EVIL, reason=EVIL, changes=[EVIL], commands=[EVIL, EVIL])
    assert "<img src=x" not in html and html.count("</script>") == 2
    start = html.index('id="data">') + len('id="data">')
    data = json.loads(html[start : html.index("</script>", start)])
    assert data["rows"][0]["label"] == data["title"] == EVIL
    assert "http:" not in html and "https:" not in html and "default-src 'none'" in html


def test_the_page_is_no_larger_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_FOR_PICTURES", 40_000)
    noise = np.random.default_rng(2)
    shown = tuple(noise.integers(0, 255, (160, 240, 4), np.uint8) for _ in range(5))
    source = noise.integers(0, 255, (160, 240, 3), np.uint8)
    views = [View(float(n), "spread", source, shown, spread_of(shown), source) for n in range(3)]
    labels = [f"model {number}" for number in range(5)]
    plain = len(rendered(labels, [view(5)]))
    assert len(rendered(labels, views)) < plain + 40_000 * 4 / 3


@pytest.mark.parametrize(
    ("columns", "rows", "size"),
    [(1, 1, (160, 90)), (1, 12, (90, 160)), (19, 6, (96, 96)), (40, 2, (240, 20))],
)
def test_a_sheet_has_at_most_4000_pixels_either_way(columns: int, rows: int, size: tuple[int, int]) -> None:
    sheet = draw_sheet("clip.mp4", [f"model-{n}" for n in range(columns)], [view(columns, *size) for _ in range(rows)])
    assert max(sheet.shape) <= LONGEST and sheet.shape[0] * sheet.shape[1] <= 9e6


def test_a_block_of_the_sheet_has_alpha_and_three_grounds() -> None:
    red = np.array((200, 30, 20), np.uint8)
    for backdrop, last in ((None, (24, 26, 30)), (red, (200, 30, 20))):
        sheet = draw_sheet("a", ["talk"], [view(1, 440, 248, backdrop=backdrop)])
        height, width = sheet.shape[:2]
        shown = {tuple(map(int, sheet[y, x])) for y in range(0, height, 5) for x in range(0, width, 5)}
        assert {(0, 0, 0), (255, 255, 255), (0, 177, 64), last, (10, 20, 220)} <= shown


# -- in a browser


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A browser with a page of three models and two frames."""
    path = tmp_path / "clip_compare.html"
    views = [view(3), view(3, seconds=1.5)]
    path.write_text(rendered(["talk", "portrait", "matting"], views), encoding="utf-8")
    with Browser(tmp_path / "profile") as browser:
        browser.open(path.as_uri())
        browser.until("document.body.dataset.ready === '1'")
        yield browser


@needs_chromium
def test_the_swipe_goes_by_keys_and_by_pointer(browser: Browser) -> None:
    assert browser.run("[names[$('above-pick').value], names[$('under-pick').value]]") == ["talk", "portrait"]
    browser.run("$('grip').focus()")
    for key, place in (("ArrowLeft", 48), ("ArrowRight", 50), ("Home", 0), ("End", 100)):
        browser.key(key)
        assert browser.run("Number($('grip').getAttribute('aria-valuenow'))") == place
    browser.run("$('stage').scrollIntoView()")
    x, y, width = browser.run("(({x, y, width}) => [x, y, width])($('stage').getBoundingClientRect())")
    for kind, share in (("mousePressed", 0.5), ("mouseMoved", 0.25), ("mouseReleased", 0.25)):
        pressed = {"button": "left", "buttons": 1, "clickCount": 1}
        browser.call("Input.dispatchMouseEvent", type=kind, x=x + share * width, y=y + 20, **pressed)
    assert browser.run("Math.round(at)") == 25
    browser.key("x")
    assert browser.run("$('tag-above').textContent") == "portrait"
    browser.key("n")
    assert browser.run("place") == 1 and browser.run("document.activeElement.id") == "grip"


@needs_chromium
def test_views_backgrounds_and_frames_change_what_is_shown(browser: Browser) -> None:
    tile = "getComputedStyle(document.querySelector('#tiles .matte')).backgroundColor"
    browser.key("b")
    assert browser.run(tile) == "rgb(0, 177, 64)"
    browser.key("a")
    assert browser.run(tile) == "rgb(0, 0, 0)" and browser.run("document.body.className") == "is-alpha"
    browser.key("f")
    assert browser.run("frame") == 1
    assert browser.run("document.querySelectorAll('#tiles figure').length") == 5
    assert browser.run("$('facts').textContent") == "160×90"
    assert browser.run("[...document.querySelectorAll('tr.best th')].map(one => one.textContent)") == ["talk"]


@needs_chromium
def test_a_command_is_copied(browser: Browser) -> None:
    browser.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    browser.run("document.querySelectorAll('#rows button')[1].click()")
    browser.until("$('said').textContent.length > 0")
    assert browser.run("$('said').textContent") in (
        "Copied: birefvideo matte portrait",
        "Press Ctrl+C to copy the selected command",
    )


@needs_chromium
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_runs_off_the_screen_and_nothing_comes_from_a_network(browser: Browser, width: int) -> None:
    browser.resize(width, 800)
    browser.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("$('stage').getBoundingClientRect().right") <= width
    small = "[...document.querySelectorAll('button')].filter(b => b.offsetParent && b.offsetHeight < 30).length"
    assert browser.run(small) == 0
    urls = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    assert all(url.startswith(("file:", "blob:", "data:")) for url in urls), urls
    assert not [e for e in browser.events if e["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]

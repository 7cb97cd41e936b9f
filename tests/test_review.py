"""The review page: whole in one file, nothing from a network, and the matte shown transparent where it is."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser, find_chromium
from outputs import disc, with_matte, write_parts
from typer.testing import CliRunner

import birefvideo
from birefvideo.cli import app
from birefvideo.frames import Alpha
from birefvideo.jobs import receipts_and_review
from birefvideo.jobs.review import Clip, Redrawable, Reviewable, render, script
from birefvideo.matting.flicker import Suspect
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.media.writing.composer import EncodeSettings
from birefvideo.media.writing.proxy import MATTE_PROXY, SOURCE_PROXY, proxy_info
from birefvideo.media.writing.segment_writer import open_review_writer

GetClip = Callable[[str], Path]
needs_chromium = pytest.mark.skipif(find_chromium() is None, reason="no Chromium here")


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_review_adds_one_page_that_holds_everything(copy: GetClip, network: Path) -> None:
    source = copy("vfr")
    result = CliRunner().invoke(app, ["matte", str(source), "--model", str(network), "--to", "prores", "--review"])
    assert result.exit_code == 0, result.output
    assert "vfr_review.html" in result.stdout
    assert {path.name for path in source.parent.iterdir()} == {
        "vfr.mp4",
        "vfr_alpha.mov",
        "vfr_alpha.json",
        "vfr_review.html",
    }
    page = source.with_name("vfr_review.html").read_text(encoding="utf-8")
    data = data_of(page)
    assert data["matte"] is None and data["source"] is None
    assert len(data["coverage"]) == len(data["flicker"]) == 12 and len(data["times"]) == 13
    assert data["times"][1] == pytest.approx(500 / 12000, abs=1e-6) and data["times"][-1] > data["times"][-2]
    assert data["receipts"]["vfr_alpha.mov"]["verified"]["frames"] == 12
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", page), "nothing from a network"


def test_videos_too_large_for_the_page_lie_beside_it(
    copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts_and_review, "EMBEDDED_BYTES", 10)
    source = copy("plain").rename(copy("plain").with_name("my take #1.mp4"))
    made = birefvideo.matte(source, to=["webm"], model=str(network), review=True)
    assert made.review is not None
    data = data_of(made.review.read_text(encoding="utf-8"))
    assert data["matte"] == "my%20take%20%231_alpha.webm", "the output itself"
    assert data["source"] == "my%20take%20%231_review.mp4"
    assert source.with_name("my take #1_review.mp4").exists()
    made.outputs[0].unlink()
    result = CliRunner().invoke(app, ["matte", str(source.parent), "--model", str(network), "--to", "matte"])
    assert result.exit_code == 0 and not source.with_name("my take #1_review_matte.mp4").exists()
    with pytest.raises(birefvideo.errors.OutputError, match="exists already"):
        birefvideo.matte(source, to=["green"], model=str(network), review=True)


def test_no_text_breaks_out_of_the_page(tmp_path: Path) -> None:
    video = tmp_path / "a.webm"
    video.write_bytes(b"\x1aE")
    name = "</script><img src=x onerror=alert(1)>{{matte}}"
    page = render(
        Reviewable(
            title=name,
            matte=Clip(video, None),
            source=Clip(video, None),
            size=(64, 48),
            times=[0.0, 0.04],
            coverage=[0.5],
            flicker=[0.0],
            suspects=[Suspect(0, "jump")],
            receipts={name: {"input": {"name": name}}},
            again=Redrawable(name, [[name]], {"note": name}, (64, 48), 0.0),
        )
    )
    assert "<img" not in page
    assert data_of(page)["title"] == name
    assert f"<script>{script()}</script>" in page and "{{" not in script(), "a server allows it by its hash"


@pytest.mark.parametrize("name", ["plain", "wide_pixels", "odd_444", "hdr", "ten_bit"])
def test_proxies_are_small_even_and_square(
    clip: GetClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("birefvideo.media.writing.proxy.LONG_SIDE", 60)
    info = probe(clip(name))
    shown = proxy_info(info)
    assert max(shown.width, shown.height) == 60 and shown.width % 2 == shown.height % 2 == 0
    wanted = info.width * info.sample_aspect_ratio / info.height
    assert shown.width / shown.height == pytest.approx(float(wanted), rel=0.06)
    for format in (MATTE_PROXY, SOURCE_PROXY):
        with open_review_writer(
            tmp_path / f"a{format.extension}", format, info, EncodeSettings(premultiplied=True)
        ) as writer:
            for frame in read_frames(info):
                writer.write(with_matte(frame, disc(frame)))
        found = probe(tmp_path / f"a{format.extension}")
        assert (found.width, found.height) == (shown.width, shown.height)


# -- in a browser


def halves(height: int, width: int) -> Alpha:
    """Opaque on the left half, empty on the right."""
    alpha = np.zeros((height, width), np.float32)
    alpha[:, : width // 2] = 1
    return alpha


@pytest.fixture
def page(clip: GetClip, tmp_path: Path) -> Path:
    """The page of a clip whose matte is its left half."""
    info, frames = probe(clip("short_gops")), list(read_frames(probe(clip("short_gops"))))
    shown = [with_matte(frame, halves(info.height, info.width)) for frame in frames]
    (matte,) = write_parts(tmp_path, MATTE_PROXY, info, shown)
    source = tmp_path / "source.mp4"
    with open_review_writer(source, SOURCE_PROXY, info, EncodeSettings()) as writer:
        for frame in shown:
            writer.write(frame)
    path = tmp_path / "clip_review.html"
    path.write_text(
        render(
            Reviewable(
                title="clip.mp4",
                matte=Clip(matte, None),
                source=Clip(source, None),
                size=(info.width, info.height),
                times=[float(frame.seconds) for frame in frames] + [1.0],
                coverage=[0.5] * 24,
                flicker=[0.0] * 24,
                suspects=[Suspect(7, "dropout"), Suspect(15, "flicker")],
                receipts={},
                again=Redrawable("job", [["birefvideo", "matte"], ["clip.mp4"]], None, (info.width, info.height), 0.0),
            )
        ),
        encoding="utf-8",
    )
    return path


@pytest.fixture
def browser(page: Path, tmp_path: Path) -> Iterator[Browser]:
    """A browser with that page open and its first frame shown."""
    with Browser(tmp_path / "profile") as browser:
        browser.open(page.as_uri())
        browser.until("stage.dataset.ready === '1' && matte.readyState > 1 && source.readyState > 1")
        yield browser


def settled(browser: Browser) -> None:
    browser.until("!matte.seeking && !source.seeking")
    browser.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def patches(browser: Browser) -> tuple[list[int], list[int]]:
    """RGB in the middle of the stage's lower left and lower right quarter, once two shots agree."""
    box = browser.run("(({x, y, width, height}) => [x, y, width, height])(stage.getBoundingClientRect())")
    x, y, width, height = (round(side) for side in box)
    last: tuple[list[int], list[int]] | None = None
    for _ in range(40):
        shot = browser.shot()
        rows = slice(y + round(0.8 * height), y + round(0.9 * height))
        found = tuple(
            [round(float(value)) for value in shot[rows, x + round(a * width) : x + round(b * width)].mean((0, 1))]
            for a, b in ((0.05, 0.15), (0.8, 0.9))
        )
        if found == last:
            return found
        last = found  # type: ignore[assignment]
        time.sleep(0.1)
    raise AssertionError("the page does not come to rest")


@needs_chromium
def test_the_page_shows_through_where_the_matte_is_empty(browser: Browser) -> None:
    settled(browser)
    for colour in ([255, 255, 255], [0, 0, 0], [208, 52, 44], [12, 200, 90]):
        browser.run(f"paint('#{bytes(colour).hex()}', null)")
        solid, empty = patches(browser)
        assert np.abs(np.subtract(empty, colour)).max() <= 1, "transparent pixels are the page's own colour"
        assert np.abs(np.subtract(solid, [50, 110, 90])).max() <= 25, "opaque ones are the clip's"
    browser.run("look('alpha')")
    assert patches(browser) == ([255] * 3, [0] * 3)
    browser.run("look('source')")
    _, right = patches(browser)
    assert np.abs(np.subtract(right, [85, 110, 90])).max() <= 25
    browser.run("look('wipe'); wipe(20); paint('#ffffff', null)")
    assert patches(browser)[1] == [255] * 3
    urls = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    assert all(url.startswith(("file:", "blob:", "data:")) for url in urls), urls
    assert not [e for e in browser.events if e["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]


@needs_chromium
def test_keys_and_clicks_lead_to_frames(browser: Browser) -> None:
    frame = "frame"
    for key, wanted in (("ArrowRight", 1), ("End", 23), ("ArrowLeft", 22), ("Home", 0), ("n", 7), ("n", 15), ("p", 7)):
        browser.key(key)
        assert browser.run(frame) == wanted, key
    settled(browser)
    assert browser.run("frameAt(matte.currentTime)") == browser.run("frameAt(source.currentTime)") == 7
    browser.run("document.querySelectorAll('#suspects button')[1].click()")
    assert browser.run(frame) == 15
    browser.key(" ")
    browser.until("!matte.paused && !source.paused")
    browser.key(" ")
    browser.until("matte.paused && source.paused")
    for key, view in (("a", "alpha"), ("w", "wipe"), ("s", "source"), ("v", "matte")):
        browser.key(key)
        assert browser.run("view") == view
        assert browser.run("document.querySelector('[data-view][aria-pressed=true]').dataset.view") == view


@needs_chromium
def test_zoom_is_in_pixels_of_the_picture_and_what_does_not_fit_is_reached(browser: Browser) -> None:
    settled(browser)
    fitting = browser.run("stage.clientWidth")
    browser.run("document.querySelector('[data-zoom=\"4\"]').click()")
    assert browser.run("stage.clientWidth * devicePixelRatio / data.width") == pytest.approx(4, abs=0.01)
    browser.run("document.getElementById('window').scrollTo(1e6, 1e6)")
    gap = "stage.getBoundingClientRect().bottom - document.getElementById('window').getBoundingClientRect().bottom"
    assert abs(browser.run(gap)) <= 20
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    browser.key("z")
    assert browser.run("stage.clientWidth") == fitting


@needs_chromium
@pytest.mark.parametrize("width", [320, 390, 1200])
def test_nothing_runs_off_a_narrow_screen(browser: Browser, width: int) -> None:
    browser.resize(width, 800)
    settled(browser)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("[...document.querySelectorAll('button')].every(b => !b.offsetParent || b.offsetHeight >= 34)")

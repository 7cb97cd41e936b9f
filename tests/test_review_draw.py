"""Drawing marks on the review page: what is drawn by mouse, touch and keyboard is what `--marks` reads."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser, find_chromium
from outputs import with_matte
from test_review import data_of
from test_two_passes import alpha_of
from typer.testing import CliRunner

import birefvideo
from birefvideo.cli import app
from birefvideo.directing.marks import Marks, Shape
from birefvideo.directing.read_marks import parse_marks
from birefvideo.errors import InputError
from birefvideo.jobs.review import Clip, Redrawable, Reviewable, render
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.media.writing.composer import EncodeSettings
from birefvideo.media.writing.proxy import MATTE_PROXY, SOURCE_PROXY
from birefvideo.media.writing.segment_writer import open_review_writer

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium here")

GetClip = Callable[[str], Path]
CLIP = (640, 480)
"""Size that the page is told of its clip, ten times that of the copies shown."""
FRAMES, RATE = 24, 24
LEAD = 2.0
"""Where in its clip the page's output begins, in seconds."""
COMMAND = [["birefvideo", "matte"], ["a clip.mp4"], ["--subject", "left"], ["--people=2"], ["--shrink", "1"]]


@pytest.fixture(scope="module")
def videos(clip: GetClip, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A page's copies of a matte and its source."""
    folder = tmp_path_factory.mktemp("videos")
    info = probe(clip("short_gops"))
    paths = folder / "matte.webm", folder / "source.mp4"
    for path, format in zip(paths, (MATTE_PROXY, SOURCE_PROXY), strict=True):
        with open_review_writer(path, format, info, EncodeSettings()) as writer:
            for frame in read_frames(info):
                writer.write(with_matte(frame, np.ones((info.height, info.width), np.float32)))
    return paths


def written(path: Path, videos: tuple[Path, Path], marks: dict[str, Any] | None = None, job: str = "a job") -> Path:
    """A page of 24 frames in one second."""
    page = render(
        Reviewable(
            title="a clip.mp4",
            matte=Clip(videos[0], None),
            source=Clip(videos[1], None),
            size=(64, 48),
            times=[number / RATE for number in range(FRAMES + 1)],
            coverage=[0.5] * FRAMES,
            flicker=[0.0] * FRAMES,
            suspects=[],
            receipts={},
            again=Redrawable(job, COMMAND, marks, CLIP, LEAD),
        )
    )
    path.write_text(page, encoding="utf-8")
    return path


class Hand:
    """What draws on an open page: places are shares of the picture."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    def open(self, page: Path) -> None:
        self.browser.open(page.as_uri())
        self.browser.until("stage.dataset.ready === '1' && matte.readyState > 1 && source.readyState > 1")
        self.browser.key("d")

    def take(self, do: str, shape: str = "") -> None:
        self.browser.run(f"document.querySelector('[data-do={do}]').click()")
        if shape:
            self.browser.run(f"document.querySelector('[data-shape={shape}]').click()")

    def on_screen(self, places: Sequence[tuple[float, float]], *, scroll: bool = True) -> list[tuple[float, float]]:
        if scroll:
            self.browser.run("canvas.scrollIntoView({block: 'center'})")
            self.browser.settle()
        x, y, w, h = self.browser.run("(b => [b.x, b.y, b.width, b.height])(stage.getBoundingClientRect())")
        left, top = self.browser.run("[visualViewport.offsetLeft, visualViewport.offsetTop]")
        return [(x + across * w - left, y + down * h - top) for across, down in places]

    def mouse(self, *places: tuple[float, float], pointer: str = "mouse", scroll: bool = True) -> None:
        points = self.on_screen(places, scroll=scroll)
        kinds = ["mousePressed", *["mouseMoved"] * (len(points) - 1), "mouseReleased"]
        for kind, (x, y) in zip(kinds, [*points, points[-1]], strict=True):
            how = {"button": "left", "buttons": 1, "clickCount": 1, "pointerType": pointer}
            self.browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **how)

    def touch(self, *places: tuple[float, float]) -> None:
        first, *others = [[{"x": x, "y": y}] for x, y in self.on_screen(places)]
        self.browser.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=first)
        for points in others:
            self.browser.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=points)
        self.browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def keys(self, *keys: str) -> None:
        self.browser.run("canvas.focus()")
        for key in keys:
            self.browser.key(key)

    @property
    def file(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(self.browser.run("JSON.stringify(marksFile())"))
        return values

    @property
    def marks(self) -> Marks:
        return parse_marks(self.file, "the page's marks")

    @property
    def said(self) -> str:
        text: str = self.browser.run("$('said').textContent")
        return text


@pytest.fixture(scope="module")
def one_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def hand(one_browser: Browser, videos: tuple[Path, Path], tmp_path: Path) -> Iterator[Hand]:
    """A hand on a page that has no draft."""
    one_browser.events.clear()
    one_browser.resize(1200, 900)
    hand = Hand(one_browser)
    hand.open(written(tmp_path / "clip_review.html", videos, job=str(tmp_path)))
    yield hand
    assert not [e for e in one_browser.events if e["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
    urls = [e["params"]["request"]["url"] for e in one_browser.events if e["method"] == "Network.requestWillBeSent"]
    assert all(url.startswith(("file:", "blob:", "data:")) for url in urls), urls


def near(shape: Shape, points: Sequence[tuple[float, float]], pixels: float = 0.01) -> bool:
    return bool(np.abs(np.subtract(shape.points, points)).max() <= pixels)


def test_strokes_on_an_enlarged_picture_lie_where_they_were_drawn_and_do_not_move_it(hand: Hand) -> None:
    hand.browser.resize(700, 900)
    hand.browser.run("data.width *= 10; data.height *= 10; document.querySelector('[data-zoom=\"2\"]').click()")
    assert hand.browser.run("stage.clientWidth > 1.5 * $('window').clientWidth")
    hand.browser.run("$('window').scrollTo(200, 150)")
    at = hand.browser.run("[$('window').scrollLeft, $('window').scrollTop]")
    middle = [(0.35, 0.35), (0.5, 0.45)]
    hand.mouse(*middle, scroll=False)
    assert hand.browser.run("[$('window').scrollLeft, $('window').scrollTop]") == at
    (mark,) = hand.marks.marks
    assert near(mark.keys[0].shape, middle, 1 / hand.browser.run("stage.clientWidth"))


@pytest.mark.parametrize(
    ("width", "height", "scale", "zoom"),
    [(1200, 900, 1, 1), (390, 700, 3, 1), (1200, 400, 1.5, 1), (390, 700, 2, 1.25)],
)
def test_a_stroke_lies_where_it_was_drawn_at_any_size(
    hand: Hand, width: int, height: int, scale: float, zoom: float
) -> None:
    hand.browser.resize(width, height, scale)
    hand.browser.run("$('brush').value = 5; tools()")
    hand.browser.key("End")
    hand.browser.call("Emulation.setPageScaleFactor", pageScaleFactor=zoom)  # as two fingers do
    assert hand.browser.run("visualViewport.scale") == zoom
    places = [(0.25, 0.25), (0.5, 0.25), (0.5, 0.75)]
    hand.mouse(*places)
    hand.browser.call("Emulation.setPageScaleFactor", pageScaleFactor=1)
    (mark,) = hand.marks.marks
    assert (mark.do, mark.carry) == ("keep", True)
    (key,) = mark.keys
    assert key.time == Fraction(f"{LEAD + 23 / 24:.6f}"), "seconds from the clip's first frame"
    assert key.shape.kind == "stroke" and key.shape.width == 0.05
    assert near(key.shape, places, 1 / hand.browser.run("stage.clientWidth"))


def test_boxes_points_and_polygons_are_drawn_by_touch(hand: Hand) -> None:
    hand.browser.resize(390, 700, 2)
    hand.take("remove", "box")
    hand.touch((0.8, 0.9), (0.5, 0.5), (0.2, 0.1))
    hand.take("keep", "polygon")
    for place in ((0.2, 0.2), (0.8, 0.2), (0.5, 0.8)):
        hand.touch(place)
    assert len(hand.marks.marks) == 1, "a polygon is open until it is finished"
    hand.touch((0.2, 0.2))
    hand.take("subject")
    hand.touch((0.1, 0.2))
    hand.touch((0.6, 0.7))
    marks = hand.marks.marks
    assert len(marks) == 3, "a second subject takes the place of the first"
    box, polygon, subject = marks
    assert box.do == "remove" and near(box.keys[0].shape, [(0.2, 0.1), (0.8, 0.9)], 0.003)
    assert not box.carry and box.keys[0].time is None, "a box is a plain area of the whole clip"
    assert polygon.do == "keep" and near(polygon.keys[0].shape, [(0.2, 0.2), (0.8, 0.2), (0.5, 0.8)], 0.003)
    assert subject.do == "subject" and near(subject.keys[0].shape, [(0.6, 0.7)], 0.003)


def test_everything_is_drawn_by_keyboard(hand: Hand) -> None:
    hand.take("keep", "box")
    hand.keys("Enter", *["ArrowRight"] * 20, *["ArrowDown"] * 15, "Enter")
    hand.take("remove", "polygon")
    hand.keys("Enter", *["ArrowLeft"] * 40, "Enter", *["ArrowUp"] * 30, "Enter", "f")
    hand.take("remove", "stroke")
    hand.keys("Enter", *["ArrowRight"] * 10, "Enter")
    hand.take("keep", "point")
    hand.keys("Enter")
    box, polygon, stroke, point = (mark.keys[0].shape for mark in hand.marks.marks)
    assert near(box, [(0.5, 0.5), (0.6, 0.6)], 1e-6)
    assert near(polygon, [(0.6, 0.6), (0.4, 0.6), (0.4, 0.4)], 1e-6)
    assert near(stroke, [(0.4, 0.4), (0.45, 0.4)], 1e-6)
    assert near(point, [(0.45, 0.4)], 1e-6)
    assert hand.browser.run("frame") == 0, "arrows that move the cursor leave the frame"
    hand.keys("Enter", "Escape")
    assert len(hand.marks.marks) == 5, "a point is set at once"


def test_nothing_lies_outside_of_the_picture(hand: Hand) -> None:
    hand.take("keep", "point")
    hand.keys(*["ArrowRight"] * 101, *["ArrowDown"] * 80, "Enter")
    hand.take("remove", "box")
    hand.mouse((0.9, 0.9), (1.3, 1.2), pointer="pen")
    hand.marks.placed(*CLIP, Fraction(0), None)
    assert hand.file["marks"][0]["point"] == [0.99999, 0.99999]
    assert hand.file["marks"][1]["box"][2:] == [1, 1]


def test_undo_redo_and_delete_lead_back_and_forth(hand: Hand) -> None:
    hand.take("keep", "point")
    hand.mouse((0.5, 0.5))
    hand.take("remove", "box")
    hand.mouse((0.1, 0.1), (0.3, 0.3))
    both = hand.file
    hand.browser.run("document.querySelector('[data-at=\"0:delete\"]').click()")
    assert [mark.do for mark in hand.marks.marks] == ["remove"]
    hand.browser.run("$('undo').click()")
    assert hand.file == both
    hand.browser.run("$('undo').click(); $('undo').click(); $('undo').click()")
    assert not hand.marks and "nothing to undo" in hand.said
    hand.browser.run("$('redo').click(); $('redo').click(); $('redo').click()")
    assert [mark.do for mark in hand.marks.marks] == ["remove"]
    hand.browser.run("$('clear').click()")
    assert not hand.marks


def test_a_range_covers_exactly_the_frames_it_names(hand: Hand) -> None:
    hand.take("remove", "box")
    hand.mouse((0.1, 0.1), (0.3, 0.3))
    hand.browser.run("show(7); setHowLong(0, 'range'); document.querySelector('[data-at=\"0:from-here\"]').click()")
    hand.browser.run("show(9); document.querySelector('[data-at=\"0:to-here\"]').click()")
    (mark,) = hand.marks.marks
    times = [Fraction(LEAD) + Fraction(number, RATE) for number in range(FRAMES)]
    assert [number for number, time in enumerate(times) if mark.acts_at(time)] == [7, 8, 9]
    before = hand.file
    hand.browser.run(
        "(input => { input.value = 5; input.onchange(); })(document.querySelector('[data-at=\"0:from\"]'))"
    )
    assert hand.file == before and "ends before it begins" in hand.said
    hand.browser.run("setHowLong(0, 'frame')")
    (mark,) = hand.marks.marks
    assert mark.is_of_one_frame and mark.keys[0].time == Fraction("2.0")
    hand.browser.run("setHowLong(0, 'seen')")
    (mark,) = hand.marks.marks
    assert mark.carry and mark.keys[0].time == Fraction("2.0")


def test_a_draft_outlives_a_reload_and_is_of_its_own_job(hand: Hand, videos: tuple[Path, Path], tmp_path: Path) -> None:
    hand.take("keep", "point")
    hand.mouse((0.5, 0.5))
    drawn = hand.file
    hand.open(tmp_path / "clip_review.html")
    assert hand.file == drawn and "draft" in hand.said
    hand.browser.run("$('undo').click()")
    assert not hand.marks
    hand.browser.run("$('redo').click()")
    hand.open(written(tmp_path / "other_review.html", videos, job=f"{tmp_path} other"))
    assert not hand.marks


GIVEN: dict[str, Any] = {
    "birefvideo_marks": 1,
    "units": "pixels",
    "garbage": [0, 0, 600, 480],
    "mend": [{"alpha": "a.png", "frame": 3}],
    "marks": [
        {"do": "remove", "keys": [{"time": 0, "box": [0, 0, 64, 48]}, {"time": 3, "box": [64, 48, 700, 480]}]},
        {"do": "keep", "stroke": [[320, 240], [480, 360]], "width": 32, "time": 2.5, "from": 2, "note": "the ball"},
        {"do": "keep", "polygon": [[0, 0], [64, 0], [64, 48]], "feather": 3, "carry": True},
    ],
}


def test_the_jobs_own_marks_are_there_in_shares_of_the_picture(
    hand: Hand, videos: tuple[Path, Path], tmp_path: Path
) -> None:
    hand.open(written(tmp_path / "marked_review.html", videos, GIVEN, job=f"{tmp_path} marked"))
    found = hand.file
    assert found["garbage"] == [0, 0, 0.9375, 1] and found["mend"] == GIVEN["mend"]
    assert found["marks"] == [
        {"do": "remove", "keys": [{"time": 0, "box": [0, 0, 0.1, 0.1]}, {"time": 3, "box": [0.1, 0.1, 1, 1]}]},
        {**GIVEN["marks"][1], "stroke": [[0.5, 0.5], [0.75, 0.75]], "width": 0.05},
        {**GIVEN["marks"][2], "polygon": [[0, 0], [0.1, 0], [0.1, 0.1]]},
    ]


def load(hand: Hand, values: object, path: Path) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")
    root = hand.browser.call("DOM.getDocument")["root"]["nodeId"]
    node = hand.browser.call("DOM.querySelector", nodeId=root, selector="#load")["nodeId"]
    hand.browser.run("say('')")
    hand.browser.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)
    hand.browser.until("$('said').textContent !== ''")


def test_a_file_is_loaded_back_or_refused_and_nothing_is_lost(hand: Hand, tmp_path: Path) -> None:
    load(hand, GIVEN, tmp_path / "given.json")
    assert "Loaded given.json" in hand.said and "border" in hand.said
    loaded = hand.file
    load(hand, loaded, tmp_path / "again.json")
    assert hand.file == loaded and "border" not in hand.said
    load(hand, {**loaded, "units": "inches"}, tmp_path / "bad.json")
    assert hand.file == loaded and "bad.json is no file of marks" in hand.said and "units" in hand.said


def mark(**fields: object) -> dict[str, Any]:
    return {"birefvideo_marks": 1, "units": "fraction", "marks": [{"do": "keep", **fields}]}


BOX, OTHER = [0, 0, 0.5, 0.5], [0.1, 0.1, 0.5, 0.5]
RULES: list[dict[str, Any]] = [
    mark(box=BOX),
    mark(box=BOX, time=None, to=3),
    mark(point=[0, 1]),
    mark(stroke=[[0.5, 0.5]]),
    mark(box=BOX, feather=200, note={"a": 1}),
    mark(keys=[{"time": 0, "box": BOX}, {"time": 1, "point": [0, 0]}], carry=True),
    mark(keys=[{"time": 1, "stroke": [[0, 0]]}, {"time": 2, "stroke": [[0, 0], [1, 1]]}]),
    mark(do="subject", box=BOX, time=1),
    {"birefvideo_marks": 1},
    {"birefvideo_marks": 1, "garbage": [0, 0, 700, 500], "mend": []},
    {"birefvideo_marks": 2},
    {"birefvideo_marks": True},
    {"birefvideo_marks": 1, "units": None},
    {"birefvideo_marks": 1, "marks": None},
    {"birefvideo_marks": 1, "marks": {}},
    {"birefvideo_marks": 1, "mark": []},
    {"birefvideo_marks": 1, "garbage": [0, 0, 0, 5]},
    {"birefvideo_marks": 1, "mend": [{"alpha": "a.png"}]},
    mark(),
    mark(do="drop", box=BOX),
    mark(box=BOX, point=[0, 0]),
    mark(box=[0.5, 0, 0.5, 1]),
    mark(box=[0, 0, 1, 1.1]),
    mark(box=[0, 0, 1, "1"]),
    mark(box=[0, 0, 1, True]),
    mark(point=[0.5, 0.5], carry=False),
    mark(point=[0.5]),
    mark(polygon=[[0, 0], [1, 1]]),
    mark(stroke=[]),
    mark(stroke=[[0, 0]], width=0),
    mark(box=BOX, width=0.1),
    mark(box=BOX, carry=1),
    mark(box=BOX, time=-1),
    mark(box=BOX, time="1"),
    mark(box=BOX, **{"from": 2, "to": 1}),
    mark(box=BOX, feather=201),
    mark(box=BOX, feather=None),
    mark(box=BOX, colour="red"),
    mark(keys=[]),
    mark(keys=[{"time": 0, "box": BOX}], time=1),
    mark(keys=[{"box": BOX}]),
    mark(keys=[{"time": 1, "box": BOX}, {"time": 1, "box": OTHER}]),
    mark(keys=[{"time": 0, "box": BOX}, {"time": 1, "point": [0, 0]}]),
    mark(
        keys=[
            {"time": 0, "polygon": [[0, 0], [1, 0], [1, 1]]},
            {"time": 1, "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]},
        ]
    ),
    mark(do="subject", box=BOX, to=1),
    {**mark(), "marks": [{"do": "subject", "point": [0.1, 0.1]}, {"do": "subject", "point": [0.2, 0.1]}]},
    {**mark(), "marks": ["keep"]},
    {**mark(), "marks": [None]},
]


def test_the_page_has_the_rules_of_the_program(hand: Hand) -> None:
    script = "(values => { try { checkMarks(values); return true; } catch { return false; } })"
    for values in RULES:
        try:
            parse_marks(values, "marks")
            is_good = True
        except InputError:
            is_good = False
        assert hand.browser.run(f"{script}({json.dumps(values)})") is is_good, values


def test_the_command_is_the_jobs_own_with_the_marks(hand: Hand) -> None:
    def command() -> list[str]:
        return shlex.split(hand.browser.run("$('again').textContent"))

    own = ["birefvideo", "matte", "a clip.mp4"]
    added = ["--marks", "a clip_marks.json", "--keep-cache", "--overwrite"]
    assert command() == [*own, "--subject", "left", "--people=2", "--shrink", "1", *added]
    hand.take("subject")
    hand.mouse((0.5, 0.5))
    assert command() == [*own, "--shrink", "1", *added], "who is marked takes the place of who was named"
    hand.browser.run("$('file').value = `-it's $HOME.json`; $('file').oninput()")
    assert command()[-3] == "./-it's $HOME.json"
    hand.browser.run("$('file').value = '~/my marks.json'; $('file').oninput()")
    assert "--marks ~/'my marks.json' --keep-cache" in hand.browser.run("$('again').textContent"), "a shell finds ~"


def test_what_is_saved_is_what_was_drawn(hand: Hand, tmp_path: Path) -> None:
    hand.browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    hand.take("keep", "stroke")
    hand.mouse((0.25, 0.25), (0.5, 0.5))
    hand.browser.run("$('save').click()")
    saved = tmp_path / "a clip_marks.json"
    for _ in range(100):
        if saved.exists() and saved.read_text(encoding="utf-8").endswith("}\n"):
            break
        hand.browser.run("new Promise(done => setTimeout(done, 50))")
    assert json.loads(saved.read_text(encoding="utf-8")) == hand.file


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_the_tools_fit_a_narrow_screen_and_all_have_names(hand: Hand, width: int) -> None:
    hand.browser.resize(width, 800)
    for do, shape in (("keep", "polygon"), ("remove", "box")):
        hand.take(do, shape)
        hand.mouse((0.1, 0.1), (0.4, 0.4))
    hand.browser.run("finish(); doc.marks.length && setHowLong(doc.marks.length - 1, 'range')")
    assert hand.browser.run("document.documentElement.scrollWidth") <= width
    small = "[...document.querySelectorAll('#marking button')].filter(b => b.offsetParent && b.offsetHeight < 34)"
    assert hand.browser.run(f"{small}.length") == 0
    nodes = hand.browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "slider", "textbox", "spinbutton", "combobox", "application"}
    shown = [node for node in nodes if not node["ignored"] and node["role"]["value"] in roles]
    assert {node["role"]["value"] for node in shown} == roles
    assert not [node for node in shown if not node["name"]["value"]]


def test_a_page_of_a_real_job_leads_to_a_job_with_its_marks(
    copy: GetClip, network: Path, one_browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = copy("short_gops").rename(tmp_path / "my take.mp4")
    monkeypatch.chdir(tmp_path)
    options = ["--model", str(network), "--to", "png", "--review", "--start", "0.1", "--end", "0.5", "--keep-cache"]
    first = CliRunner().invoke(app, ["matte", source.name, *options, "-o", "out/"])
    assert first.exit_code == 0, first.output
    pictures = tmp_path / "out"
    before = [alpha_of(path) for path in sorted(pictures.glob("*/*.png"))]
    page = tmp_path / "out" / "my take_review.html"
    data = data_of(page.read_text(encoding="utf-8"))
    assert data["clip"] == [96, 64] and data["lead"] == pytest.approx(3 / 24, abs=1e-6)
    hand = Hand(one_browser)
    hand.open(page)
    hand.take("keep", "box")
    hand.mouse((0.25, 0.25), (0.75, 0.75))
    hand.browser.run("show(2); setHowLong(0, 'range'); document.querySelector('[data-at=\"0:from-here\"]').click()")
    hand.browser.run("show(3); document.querySelector('[data-at=\"0:to-here\"]').click()")
    drawn = hand.file
    (tmp_path / "my take_marks.json").write_text(json.dumps(drawn), encoding="utf-8")
    program, *command = shlex.split(hand.browser.run("$('again').textContent"))
    second = CliRunner().invoke(app, command)
    assert program == "birefvideo" and second.exit_code == 0, second.output
    after = [alpha_of(path) for path in sorted(pictures.glob("*/*.png"))]
    assert [number for number in range(len(after)) if after[number][17:47, 25:71].min() == 65535] == [2, 3]
    for was, now in zip(before, after, strict=True):
        assert np.array_equal(now[:, :23], was[:, :23])
    assert data_of(page.read_text(encoding="utf-8"))["marks"] == drawn, "the next page begins with these marks"


def test_a_job_that_a_program_began_has_no_command(copy: GetClip, network: Path) -> None:
    given = {
        "birefvideo_marks": 1,
        "marks": [{"do": "keep", "box": (0, 0, np.float32(8), np.int64(8)), "note": object()}],
    }
    made = birefvideo.matte(copy("plain"), to=["matte"], model=str(network), review=True, marks=given)
    assert made.review is not None
    data = data_of(made.review.read_text(encoding="utf-8"))
    assert data["command"] is None
    assert data["marks"] == {"birefvideo_marks": 1, "marks": [{"do": "keep", "box": [0, 0, 8, 8]}]}

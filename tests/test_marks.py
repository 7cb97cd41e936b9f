"""Marks as data: read strictly, placed in a clip, and refused in one line that names the mark."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from birefvideo.directing import read_marks as read_marks_module
from birefvideo.directing import read_mends as read_mends_module
from birefvideo.directing.marks import DOES, Marks, nearest_frame
from birefvideo.directing.read_marks import parse_marks, read_marks
from birefvideo.directing.read_mends import find_mends
from birefvideo.errors import InputError
from birefvideo.jobs.mark_values import parse_garbage, parse_keep, parse_mend, parse_remove

TIMES = [Fraction(n, 24) for n in range(48)]
STROKE = {"do": "keep", "stroke": [[10, 10], [30, 20]], "width": 6, "time": 0.5}


def marks_of(*marks: dict[str, Any], **more: Any) -> Marks:
    return parse_marks({"birefvideo_marks": 1, "marks": list(marks), **more}, "m.json")


def refusal(*marks: Any, **more: Any) -> str:
    with pytest.raises(InputError) as caught:
        marks_of(*marks, **more).placed(96, 64, Fraction(0), Fraction(2))
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_everything_that_a_file_may_say_is_read() -> None:
    marks = marks_of(
        STROKE,
        {"do": "remove", "box": [0, 0, 20, 20], "from": 0.25, "to": 1, "feather": 2, "note": "the lamp"},
        {"do": "remove", "keys": [{"time": 0, "polygon": [[0, 0], [9, 0], [0, 9]]}]},
        {"do": "subject", "point": [48, 32]},
        garbage=[1, 2, 90, 60],
    )
    stroke, box, polygon, subject = marks.marks
    assert (stroke.do, stroke.carry, stroke.keys[0].time, stroke.keys[0].shape.width) == (
        "keep",
        True,
        Fraction(1, 2),
        6,
    )
    assert (box.carry, box.begin, box.end, box.feather) == (False, Fraction(1, 4), Fraction(1), 2)
    assert polygon.keys[0].shape.points == ((0, 0), (9, 0), (0, 9))
    assert subject.do == "subject"
    assert marks.garbage is not None
    assert marks.garbage.points == ((1, 2), (90, 60))
    assert marks.need_whole_clip
    assert not marks_of({"do": "remove", "box": [0, 0, 20, 20]}, garbage=[1, 2, 90, 60]).need_whole_clip


def test_fractions_become_pixels_of_the_clip() -> None:
    marks = marks_of({"do": "keep", "box": [0.25, 0.5, 0.5, 1]}, units="fraction")
    (mark,) = marks.placed(96, 64, Fraction(0), None).marks
    assert mark.keys[0].shape.points == ((24, 32), (48, 64))


def test_the_same_marks_are_equal_whatever_their_file_is_called(tmp_path: Path) -> None:
    texts = [{"birefvideo_marks": 1, "marks": [STROKE]}, {"birefvideo_marks": 1, "marks": [{**STROKE, "width": 7}]}]
    read = []
    for number, text in enumerate([texts[0], texts[0], texts[1]]):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(text))
        read.append(read_marks(path))
    assert read[0] == read[1]
    assert str(read[0]) == str(read[1])
    assert read[0] != read[2]
    assert str(read[0]) != str(read[2])
    assert str(read[0]).startswith("1 mark (")


BAD: list[tuple[Any, str]] = [
    (
        {**STROKE, "colour": 1},
        "m.json: mark 1: there is no field 'colour': choose from do, point, box, polygon, stroke",
    ),
    ({**STROKE, "strok": []}, "did you mean 'stroke'?"),
    ({**STROKE, "do": "kep"}, "mark 1: do is 'kep': give one of keep, remove, subject"),
    ({"do": "keep"}, "mark 1 (keep): it has no shape: give one of point, box, polygon, stroke"),
    ({**STROKE, "box": [0, 0, 1, 1]}, "it has box and stroke: give one of"),
    ({"do": "keep", "box": [0, 0, 20]}, "box is [0, 0, 20]: give [left, top, right, bottom]"),
    ({"do": "keep", "box": [20, 0, 10, 5]}, "left must be less than right"),
    ({"do": "keep", "box": [0, 0, float("nan"), 5]}, "box: a coordinate is nan: give pixels, not negative"),
    ({"do": "keep", "box": [0, 0, "5", 5]}, "box: a coordinate is '5': give pixels, not negative"),
    ({"do": "keep", "box": [0, 0, True, 5]}, "box: a coordinate is True"),
    ({"do": "keep", "box": [0, 0, 10**400, 5]}, "box: a coordinate is 1000000000"),
    ({"do": "keep", "box": [0, 0, 10**5000, 5]}, "box: a coordinate is a number that is too long"),
    ({"do": "keep", "box": [10**5000]}, "box is something too long: give [left"),
    ({"do": "keep", "box": [100, 0, 120, 5]}, "mark 1 (keep): 100, 0, 120, 5 is not in the picture, which is 96×64"),
    ({"do": "keep", "polygon": [[0, 0], [1, 1]]}, "give 3 to 20000 points, [[x, y], …]"),
    ({"do": "keep", "polygon": {"x": 1}}, "give 3 to 20000 points"),
    ({"do": "keep", "polygon": [[0, 0], [1, 1], 3]}, "a point of the polygon is 3: give [x, y]"),
    ({**STROKE, "time": -1}, "mark 1 (keep): time is -1: give seconds, not negative"),
    ({**STROKE, "time": "0:01"}, "time is '0:01': give seconds"),
    ({**STROKE, "time": 3}, "mark 1 (keep): its time is 3 s, but the output goes from 0 s to 2 s: give a time in that"),
    ({"do": "remove", "box": [0, 0, 9, 9], "from": 5, "to": 6}, "its time is 5 s, but the output goes"),
    ({"do": "remove", "box": [0, 0, 9, 9], "from": 2, "to": 1}, "to (1 s) is before from (2 s): exchange them"),
    ({**STROKE, "width": 0}, "width is 0: give a number above 0"),
    ({"do": "keep", "box": [0, 0, 9, 9], "width": 3}, "width is for a stroke, and this is a box: leave it out"),
    ({"do": "keep", "point": [1, 1], "carry": False}, "a point covers nothing unless it is carried"),
    ({"do": "keep", "point": [1, 1], "carry": "yes"}, "carry is 'yes': give true or false"),
    ({"do": "keep", "keys": []}, "keys is empty"),
    ({"do": "keep", "keys": [{"box": [0, 0, 9, 9]}]}, "mark 1 (keep), key 1: it has no time"),
    ({"do": "keep", "keys": [], "time": 1}, "it has both keys and time"),
    ({"do": "keep", "keys": 5}, "keys is 5: give a list"),
    (
        {"do": "keep", "keys": [{"time": 1, "box": [0, 0, 9, 9]}, {"time": 1, "box": [0, 0, 9, 9]}]},
        "key 2 is not after key 1: put them in order of time",
    ),
    (
        {"do": "keep", "keys": [{"time": 0, "box": [0, 0, 9, 9]}, {"time": 1, "polygon": [[0, 0], [9, 0], [0, 9]]}]},
        "keys 1 and 2 are not drawn alike",
    ),
    ({"do": "subject", "point": [1, 1], "from": 1}, "a subject is one for the whole clip"),
    ("keep", "mark 1: it is 'keep': give an object"),
    (None, "mark 1: it is nothing: give an object"),
]


@pytest.mark.parametrize(("mark", "line"), BAD, ids=[line for _, line in BAD])
def test_what_is_not_allowed_is_refused_in_one_line_that_names_the_mark(mark: Any, line: str) -> None:
    assert line in refusal(mark)


def test_bad_files_are_refused_in_one_line(tmp_path: Path) -> None:
    def refused(data: bytes) -> str:
        path = tmp_path / "m.json"
        path.write_bytes(data)
        with pytest.raises(InputError) as caught:
            read_marks(path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "is no JSON" in refused(b"{")
    assert "is no JSON" in refused(b"\xff\xfe\x00")
    assert "holds no JSON object" in refused(b"[]")
    assert "it is no file of marks of this version" in refused(b"{}")
    assert "it is no file of marks of this version" in refused(b'{"birefvideo_marks": 2}')
    assert "it is no file of marks of this version" in refused(b'{"birefvideo_marks": true}')
    assert "is larger than 16 MB" in refused(b" " * ((16 << 20) + 1))
    assert "NaN is no number" in refused(b'{"birefvideo_marks": 1, "marks": [{"do": "keep", "box": [NaN, 0, 1, 1]}]}')
    assert "nested too deeply" in refused(b'{"birefvideo_marks":' + b"[" * 5000 + b"]" * 5000 + b"}")
    assert "units is 'inches': give one of pixels, fraction" in refused(b'{"birefvideo_marks": 1, "units": "inches"}')
    assert "marks has 1001 entries: give at most 1000" in refused(
        json.dumps({"birefvideo_marks": 1, "marks": [STROKE] * 1001}).encode()
    )
    with pytest.raises(InputError, match="does not exist"):
        read_marks(tmp_path / "none.json")
    with pytest.raises(InputError, match="is no file"):
        read_marks(tmp_path)


def test_boxes_are_read_as_text_and_as_numbers() -> None:
    for value in ("10,20,30,40", (10, 20, 30, 40), [10.0, 20, 30, 40]):
        marks = parse_keep(value)
        assert marks is not None
        assert marks.marks[0].keys[0].shape.points == ((10, 20), (30, 40))
        assert not marks.marks[0].keys[0].shape.are_fractions
    for share in ("0.1,0.2,0.5,1", "10%,20%,50%,100%", (0.1, 0.2, 0.5, 1)):
        garbage = parse_garbage(share)
        assert garbage is not None
        assert garbage.garbage is not None
        assert garbage.garbage.points == ((0.1, 0.2), (0.5, 1))
        assert garbage.garbage.are_fractions
    marks = parse_remove("10,20,30,40@1:02.5; 1,2,3,4@2-3.5 5,6,7,8")
    assert marks is not None
    one, two, three = marks.marks
    assert one.keys[0].time == Fraction(125, 2)
    assert (two.begin, two.end) == (2, Fraction(7, 2))
    assert (three.keys[0].time, three.begin) == (None, None)


TEXTS = ["", "1,2,3", "a,2,3,4", "30,20,10,40", "1,2,nan,4", "-1,2,3,4", "10%,2,30%,4", "10%,2%,130%,4%", "1,2,3,4@"]
TEXTS += ["1,2,3,4@x", "1,2,3,4@3-2", "1,2,3,1e99"]


@pytest.mark.parametrize(
    "value",
    [5, (1, 2, 3), (1, 2, 3, None), float("inf"), [(1, 2, 3)], *TEXTS],
)
def test_bad_boxes_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"give|exchange") as caught:
        parse_keep(value)
    assert "\n" not in str(caught.value)


def test_mends_are_known_by_their_names(tmp_path: Path) -> None:
    for name in ("clip_000012.png", "clip_1.5s.png", "3.png", ".hidden9.png", "notes9.txt"):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 4), np.uint8)) if name.endswith("png") else None
    mends = find_mends(tmp_path).mends
    assert [(mend.frame, mend.time) for mend in mends] == [(3, None), (12, None), (None, Fraction(3, 2))]
    assert [mend.number(TIMES) for mend in mends] == [2, 11, 36]
    with pytest.raises(InputError, match=r"does not say which frame it is: end its name with"):
        find_mends(Path(tmp_path / "3.png").rename(tmp_path / "hand.png"))
    with pytest.raises(InputError, match=r"it is of frame 99, but there are 48: count from 1"):
        find_mends((tmp_path / "clip_000012.png").rename(tmp_path / "99.png")).mends[0].number(TIMES)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds 0 PNGs"):
        parse_mend(tmp_path / "empty")
    line = refusal(mend=[{"alpha": str(tmp_path / "none.png"), "frame": 1}])
    assert line.startswith("m.json: mend 1 (none.png):")
    assert "does not exist" in line
    assert "give either its time" in refusal(mend=[{"alpha": "x.png"}])


def test_a_time_is_that_of_the_nearest_frame() -> None:
    assert [nearest_frame("m", Fraction(time).limit_denominator(1000), TIMES) for time in (0, 0.04, 0.0625, 2)] == [
        0,
        1,
        1,
        47,
    ]
    with pytest.raises(InputError, match="m: its time is 3 s"):
        nearest_frame("m", Fraction(3), TIMES)


def test_the_published_schema_knows_the_same_fields_and_limits() -> None:
    schema = json.loads((Path(__file__).parent.parent / "docs" / "marks.schema.json").read_text(encoding="utf-8"))
    kinds = schema["$defs"]
    assert tuple(schema["properties"]) == read_marks_module._TOP
    assert set(kinds["mark"]["properties"]) == set(read_marks_module._OF_MARK)
    assert set(kinds["key"]["properties"]) == set(read_marks_module._OF_KEY)
    assert set(kinds["mend"]["properties"]) == set(read_mends_module._FIELDS)
    assert kinds["mark"]["properties"]["do"]["enum"] == list(DOES)
    assert schema["properties"]["units"]["enum"] == list(read_marks_module.UNITS)
    most = read_marks_module._MOST
    assert schema["properties"]["marks"]["maxItems"] == most["marks"]
    assert schema["properties"]["mend"]["maxItems"] == most["mend"]
    assert kinds["mark"]["properties"]["keys"]["maxItems"] == most["keys"]
    assert kinds["mark"]["properties"]["stroke"]["maxItems"] == most["points"]

"""Numbers, names and JSON that anybody may have written: right within limits, and one line beyond them."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from birefvideo.bounded_numbers import bounded_fraction, bounded_int
from birefvideo.errors import InputError, ModelError, OptionError, OutputError
from birefvideo.family import hub
from birefvideo.family.checkpoints import find
from birefvideo.family.locks import lock_path
from birefvideo.family.variants import VARIANTS
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import plan_targets
from birefvideo.jobs.receipt import claims_of, merged, read
from birefvideo.json_files import DEEPEST, parse_json_object, read_json_object
from birefvideo.media.reading.numbered_pictures import series_of
from birefvideo.media.sequence_json import SIDECAR, is_sequence, read_sidecar
from birefvideo.media.verification.verify_later import Claims

LONG = "9" * 5000


def each(key: str, *values: Any) -> list[dict[str, Any]]:
    """One change for each of the values."""
    return [{key: value} for value in values]


FRAMES: list[Any] = [-1, 1.5, 2**70]
WRONG: list[Any] = [None, True, [], {}, [[]], "", "x", "1/0", "1e999999999", LONG, -1, 1.5, float(2**70), 2**70]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, Fraction(3)),
        (0.5, Fraction(1, 2)),
        ("30000/1001", Fraction(30000, 1001)),
        (" 23.976 ", Fraction("23.976")),
        ("-1/2", Fraction(-1, 2)),
        ("5e-3", Fraction(1, 200)),
        (".5", Fraction(1, 2)),
    ],
)
def test_a_bounded_fraction_is_what_the_text_says(value: object, number: Fraction) -> None:
    assert bounded_fraction(value) == number


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        [],
        "",
        ".",
        "1/0",
        "1e99",
        "1e999999999",
        "1E-999999999",
        LONG,
        f"1/{LONG}",
        float("nan"),
        1e300,
        10**400,
        2**63,
    ],
    ids=str,
)
def test_a_fraction_beyond_the_limits_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="give a number"):
        bounded_fraction(value)


@pytest.mark.parametrize("value", [None, True, 1.0, "1.0", "", LONG, 11, -1, "-1", []], ids=str)
def test_a_whole_number_beyond_the_limits_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="give a whole number from 0 to 10"):
        bounded_int(value, 0, 10)
    assert bounded_int(7, 0, 10) == 7


def test_json_is_read_down_to_a_depth_that_can_be_written_again(tmp_path: Path) -> None:
    def nested(levels: int) -> str:
        return '{"a": ' * levels + "1" + "}" * levels

    assert json.dumps(parse_json_object(nested(DEEPEST), "x"), indent=1)
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json_object(nested(DEEPEST + 1), "x")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_no_json_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(ValueError, match="is no file"):
        read_json_object(tmp_path / "a.json")


# -- sequence.json

SEQUENCE: dict[str, Any] = {
    "birefvideo_sequence": 1,
    "pictures": "a%%b_%06d.png",
    "first": 1,
    "time_base": "1/25",
    "pts": [0, 1, 3],
    "last_duration": 1,
    "sample_aspect_ratio": "4/3",
}


def write_sequence(folder: Path, **changes: object) -> Path:
    (folder / SIDECAR).write_text(json.dumps(SEQUENCE | changes))
    return folder


def test_a_sidecar_says_times_and_names(tmp_path: Path) -> None:
    sidecar = read_sidecar(write_sequence(tmp_path))
    assert sidecar.names == ("a%b_000001.png", "a%b_000002.png", "a%b_000003.png")
    assert sidecar.times == (0, Fraction(1, 25), Fraction(3, 25))
    assert sidecar.sample_aspect_ratio == Fraction(4, 3)


@pytest.mark.parametrize(
    "changes",
    [
        *each(
            "pictures", "%999999999d.png", "%d%d.png", "%s.png", "%(a)s", "../%d.png", "/etc/%d", "a\0%d", "none.png"
        ),
        *each("pictures", 3, ["%d"]),
        *each("time_base", "1/0", "0", "-1/25", "1e999999999", LONG, None, [], True),
        *each("sample_aspect_ratio", "0", "-1", "1/0"),
        *each("pts", 3, None, ["a"], [0.5], [True], [1, 1], [2, 1], [2**70], "012", {"0": 1, "a": 2}),
        *each("first", -1, 10**12, "x", None),
        *each("last_duration", -1, "x", None, 2**70),
        *each("coverage", 3, ["x"], ["1e999999999"], [None]),
    ],
    ids=lambda change: str(change)[:40],
)
def test_a_sidecar_that_cannot_be_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_sidecar(write_sequence(tmp_path, **changes))


@pytest.mark.parametrize("text", ["", "[]", "3", "[" * 100_000, '{"birefvideo_sequence":' * 50_000, "\xff"])
def test_a_folder_with_a_sidecar_that_is_none_is_not_ours(tmp_path: Path, text: str) -> None:
    (tmp_path / SIDECAR).write_text(text, encoding="latin-1")
    assert not is_sequence(tmp_path)


# -- receipts

RECEIPT: dict[str, Any] = {
    "format": "prores",
    "verified": {"frames": 3, "sounds": []},
    "options": {"fps": "25", "audio": "all"},
    "input": {"sounds": 0},
    "span": [None, 40],
}


def test_a_receipt_claims_what_it_says() -> None:
    claims = claims_of(RECEIPT)
    assert claims.frames == 3
    assert claims.span.end == 40
    assert claims.fps == 25


@pytest.mark.parametrize("value", WRONG, ids=lambda value: str(value)[:20])
@pytest.mark.parametrize("field", ["format", "verified", "options", "span", "input"])
def test_a_receipt_of_wrong_types_claims_nothing_or_something_sound(field: str, value: object) -> None:
    claims = claims_of(RECEIPT | {field: value})
    assert isinstance(claims, Claims)
    assert claims.frames is None or claims.frames >= 0


@pytest.mark.parametrize(
    "changes",
    [
        *each("options", *each("fps", "1/0", "0", "-1", "1e999999999", LONG)),
        *each("span", [2**70, None], [None], ["x", None], [1, 2, 3]),
        *({"verified": {"sounds": [], **change}} for change in each("frames", *FRAMES)),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_receipt_beyond_the_limits_claims_nothing(changes: dict[str, object]) -> None:
    assert claims_of(RECEIPT | changes) == Claims()


@pytest.mark.parametrize("name", ["../other.mov", "/etc/passwd", "a\0b", "x" * 300, "..", "\udfff"])
def test_a_receipt_about_files_elsewhere_is_none(tmp_path: Path, name: str) -> None:
    path = tmp_path / "clip_alpha.json"
    path.write_text(json.dumps({"birefvideo_receipt": 1, "outputs": {name: RECEIPT, "clip_alpha.mov": RECEIPT}}))
    assert read(tmp_path / "clip_alpha.mov") is None
    assert json.loads(merged(path, {"clip_alpha.mov": RECEIPT}))["outputs"] == {"clip_alpha.mov": RECEIPT}


# -- checkpoints and locks


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "3", "null", "[" * 100_000, "\xff", '{"long_side": NaN}'),
        *map(json.dumps, each("long_side", None, True, "1024", 0, -5, 10**9, 1.5, [])),
        *(json.dumps({"long_side": 64, **bound}) for bound in each("most_pixels", True, "1", 0, -5, 10**19, 1.5, [])),
        *map(json.dumps, each("backbone", 3, [])),
        *(
            json.dumps({"backbone": "conv_t", **change})
            for change in [
                *each("block_width", -1, 10**9, "64"),
                *each("attention", 3, ["", ""], [[], [], [], [], []]),
                *each("aspp_dilations", [0], 6),
                *each("head", "none"),
                *each("context", "yes"),
                *each("multi_scale_input", {}),
            ]
        ),
    ],
    ids=lambda text: text[:60],
)
def test_a_config_that_cannot_be_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(ModelError, match=r"config\.json") as caught:
        find(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "3", "[" * 100_000, "{}"),
        *map(json.dumps, each("sha256", [], 3, "ab", "A" * 64)),
        *(json.dumps({"sha256": "a" * 64, **change}) for change in each("revision", [], 3, "../../x", "main")),
    ],
    ids=lambda text: text[:60],
)
def test_a_lock_that_cannot_be_is_one_line(empty_cache: Path, text: str) -> None:
    row = VARIANTS["portrait"]
    path = lock_path(row)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ModelError, match="is damaged"):
        hub.stored(row)


def test_while_a_lock_is_damaged_no_imported_weights_are_removed(empty_cache: Path) -> None:
    with hub.incoming(3) as path:
        path.write_bytes(b"old")
        old = hub.adopt(VARIANTS["portrait"], path) if not VARIANTS["portrait"].sha256 else None
    other = empty_cache / "birefvideo" / "locks" / "other.json"
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_text("[")
    name = next(name for name, row in VARIANTS.items() if not row.sha256 and not row.embedded)
    kept = empty_cache / "birefvideo" / "weights" / f"{'b' * 64}.safetensors"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(b"someone's")
    with hub.incoming(3) as path:
        path.write_bytes(b"new")
        new = hub.adopt(VARIANTS[name], path)
    assert new.path.is_file()
    assert kept.is_file()
    assert old is None or old.path.is_file()


# -- options, patterns, names


@pytest.mark.parametrize("value", ["1/0", "1e999999999", LONG, 10**5000, float("inf"), "-1", "0/5"], ids=range(7))
@pytest.mark.parametrize("name", ["fps", "start", "smooth", "batch", "size"])
def test_a_number_beyond_the_limits_is_a_short_line(name: str, value: Any) -> None:
    with pytest.raises(OptionError) as caught:
        Options(**{name: value})
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("name", ["%999999999d.png", "%0999999999d.png", "%0100d.png"])
def test_a_pattern_of_absurd_width_names_no_pictures(tmp_path: Path, name: str) -> None:
    (tmp_path / "1.png").write_bytes(b"")
    assert series_of(tmp_path / name) is None


def test_a_number_that_ffmpeg_cannot_count_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "99999999999.png").write_bytes(b"x")
    (tmp_path / "99999999998.png").write_bytes(b"x")
    with pytest.raises(InputError, match="number them anew"):
        series_of(tmp_path)


@pytest.mark.parametrize("stem", ["x" * 248, "é" * 123])
def test_a_name_too_long_for_its_outputs_is_told(tmp_path: Path, stem: str) -> None:
    with pytest.raises(OutputError, match=r"255 are allowed.*rename the input"):
        plan_targets(tmp_path / f"{stem}.mp4", None, ["prores"])

"""JSON that anybody may have written."""

from pathlib import Path

import pytest

from birefvideo.json_files import parse_json_object, read_json_object


def test_reads_an_object(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"name": "Zoë", "pts": [0, 1]}', encoding="utf-8")
    assert read_json_object(path) == {"name": "Zoë", "pts": [0, 1]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "3",
        "null",
        '{"a": NaN}',
        '{"a": -Infinity}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"a": ' + "9" * 5000 + "}",
    ],
    ids=["empty", "list", "number", "null", "nan", "infinity", "deep list", "deep object", "long number"],
)
def test_refuses_what_is_no_object(text: str) -> None:
    with pytest.raises(ValueError, match=r"^x\.json "):
        parse_json_object(text, "x.json")


def test_refuses_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ValueError, match="is no JSON"):
        read_json_object(path)


@pytest.mark.parametrize("values", ["[]," * 1_000_001, "0," * 32_000_001], ids=["lists", "numbers"])
def test_refuses_more_values_than_the_memory_should_hold(values: str) -> None:
    with pytest.raises(ValueError, match="more values than"):
        parse_json_object(f'{{"x": [{values}0]}}', "hostile.json")

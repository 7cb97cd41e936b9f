"""Time code: counted as SMPTE ST 12-1 has it, and found at the rate of its own track."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from clips import write_clip

from birefvideo.media.timecode import Timecode, advanced, make_timecode, track_rate


@pytest.mark.parametrize(
    ("label", "frames", "rate", "wanted"),
    [
        ("00:00:59:23", 1, 24, "00:01:00:00"),
        ("10:59:59:24", 1, 25, "11:00:00:00"),
        ("00:00:59:29", 1, 30, "00:01:00:00"),
        ("00:00:59;29", 1, 30, "00:01:00;02"),
        ("00:01:59;29", 1, 30, "00:02:00;02"),
        ("00:09:59;29", 1, 30, "00:10:00;00"),
        ("00:00:59;59", 1, 60, "00:01:00;04"),
        ("00:19:59;59", 1, 60, "00:20:00;00"),
        ("01:00:00;00", 107892, 30, "02:00:00;00"),  # frames of an hour of 29.97
        ("01:00:00;00", 215784, 60, "02:00:00;00"),
        ("23:59:59;29", 1, 30, "00:00:00;00"),
        ("23:59:59:23", 2, 24, "00:00:00:01"),
        ("00:00:00;00", -1, 30, "23:59:59;29"),
        ("00:01:00;02", -1, 30, "00:00:59;29"),
        ("12:34:56:11", 0, 24, "12:34:56:11"),
    ],
)
def test_labels_go_on_over_every_boundary(label: str, frames: int, rate: int, wanted: str) -> None:
    assert advanced(label, frames, rate) == wanted


@pytest.mark.parametrize("rate", [30, 60])
def test_drop_frame_leaves_out_the_first_numbers_of_all_but_each_tenth_minute(rate: int) -> None:
    numbers = [
        f"00:{minute:02d}:{second:02d};{number:02d}"
        for minute in range(21)
        for second in range(60)
        for number in range(rate)
        if minute % 10 == 0 or second or number >= rate // 15
    ]
    assert [advanced("00:00:00;00", frame, rate) for frame in range(len(numbers))] == numbers
    assert [advanced(numbers[-1], -frame, rate) for frame in range(len(numbers))] == numbers[::-1]


@pytest.mark.parametrize(
    ("label", "measured", "wanted"),
    [
        ("01:00:00:00", "24000/1001", ("01:00:00:00", "24000/1001")),
        ("01:00:00:00", "24", ("01:00:00:00", "24")),
        ("01:00:00:24", "25", ("01:00:00:24", "25")),
        ("01:00:00;28", "2997/100", ("01:00:00;28", "30000/1001")),
        ("01:00:00.28", "30", ("01:00:00;28", "30000/1001")),
        ("01:00:00;28", "24000/1001", ("01:00:00;28", "30000/1001")),
        ("01:00:00;58", "60000/1001", ("01:00:00;58", "60000/1001")),
        ("01:00:00:25", "25", None),
        ("01:60:00:00", "25", None),
        ("one o'clock", "25", None),
        ("01:00:00:00", "1/2", None),
    ],
)
def test_a_rate_is_told_from_a_measurement_and_the_label(
    label: str, measured: str, wanted: tuple[str, str] | None
) -> None:
    made = make_timecode(label, Fraction(measured), Fraction(0))
    assert made == (wanted and Timecode(wanted[0], Fraction(wanted[1]), Fraction(0)))


def test_a_label_is_of_a_moment(tmp_path: Path) -> None:
    timecode = Timecode("01:00:59;28", Fraction(30000, 1001), Fraction(2))
    assert timecode.at(Fraction(2)) == "01:00:59;28"
    assert timecode.at(Fraction(2) + Fraction(3 * 1001, 30000)) == "01:01:00;03"
    assert timecode.at(Fraction(1)) == "01:00:58;28"


@pytest.mark.parametrize("rate", ["24000/1001", "25", "30000/1001", "60000/1001"])
def test_the_rate_of_a_time_code_track_is_read(rate: str, tmp_path: Path) -> None:
    exact = Fraction(rate)
    for suffix in (".mov", ".mp4"):
        path = write_clip(
            tmp_path / f"clip{suffix}", frames=3, rate=exact, time_base=1 / exact / 100, timecode="01:00:00:00"
        )
        assert track_rate(path) == exact
    assert track_rate(write_clip(tmp_path / "without.mp4", frames=3)) is None


def test_a_damaged_file_has_no_rate(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mov", frames=3, timecode="01:00:00:00")
    whole = path.read_bytes()
    at = whole.index(b"moov")
    for damage in (whole[:at], whole[: at + 40], whole[: at - 4] + bytes(400), b"", b"\0" * 100):
        path.write_bytes(damage)
        assert track_rate(path) is None

"""Output formats: look-up by name and by file name, and rows that FFmpeg agrees with."""

from pathlib import Path

import av
import pytest

from birefvideo.errors import OptionError
from birefvideo.media.format_table import FORMATS, Format, format_for_suffix, get_format


def test_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(OptionError, match=r"'mpeg'.*prores, prores-xq, webm, green, blue, matte, fill"):
        get_format("mpeg")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a_alpha.mov", "prores"),
        ("A.MOV", "prores"),
        ("x.webm", "webm"),
        ("x.mp4", "green"),
        ("x_matte.mp4", "matte"),
        ("x_Green.MP4", "green"),
        ("x.gif", "gif"),
        ("x.apng", "apng"),
        ("x.webp", "webp-anim"),
    ],
)
def test_a_file_name_asks_for_a_format(name: str, wanted: str) -> None:
    assert format_for_suffix(Path("folder") / name).name == wanted


@pytest.mark.parametrize("name", ["x.avi", "mov", "x"])
def test_a_file_name_without_a_format_lists_the_suffixes(name: str) -> None:
    with pytest.raises(OptionError, match=r"_alpha\.mov"):
        format_for_suffix(Path(name))


@pytest.mark.parametrize("row", FORMATS.values(), ids=lambda row: row.name)
def test_ffmpeg_knows_every_codec_of_a_row(row: Format) -> None:
    video = av.Codec(row.codec, "w")
    assert row.pix_fmt in [pixels.name for pixels in video.video_formats or []]
    is_silent = row.is_sequence or row.is_animation
    assert is_silent == (not row.audio_codec)
    assert is_silent or av.Codec(row.audio_codec, "w").type == "audio"
    assert {av.Codec(name, "r").type for name in row.audio_copy} == (set() if is_silent else {"audio"})


def test_suffixes_are_all_different() -> None:
    assert len({row.suffix for row in FORMATS.values()}) == len(FORMATS)

"""The part of the picture that the container asks to show is what is matted."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clips import BT709, picture, write_clip, yuv_frame

from birefvideo.media.reading.decode import DecodeReport, read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.planes import plane_array


def add_clap(path: Path, width: int, height: int, across: tuple[int, int], down: tuple[int, int]) -> None:
    """Put a `clap` box into an H.264 file of one track whose index comes last: a size, and how far off the middle."""
    data = bytearray(path.read_bytes())
    at = data.index(b"avc1", data.index(b"stsd")) - 4
    (size,) = struct.unpack(">I", data[at : at + 4])
    data[at + size : at + size] = struct.pack(">I4sIIIIiIiI", 40, b"clap", width, 1, height, 1, *across, *down)
    for place in (
        at,
        *(data.rindex(name, 0, at) - 4 for name in (b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov")),
    ):
        data[place : place + 4] = struct.pack(">I", struct.unpack(">I", data[place : place + 4])[0] + 40)
    path.write_bytes(data)


def add_pixel_crop(path: Path, left: int, right: int, top: int, bottom: int) -> None:
    """Put PixelCrop elements into the Video element of a Matroska file of one track."""
    data = bytearray(path.read_bytes())
    crops = b"".join(
        struct.pack(">HBB", code, 0x81, value)
        for code, value in ((0x54CC, left), (0x54DD, right), (0x54BB, top), (0x54AA, bottom))
    )
    sizes, start = [], 0
    for code in (b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae", b"\xe0"):
        while data[start : start + len(code)] != code:
            size, width = read_number(data, start + 9 - data[start].bit_length())
            start += 9 - data[start].bit_length() + width + size
        sizes.append(start + len(code))
        start += len(code) + read_number(data, start + len(code))[1]
    data[start:start] = crops
    for place in sizes:
        size, width = read_number(data, place)
        data[place : place + width] = ((size + len(crops)) | (1 << 7 * width)).to_bytes(width, "big")
    path.write_bytes(data)


def read_number(data: bytearray, place: int) -> tuple[int, int]:
    """A number of EBML and its bytes."""
    width = 9 - data[place].bit_length()
    return int.from_bytes(data[place : place + width], "big") & ((1 << 7 * width) - 1), width


@pytest.mark.parametrize(
    ("size", "across", "down", "box"),
    [
        ((80, 48), (0, 1), (0, 1), (8, 8)),
        ((80, 48), (4, 1), (-2, 1), (12, 6)),
        ((80, 48), (3, 1), (-3, 1), (11, 5)),  # odd: amid chroma samples
        ((81, 49), (1, 2), (1, 2), (8, 8)),
        ((96, 62), (0, 1), (1, 1), (0, 2)),
    ],
)
def test_a_movie_is_cropped_to_its_clean_aperture(
    tmp_path: Path, size: tuple[int, int], across: tuple[int, int], down: tuple[int, int], box: tuple[int, int]
) -> None:
    path = write_clip(tmp_path / "clap.mp4", audio_tracks=0, frames=3, options={"qp": "0"})
    add_clap(path, *size, across, down)
    info, report = probe(path), DecodeReport()
    assert (info.width, info.height) == size
    left, top = box
    for index, frame in enumerate(read_frames(info, report=report)):
        whole = plane_array(yuv_frame(picture(index), "yuv420p", BT709), 0)
        assert np.array_equal(plane_array(frame.picture, 0), whole[top : top + size[1], left : left + size[0]])
        assert frame.picture.format.name == ("yuv444p" if left % 2 or top % 2 else "yuv420p")
    assert report.frames == 3 and report.rescaled_frames == 0


@pytest.mark.parametrize(
    "box", [((96, 64), (0, 1)), ((200, 64), (0, 1)), ((80, 48), (50, 1)), ((80, 48), (1, 0)), ((1, 1), (0, 1))]
)
def test_a_clean_aperture_of_everything_or_without_sense_is_none(
    tmp_path: Path, box: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    path = write_clip(tmp_path / "clap.mp4", audio_tracks=0, frames=2)
    add_clap(path, *box[0], box[1], (0, 1))
    info = probe(path)
    assert (info.width, info.height, info.crop) == (96, 64, None)


def test_a_matroska_file_is_cropped_as_it_says(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "crop.mkv", audio_tracks=0, frames=3, options={"qp": "0"})
    add_pixel_crop(path, 4, 10, 6, 2)
    info = probe(path)
    assert (info.width, info.height) == (82, 56)
    for index, frame in enumerate(read_frames(info)):
        whole = plane_array(yuv_frame(picture(index), "yuv420p", BT709), 0)
        assert np.array_equal(plane_array(frame.picture, 0), whole[6:62, 4:86])


def test_a_crop_comes_before_a_turn(tmp_path: Path, clip: Callable[[str], Path]) -> None:
    path = tmp_path / "turned.mp4"
    path.write_bytes(clip("rotated_90").read_bytes())
    with_sound = probe(path)
    add_clap(path, 60, 48, (10, 1), (0, 1))
    info = probe(path)
    assert (with_sound.width, with_sound.height) == (64, 96) and (info.width, info.height) == (48, 60)
    whole, cropped = (next(read_frames(one)) for one in (with_sound, info))
    luma = np.rot90(plane_array(whole.picture, 0), -1)[8:56, 28:88]
    assert np.array_equal(plane_array(cropped.picture, 0), np.rot90(luma, 1))


def test_a_matroska_element_without_a_length_is_no_crop(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "crop.mkv", audio_tracks=0, frames=2)
    data = bytearray(path.read_bytes())
    data[data.index(b"\xec", 64) + 1 : data.index(b"\xec", 64) + 2] = b"\0"  # a void element beside the tracks
    path.write_bytes(data)
    assert probe(path).crop is None

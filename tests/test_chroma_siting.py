"""Chroma lies on its luma, wherever the file puts it, however the picture is turned, and in every output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
import pytest
from clips import set_display_matrix
from numpy.typing import NDArray

from birefvideo.colour import BT709
from birefvideo.frames import LEFT, VideoInfo
from birefvideo.matting.network_input import network_input
from birefvideo.media.reading.chroma_siting import CENTRE, TOP_LEFT, site_of
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.normalize import planar, prepare, upright_format
from birefvideo.media.reading.probe import probe
from birefvideo.media.writing.yuv_frames import composite_420, stretched, with_alpha_420
from birefvideo.planes import bit_depth, plane_array, to_444

Values = NDArray[np.float64]
SITES = {
    "left": (0, 0.5),
    "center": (0.5, 0.5),
    "topleft": (0, 0),
    "top": (0.5, 0),
    "bottomleft": (0, 1),
    "bottom": (0.5, 1),
}
STEPS = {
    "yuv420p": (2, 2),
    "yuv422p": (2, 1),
    "yuv411p": (4, 1),
    "yuv410p": (4, 4),
    "yuv440p": (1, 2),
    "yuv444p": (1, 1),
}
SIZE = (96, 64)


def wave(x: Values, y: Values) -> Values:
    """Cb at places of the stored picture, in codes of 8 bits; it changes along both axes."""
    return 128 + 50 * np.sin(x / 9 + 0.3) * np.cos(y / 7)


def picture(pix_fmt: str, site: tuple[float, float], size: tuple[int, int] = SIZE) -> av.VideoFrame:
    """A grey picture whose chroma is `wave`, sampled where `site` has it."""
    frame = av.VideoFrame(*size, pix_fmt)
    scale = 2 ** (bit_depth(frame) - 8)
    across, down = STEPS[pix_fmt.removesuffix("10le")]
    for index in range(3):
        plane = plane_array(frame, index)
        y, x = np.mgrid[: plane.shape[0], : plane.shape[1]].astype(float)
        codes = wave(x * across + site[0] * (across - 1), y * down + site[1] * (down - 1)) if index else 100 + 0 * x
        plane[:] = np.rint(codes * scale)
    frame.colorspace = frame.color_range = frame.color_primaries = frame.color_trc = 1
    return frame


def full_wave(turns: int = 0, mirrored: bool = False) -> Values:
    """Full-size chroma of the upright picture."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]].astype(float)
    turned = np.rot90(wave(x, y), turns)
    return turned[:, ::-1] if mirrored else turned


def shift(codes: NDArray[Any], truth: Values) -> float:
    """By how many pixels full-size chroma lies away from the truth, along the worse axis."""
    down, across = np.gradient(truth)
    inner = (slice(8, -8), slice(8, -8))
    slopes = np.stack([across[inner].ravel(), down[inner].ravel()], 1)
    found = np.linalg.lstsq(slopes, (truth - codes)[inner].ravel(), rcond=None)[0]
    return float(np.abs(found).max())


def said(frame: av.VideoFrame, place: str) -> av.VideoFrame:
    """The same picture, whose decoder says where its chroma lies."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 100))
    graph.link_nodes(source, graph.add("setparams", f"chroma_location={place}"), graph.add("buffersink")).configure()
    graph.push(frame)
    sited = graph.pull()
    assert isinstance(sited, av.VideoFrame)
    return sited


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int, bool, str], Path]:
    """An H.264 file with `wave`, sited, tagged so and turned."""
    folder = tmp_path_factory.mktemp("sited")

    def make(place: str, turns: int, mirrored: bool, pix_fmt: str) -> Path:
        path = folder / f"{place}_{turns}_{mirrored}_{pix_fmt}.mp4"
        with av.open(str(path), "w") as out:
            options = {"x264-params": f"qp=0:chromaloc={list(SITES).index(place)}"}
            stream = out.add_stream("libx264", rate=25, options=options)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = *SIZE, pix_fmt
            context = stream.codec_context
            context.colorspace = context.color_range = context.color_primaries = context.color_trc = 1
            for index in range(2):
                frame = picture(pix_fmt, SITES[place])
                frame.pts = index
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        if turns or mirrored:
            set_display_matrix(path, turns, mirrored)
        return path

    return make


CASES = [
    *((place, 0, False, "yuv420p") for place in SITES),
    *(("left", turns, False, "yuv420p") for turns in (1, 2, 3)),
    ("left", 0, True, "yuv420p"),
    ("left", 1, True, "yuv420p"),
    ("topleft", 3, False, "yuv420p10le"),
    ("center", 0, False, "yuv420p10le"),
    ("top", 1, False, "yuv420p"),
    ("left", 2, False, "yuv422p"),
    ("left", 1, False, "yuv422p10le"),
]


@pytest.mark.parametrize(("place", "turns", "mirrored", "pix_fmt"), CASES)
def test_chroma_lies_on_luma_wherever_the_file_puts_it(
    made: Callable[[str, int, bool, str], Path], place: str, turns: int, mirrored: bool, pix_fmt: str
) -> None:
    info = probe(made(place, turns, mirrored, pix_fmt))
    for frame in read_frames(info):
        scale = 2 ** (info.bit_depth - 8)
        full = plane_array(to_444(frame.picture), 1) / scale
        assert shift(full, full_wave(turns, mirrored)) < 0.02
        opaque = np.ones(full.shape, np.float32)
        for made_420 in (
            composite_420(frame.picture, None, opaque, None, info.colour, BT709),
            with_alpha_420(frame.picture, to_444(frame.picture), opaque, info.colour, BT709),
        ):
            plain = av.VideoFrame(made_420.width, made_420.height, "yuv420p")
            for index in range(3):
                plane_array(plain, index)[:] = plane_array(made_420, index)
            assert shift(plane_array(to_444(plain), 1), full_wave(turns, mirrored)) < 0.05


def test_samples_on_the_left_are_passed_on_untouched(made: Callable[[str, int, bool, str], Path]) -> None:
    info = probe(made("left", 0, False, "yuv420p"))
    wanted = picture("yuv420p", LEFT)
    for frame in read_frames(info):
        for index in range(3):
            assert np.array_equal(plane_array(frame.picture, index), plane_array(wanted, index))


@pytest.mark.parametrize("pix_fmt", [*STEPS, "yuv420p10le", "nv12", "p010le", "yuvj420p", "yuva420p"])
@pytest.mark.parametrize("place", SITES)
def test_what_the_decoder_says_is_found(pix_fmt: str, place: str) -> None:
    for size in ((64, 48), (17, 19), (1920, 1080)):
        site = site_of(said(av.VideoFrame(*size, pix_fmt), place), BT709)
        assert site == (LEFT if pix_fmt == "yuv444p" else SITES[place])


def test_an_unsaid_place_is_that_of_the_kind() -> None:
    hdr = replace(BT709, matrix=9, primaries=9, transfer=16)
    assert site_of(av.VideoFrame(64, 64, "yuv420p"), BT709) == LEFT
    assert site_of(av.VideoFrame(64, 64, "yuvj420p"), BT709) == CENTRE
    assert site_of(av.VideoFrame(64, 64, "yuv420p10le"), hdr) == TOP_LEFT


@pytest.mark.parametrize("site", [LEFT, CENTRE, TOP_LEFT])
@pytest.mark.parametrize("pix_fmt", ["yuv411p", "yuv410p", "yuv440p", "yuv422p"])
def test_other_subsamplings_are_brought_to_their_place(
    plain_info: VideoInfo, pix_fmt: str, site: tuple[float, float]
) -> None:
    info = replace(plain_info, pix_fmt=upright_format(pix_fmt, False, site), chroma_site=site)
    for frame in (prepare(picture(pix_fmt, site), info), prepare(planar(picture(pix_fmt, site), info), info)):
        assert frame.format.name == info.pix_fmt
        assert shift(plane_array(to_444(frame), 1), full_wave()) < 0.05


@pytest.mark.parametrize("place", ["left", "center"])
def test_a_picture_of_another_size_keeps_chroma_on_luma(plain_info: VideoInfo, place: str) -> None:
    info = replace(plain_info, pix_fmt=upright_format("yuv420p", False, SITES[place]), chroma_site=SITES[place])
    large = prepare(picture("yuv420p", SITES[place], (192, 128)), info)
    y, x = np.mgrid[:64, :96] * 2 + 0.5
    assert shift(plane_array(to_444(large), 1), wave(x, y)) < 0.05


def test_a_stretched_picture_keeps_chroma_on_luma() -> None:
    wide = stretched(picture("yuv420p", LEFT), 128, 64)
    y, x = np.mgrid[:64, :128].astype(float)
    assert shift(plane_array(to_444(wide), 1), wave((x + 0.5) * 0.75 - 0.5, y)) < 0.05


def test_the_network_sees_chroma_on_luma_where_no_decoder_says_its_place() -> None:
    unsaid, full = picture("yuv420p", LEFT), picture("yuv444p", LEFT)
    difference = network_input(unsaid, SIZE).astype(float) - network_input(full, SIZE)
    assert np.abs(difference[8:-8, 8:-8]).mean() < 0.7


@pytest.fixture
def plain_info(clip: Callable[[str], Path]) -> VideoInfo:
    """What a plain clip of SIZE is."""
    return probe(clip("plain"))

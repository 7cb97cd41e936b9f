"""Photos of unusual kinds: palettes, grey, AVIF with opacity, JPEG and WebP as others show them, cut files, TIFFs."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from clips import picture
from heif import write_avif, write_with_opacity
from numpy.typing import NDArray
from PIL import Image

import birefvideo
from birefvideo.errors import InputError
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.numbered_pictures import at_rate
from birefvideo.media.reading.probe import probe
from birefvideo.media.reading.stills import is_still
from birefvideo.media.writing.animation_pixels import paletted
from birefvideo.rgb import to_rgb

RGB = NDArray[np.uint8]


def colour_read(path: Path) -> NDArray[np.float32]:
    """What a photo's pictures show when they are written as R'G'B' again, 0 to 255."""
    info = at_rate(probe(path), None)
    (frame,) = read_frames(info)
    assert frame.picture.format.name.startswith("yuv444p")
    return np.asarray(to_rgb(frame.picture, info.colour, 255.0), np.float32)


def test_every_grey_comes_back(tmp_path: Path) -> None:
    grey = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    assert np.array_equal(np.rint(colour_read(tmp_path / "grey.png"))[..., 1], grey)


def test_every_grey_beside_alpha_comes_back(tmp_path: Path) -> None:
    grey = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
    frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="ya8", threads=1)
    encode(tmp_path / "grey.png", "png", frame)
    assert np.array_equal(np.rint(colour_read(tmp_path / "grey.png"))[..., 1], grey)


def test_every_colour_of_a_palette_comes_back(tmp_path: Path) -> None:
    codes = np.dstack([picture(0), np.full((64, 96), 255, np.uint8)])
    frame = paletted(codes)
    wanted = frame.reformat(format="rgb24", threads=1).to_ndarray()
    encode(tmp_path / "few.png", "png", frame)
    assert np.array_equal(np.rint(colour_read(tmp_path / "few.png")), wanted)


def encode(path: Path, codec: str, frame: av.VideoFrame) -> None:
    """Write one picture as it comes from its encoder."""
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = frame.width, frame.height, frame.format.name
    context.framerate, context.time_base = 1, 1  # type: ignore[assignment]
    path.write_bytes(b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)]))


@pytest.mark.parametrize(("keep", "is_whole"), [(1.0, True), (0.97, False), (0.7, False)])
@pytest.mark.parametrize("progressive", [0, 1])
def test_a_cut_jpeg_is_a_loss(tmp_path: Path, network: Path, keep: float, is_whole: bool, progressive: int) -> None:
    path = tmp_path / "me.jpg"
    cv2.imwrite(str(path), picture(0)[..., ::-1], [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * keep)])
    made = birefvideo.matte(path, model=str(network))
    assert made.losses == ([] if is_whole else ["the picture is cut off or damaged: a part of it is missing"])
    if not is_whole:
        with pytest.raises(InputError, match="not whole"):
            birefvideo.matte(path, model=str(network), strict=True, overwrite=True)


def test_what_follows_a_jpeg_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "me.jpg"
    cv2.imwrite(str(path), picture(0)[..., ::-1])
    path.write_bytes(path.read_bytes() + b"\0" * 500 + b"the clip that phones append" * 9)
    assert probe(path).losses == ()


@pytest.mark.parametrize("keep", [0.9, 0.5])
def test_a_cut_gif_is_a_loss(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "me.gif"
    frame = paletted(np.dstack([picture(0), np.full((64, 96), 255, np.uint8)]))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("gif", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "pal8"
        frame.pts = 0
        out.mux([*stream.encode(frame), *stream.encode(None)])
    assert probe(path).losses == ()
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    assert len(probe(path).losses) == 1


def write_tiff(path: Path, rgb: RGB, *, side: int = 0, packed: int = 1, at_end: bool = True) -> Path:
    """A TIFF in one strip, or in tiles of a `side`; `packed` is how it says that it is packed."""
    height, width = rgb.shape[:2]
    blocks = [rgb]
    if side:
        padded = np.zeros((-(-height // side) * side, -(-width // side) * side, 3), np.uint8)
        padded[:height, :width] = rgb
        blocks = [
            padded[y : y + side, x : x + side]
            for y in range(0, len(padded), side)
            for x in range(0, padded.shape[1], side)
        ]
    entries = 10 if side else 9
    begin = 8 + 2 + 12 * entries + 4
    count = len(blocks)
    begin_blocks = begin + 8 + 8 * count
    places = [begin_blocks + i * blocks[0].size for i in range(count)]
    values = {256: width, 257: height, 258: begin, 259: packed, 262: 2, 277: 3}
    lists = {324: begin + 8, 325: begin + 8 + 4 * count} if side else {273: places[0], 279: rgb.size}
    values |= {322: side, 323: side} if side else {278: height}
    numbers = {258: 3, 324: count, 325: count}
    body = b"".join(
        struct.pack("<HHII", tag, 4 if tag in lists else 3, numbers.get(tag, 1), value)
        for tag, value in sorted((values | lists).items())
    )
    arrays = struct.pack(f"<{count}I", *places) + struct.pack(f"<{count}I", *[blocks[0].size] * count)
    head = b"II*\0" + struct.pack("<IH", 8, entries) + body + b"\0\0\0\0" + struct.pack("<4H", 8, 8, 8, 0)
    path.write_bytes(head + arrays + b"".join(np.ascontiguousarray(block).tobytes() for block in blocks))
    return path


def test_tiffs_in_tiles_or_packed_as_jpeg_are_read(tmp_path: Path) -> None:
    assert np.array_equal(np.rint(colour_read(write_tiff(tmp_path / "strip.tif", picture(0)))), picture(0))
    assert np.array_equal(np.rint(colour_read(write_tiff(tmp_path / "tiles.tif", picture(0), side=32))), picture(0))
    packed = tmp_path / "jpeg.tif"
    Image.fromarray(picture(0)).save(packed, compression="jpeg")
    assert np.array_equal(np.rint(colour_read(packed)), np.asarray(Image.open(packed).convert("RGB")))


def test_a_tiff_that_would_be_black_is_refused(tmp_path: Path) -> None:
    for name, written in (
        ("in tiles", write_tiff(tmp_path / "tiles.tif", picture(0), side=32)),
        ("packed as JPEG", write_tiff(tmp_path / "jpeg.tif", picture(0), packed=7)),  # whose data are none
    ):
        written.write_bytes(written.read_bytes()[:-9000])
        with pytest.raises(InputError, match=name):
            probe(written)


@pytest.mark.parametrize(
    "settings",
    [
        *({"quality": quality, "subsampling": part} for part in ("4:4:4", "4:2:2", "4:2:0") for quality in (50, 95)),
        {"progressive": True},
        {"keep_rgb": True},
    ],
    ids=str,
)
def test_a_jpeg_has_the_colour_that_other_programs_show(tmp_path: Path, settings: dict[str, Any]) -> None:
    path = tmp_path / "me.jpg"
    Image.fromarray(picture(0)[:61, :83]).save(path, **settings)
    assert np.array_equal(np.rint(colour_read(path)), np.asarray(Image.open(path)))


@pytest.mark.parametrize("sampling", ["411", "440"])
def test_a_jpeg_of_rare_sampling_has_the_colour_that_other_programs_show(tmp_path: Path, sampling: str) -> None:
    path = tmp_path / "me.jpg"
    kind = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{sampling}")
    cv2.imwrite(str(path), picture(0)[..., ::-1], [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, kind])
    assert np.array_equal(np.rint(colour_read(path)), np.asarray(Image.open(path)))


@pytest.mark.parametrize("name", ["me.jpg", "me.tif"])
@pytest.mark.parametrize("mode", ["L", "CMYK", "YCbCr"])
def test_photos_in_grey_or_inks_have_the_colour_that_other_programs_show(tmp_path: Path, name: str, mode: str) -> None:
    path = tmp_path / name
    Image.fromarray(picture(0)).convert(mode).save(path)
    assert np.array_equal(np.rint(colour_read(path)), np.asarray(Image.open(path).convert("RGB")))


def test_a_lossy_webp_has_the_colour_and_opacity_that_other_programs_show(tmp_path: Path) -> None:
    path, codes = tmp_path / "me.webp", np.dstack([picture(0), np.full((64, 96), 255, np.uint8)])
    codes[:, :48, 3] = np.arange(48)
    Image.fromarray(codes).save(path, quality=80)
    (frame,) = read_frames(at_rate(probe(path), None))
    shown = np.asarray(Image.open(path))
    assert np.array_equal(np.rint(colour_read(path)), shown[..., :3])
    assert frame.opacity is not None and np.array_equal(np.rint(frame.opacity * 255), shown[..., 3])


def test_a_deep_tiff_stays_deep(tmp_path: Path) -> None:
    deep = (picture(0).astype(np.uint16) * 257 // 3).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.tif"), deep[..., ::-1])
    info = probe(tmp_path / "deep.tif")
    assert info.still is not None and info.still.depth == 16
    assert np.abs(colour_read(tmp_path / "deep.tif") - deep / 257).max() < 0.5


@pytest.mark.parametrize("turn", [1, 3, 6])
def test_a_turned_tiff_is_turned_once(tmp_path: Path, turn: int) -> None:
    path = tmp_path / "me.tif"
    Image.fromarray(picture(0)).save(path, tiffinfo={274: turn})
    upright = {1: picture(0), 3: picture(0)[::-1, ::-1], 6: np.rot90(picture(0), 3)}[turn]
    assert np.array_equal(np.rint(colour_read(path)), upright)


def test_the_preview_in_a_camera_s_file_is_not_taken_for_the_photo(tmp_path: Path) -> None:
    path = tmp_path / "raw.tif"
    Image.fromarray(picture(0)).save(path, compression="jpeg", tiffinfo={254: 1})
    with pytest.raises(InputError, match="packed as JPEG"):
        probe(path)


def test_a_cut_jpeg_shows_what_is_left_of_it(tmp_path: Path) -> None:
    path = tmp_path / "me.jpg"
    Image.fromarray(picture(0)).save(path, quality=90)
    path.write_bytes(path.read_bytes()[:-100])
    assert np.abs(colour_read(path)[:16] - picture(0)[:16]).mean() < 12


def test_a_tiff_whose_strips_are_cut_is_a_loss_or_refused(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "cut.tif", picture(0))
    path.write_bytes(path.read_bytes()[:-4000])
    try:
        assert len(probe(path).losses) == 1
    except InputError as error:
        assert "damaged" in str(error)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("me.j2k", b"\xff\x4f\xff\x51\0\x2f"),
        ("me.phm", b"PH\n16 2\n"),
        ("me.ico", b"\0\0\1\0\1\0"),
        ("me.pbm", b"P4\n16 2\n\xff\x00\x0f\xf0"),
        ("me.pgm", b"P2\n2 2\n255\n0 255 9 9\n"),
        ("me.pam", b"P7\n"),
    ],
)
def test_old_kinds_of_pictures_are_photos(tmp_path: Path, name: str, head: bytes) -> None:
    (tmp_path / name).write_bytes(head)
    assert is_still(tmp_path / name)


@pytest.mark.skipif("libjxl" in av.codecs_available, reason="this FFmpeg reads JPEG XL")
def test_a_photo_without_a_decoder_is_to_be_made_a_photo(tmp_path: Path) -> None:
    path = tmp_path / "me.jxl"
    path.write_bytes(bytes.fromhex("ff0a4340240800010060004b188b1500d48831c69918e700a2c0400b40a5152770582a"))
    with pytest.raises(InputError, match=r"me\.jxl is in a codec that .* convert it to JPEG or PNG$"):
        probe(path)


@pytest.mark.parametrize(("name", "codec"), [("me.tga", "targa"), ("me.pcx", "pcx"), ("me.sgi", "sgi")])
def test_pictures_without_a_telling_head_are_photos(tmp_path: Path, network: Path, name: str, codec: str) -> None:
    encode(
        tmp_path / name,
        codec,
        av.VideoFrame.from_ndarray(picture(0), format="rgb24").reformat(
            format="bgr24" if codec == "targa" else "rgb24"
        ),
    )
    assert birefvideo.matte(tmp_path / name, model=str(network)).outputs == (tmp_path / "me_alpha.png",)
    assert np.array_equal(np.rint(colour_read(tmp_path / name)), picture(0))


def test_opacity_beside_an_avif_counts(tmp_path: Path, network: Path) -> None:
    alpha = np.full((64, 96), 255, np.uint8)
    alpha[:, :48] = 0
    colour = write_avif(tmp_path / "colour.avif", picture(0))
    opacity = write_avif(tmp_path / "opacity.avif", np.dstack([alpha] * 3))
    path = write_with_opacity(tmp_path / "me.avif", colour, opacity, (96, 64))
    made = birefvideo.matte(path, model=str(network))
    assert any("transparency of the input's own" in note for note in made.warnings)
    assert not any("left out" in note for note in made.warnings)
    got = cv2.imread(str(made.outputs[0]), cv2.IMREAD_UNCHANGED)[..., 3]
    assert got[:, :44].max() <= 20 and got[:, 52:].mean() > 1
    shown = birefvideo.matte(path, tmp_path / "all.png", model=str(network), ignore_alpha=True).outputs[0]
    assert cv2.imread(str(shown), cv2.IMREAD_UNCHANGED)[:, :44, 3].mean() > 1

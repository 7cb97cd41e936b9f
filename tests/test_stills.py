"""One picture in, one picture out: names, bit depth, colour profiles, backgrounds, folders of photos, verification."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from clips import picture
from heif import write_avif, write_tiled
from numpy.typing import NDArray
from test_picture_tags import PROFILE, chunk, encoded, exif, jpeg_with, png_with, segment
from typer.testing import CliRunner, Result

import birefvideo
from birefvideo.cli import app
from birefvideo.errors import InputError, OptionError, OutputError
from birefvideo.media.animation_containers import write_apng
from birefvideo.media.forms import STILLS
from birefvideo.media.reading.picture_tags import PictureTags, read_picture_tags
from birefvideo.media.reading.probe import probe
from birefvideo.media.reading.read_metadata import read_metadata
from birefvideo.media.reading.stills import is_still

GetClip = Callable[[str], Path]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def photo(path: Path, depth: int = 8) -> Path:
    codes = picture(0)[..., ::-1]
    cv2.imwrite(str(path), codes if depth == 8 else codes.astype(np.uint16) * 257)
    return path


def pixels(path: Path) -> NDArray[Any]:
    """Codes as they lie in the file, R'G'B'(A) or grey."""
    read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert read is not None
    return read if read.ndim == 2 else cv2.cvtColor(read, cv2.COLOR_BGRA2RGBA if read.shape[2] == 4 else 4)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".json")


@pytest.mark.parametrize("name", ["me.png", "me.jpg", "me.webp", "me.tif", "me.bmp"])
def test_a_picture_becomes_a_transparent_png_beside_it(tmp_path: Path, network: Path, name: str) -> None:
    made = birefvideo.matte(photo(tmp_path / name), model=str(network))
    assert names_in(tmp_path) == sorted([name, "me_alpha.png"])
    assert made.outputs == (tmp_path / "me_alpha.png",) and made.frames == 1 and not made.warnings
    codes = pixels(made.outputs[0])
    assert codes.shape == (64, 96, 4) and codes.dtype == np.uint8
    assert 0 < codes[..., 3].mean() < 255
    said = invoke("verify", made.outputs[0], "--source", tmp_path / name)
    assert said.exit_code == 0 and "all good" in said.output, said.output


@pytest.mark.parametrize("depth", [8, 16])
def test_bit_depth_is_the_picture_s_and_opaque_colour_is_its_own(
    tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch, depth: int
) -> None:
    from birefvideo.matting import predict

    ones = lambda self, frames: (frame.with_alpha(np.ones((64, 96), np.float32)) for frame in frames)  # noqa: E731
    monkeypatch.setattr(predict.Predictor, "predict", ones)
    source = photo(tmp_path / "me.png", depth)
    codes = pixels(birefvideo.matte(source, model=str(network)).outputs[0])
    assert codes.dtype == (np.uint8 if depth == 8 else np.uint16)
    off = np.abs(codes[..., :3].astype(int) - pixels(source))
    assert off.max() == 0 if depth == 8 else off.max() < 120  # 10 of 16 bits


def test_a_folder_of_photos_gives_one_output_each_with_one_model(
    tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from birefvideo.jobs import loaded_model

    loads: list[object] = []
    load = loaded_model.LoadedModel.__init__

    def counted(self: loaded_model.LoadedModel, options: birefvideo.Options) -> None:
        loads.append(options)
        load(self, options)

    monkeypatch.setattr(loaded_model.LoadedModel, "__init__", counted)
    folder = tmp_path / "photos"
    folder.mkdir()
    photo(folder / "anna.png")
    cv2.imwrite(str(folder / "bert.jpg"), picture(1)[:40, :70])
    photo(folder / "IMG_0007.JPG")
    for _ in range(2):
        result = invoke("matte", folder, "-o", tmp_path / "out", "--model", network, "--overwrite")
        assert result.exit_code == 0, result.output
        assert names_in(tmp_path / "out") == ["IMG_0007_alpha.png", "anna_alpha.png", "bert_alpha.png"]
    assert len(loads) == 2 and pixels(tmp_path / "out" / "bert_alpha.png").shape == (40, 70, 4)
    assert invoke("matte", folder, "--model", network).exit_code == 0
    assert invoke("matte", folder, "--model", network, "--overwrite").exit_code == 0  # and not its own outputs
    assert len(names_in(folder)) == 6


def test_a_numbered_series_stays_film_whatever_was_made_of_one_of_its_pictures(tmp_path: Path, network: Path) -> None:
    folder = tmp_path / "walk"
    folder.mkdir()
    for number in range(3):
        photo(folder / f"{number:03}.png")
    birefvideo.matte(folder / "001.png", model=str(network))
    assert (folder / "001_alpha.png").exists()
    assert invoke("matte", folder, "--to", "prores", "--model", network).exit_code == 0
    with av.open(str(tmp_path / "walk_alpha.mov")) as container:
        assert container.streams.video[0].frames == 3
    for path in folder.glob("001*"):
        path.unlink()
    said = invoke("matte", folder, "--model", network).output
    assert "picture 1 is missing" in said and "one by one" in said


def test_two_photos_of_one_name_are_refused_before_work(tmp_path: Path, network: Path) -> None:
    photo(tmp_path / "me.png")
    photo(tmp_path / "me.jpg")
    result = invoke("matte", tmp_path, "--model", network)
    assert result.exit_code == 2 and "would both write" in result.output
    assert names_in(tmp_path) == ["me.jpg", "me.png"]


def test_a_picture_goes_over_a_colour_or_into_a_matte_and_a_fill(tmp_path: Path, network: Path) -> None:
    names = ["png", "green", "blue", "fill+matte"]
    made = birefvideo.matte(photo(tmp_path / "me.png"), to=names, model=str(network)).outputs
    assert [path.name for path in made] == [
        "me_alpha.png",
        "me_green.png",
        "me_blue.png",
        "me_fill.png",
        "me_matte.png",
    ]
    alpha, green, blue, fill, matte = (pixels(path).astype(float) for path in made)
    for found, below in ((green, (0, 177, 64)), (blue, (0, 71, 187))):
        assert np.abs(found - over(alpha, below)).max() < 3.1
    assert fill.shape == (64, 96, 3) and np.abs(matte - alpha[..., 3]).max() == 0


def test_a_picture_goes_over_a_background_where_one_is_asked_for(tmp_path: Path, network: Path) -> None:
    beach = tmp_path / "beach.png"
    cv2.imwrite(str(beach), np.full((50, 50, 3), (60, 120, 200), np.uint8))
    source = photo(tmp_path / "me.png")
    for background, name, below in (("green", "me_green.png", (0, 177, 64)), (beach, "me_comp.png", (200, 120, 60))):
        made = birefvideo.matte(source, model=str(network), background=background, overwrite=True).outputs
        assert [path.name for path in made] == ["me_alpha.png", name]
        alpha, found = (pixels(path).astype(float) for path in made)
        assert found.shape == (64, 96, 3) and np.abs(found - over(alpha, below)).max() < 3.1
    named = birefvideo.matte(source, tmp_path / "x.png", background="white", model=str(network)).outputs
    assert named == (tmp_path / "x.png",) and pixels(named[0]).shape == (64, 96, 3)


def over(codes: NDArray[Any], below: tuple[int, int, int]) -> NDArray[Any]:
    """R'G'B' of straight R'G'B'A over one colour."""
    opacity = codes[..., 3:] / 255
    return codes[..., :3] * opacity + np.array(below) * (1 - opacity)


@pytest.mark.parametrize(
    ("name", "codec"), [("x.png", "png"), ("x.webp", "webp"), ("x.tiff", "tiff"), ("x.exr", "exr")]
)
def test_the_ending_of_a_name_chooses_what_a_picture_becomes(
    tmp_path: Path, network: Path, name: str, codec: str
) -> None:
    source = photo(tmp_path / "me.png")
    result = invoke("matte", source, "-o", tmp_path / name, "--model", network)
    assert result.exit_code == 0, result.output
    with av.open(str(tmp_path / name)) as container:
        assert container.streams.video[0].codec_context.name == codec
        assert any(part.is_alpha for part in next(container.decode(video=0)).format.components)
    assert invoke("verify", tmp_path / name, "--source", source).exit_code == 0
    assert "all good" in invoke("verify", tmp_path / name).output


def test_what_cannot_be_written_of_a_picture_or_a_clip_is_told(tmp_path: Path, network: Path, copy: GetClip) -> None:
    source = photo(tmp_path / "me.png")
    with pytest.raises(OptionError, match=r"x.jpg is not a kind of file that can be written.*end it with .*\.png"):
        birefvideo.matte(source, tmp_path / "x.jpg", model=str(network))
    with pytest.raises(OptionError, match=r"x.png is one picture: to='png' makes a folder of them"):
        birefvideo.matte(copy("plain"), tmp_path / "x.png", model=str(network))
    with pytest.raises(OptionError, match=r"x.png does not go with to='prores', which makes a .mov file"):
        birefvideo.matte(source, tmp_path / "x.png", "prores", model=str(network))
    with pytest.raises(OutputError, match="exists already"):
        for _ in range(2):
            birefvideo.matte(source, model=str(network), receipts=False)


def test_video_of_a_picture_is_made_where_it_is_asked_for(tmp_path: Path, network: Path) -> None:
    made = birefvideo.matte(photo(tmp_path / "me.jpg"), to=["prores", "png"], model=str(network))
    assert [path.name for path in made.outputs] == ["me_alpha.mov", "me_alpha.png"]
    with av.open(str(made.outputs[0])) as container:
        assert container.streams.video[0].frames == 1


def test_options_of_time_and_sound_are_told_to_have_no_effect(tmp_path: Path, network: Path) -> None:
    source = photo(tmp_path / "me.jpg")
    plain = birefvideo.matte(source, model=str(network)).outputs[0].read_bytes()
    choices: dict[str, Any] = {"smooth": 4, "fps": 30, "audio": "none", "start": 5}
    made = birefvideo.matte(source, model=str(network), overwrite=True, **choices)
    told = {name: "it has no sound" if name == "audio" else "it has no time" for name in choices}
    assert sorted(made.warnings) == sorted(
        f"{name} has no effect on a .png picture: {why}" for name, why in told.items()
    )
    assert made.outputs[0].read_bytes() == plain


def test_a_colour_profile_goes_along(tmp_path: Path, network: Path) -> None:
    source = tmp_path / "me.png"
    source.write_bytes(png_with(chunk(b"iCCP", b"p3\0\0" + zlib.compress(PROFILE))))
    for name in ("x.png", "x.webp"):
        made = birefvideo.matte(source, tmp_path / name, model=str(network))
        assert not made.warnings and read_picture_tags(made.outputs[0]) == PictureTags(profile=PROFILE)
        whole = made.outputs[0].read_bytes()
        assert not any(kind in whole for kind in (b"cICP", b"gAMA", b"sRGB", b"cHRM"))
    made = birefvideo.matte(source, tmp_path / "x.tif", model=str(network))
    assert len(made.warnings) == 1 and "goes without the photo's colour profile" in made.warnings[0]
    source.write_bytes(png_with(chunk(b"iCCP", b"x\0\0" + zlib.compress(PROFILE.replace(b"RGB ", b"CMYK")))))
    made = birefvideo.matte(source, tmp_path / "y.png", model=str(network))
    assert len(made.warnings) == 1 and "is not of RGB" in made.warnings[0]
    for damaged in (PROFILE[:-1], b"\xff" + PROFILE[1:], PROFILE.replace(b"acsp", b"\0\0\0\0")):
        source.write_bytes(png_with(chunk(b"iCCP", b"x\0\0" + zlib.compress(damaged))))
        made = birefvideo.matte(source, tmp_path / "z.png", model=str(network), overwrite=True)
        assert len(made.warnings) == 1 and "profile is damaged, so z.png goes without" in made.warnings[0]
        assert read_picture_tags(made.outputs[0]) == PictureTags()


@pytest.mark.parametrize(("primaries", "transfer"), [(12, 13), pytest.param(9, 16, marks=pytest.mark.slow)])
def test_colour_that_a_png_names_is_named_again(tmp_path: Path, network: Path, primaries: int, transfer: int) -> None:
    source = photo(tmp_path / "me.png", 16)
    data = source.read_bytes()
    source.write_bytes(data[:33] + chunk(b"cICP", bytes([primaries, transfer, 0, 1])) + data[33:])
    made = birefvideo.matte(source, model=str(network)).outputs[0]
    assert chunk(b"cICP", bytes([primaries, transfer, 0, 1])) in made.read_bytes()


def test_a_picture_without_a_word_on_colour_is_srgb(tmp_path: Path, network: Path) -> None:
    made = birefvideo.matte(photo(tmp_path / "me.jpg"), model=str(network)).outputs[0].read_bytes()
    assert b"sRGB" in made and b"cICP" not in made


def test_a_turned_photo_comes_out_upright(tmp_path: Path, network: Path) -> None:
    source = tmp_path / "me.jpg"
    source.write_bytes(jpeg_with(segment(0xE1, b"Exif\0\0" + exif(6, ">"))))
    made = birefvideo.matte(source, model=str(network)).outputs[0]
    assert pixels(made).shape == (96, 64, 4) and read_picture_tags(made) == PictureTags()


def test_what_lies_behind_a_photo_in_its_file_is_not_taken_for_more_of_it(
    tmp_path: Path, network: Path, clip: GetClip
) -> None:
    source = tmp_path / "motion.jpg"
    source.write_bytes(encoded(".jpg") + clip("plain").read_bytes())  # as phones do
    assert birefvideo.matte(source, model=str(network)).frames == 1
    source.write_bytes(encoded(".jpg") * 3)
    assert birefvideo.matte(source, model=str(network), overwrite=True).frames == 1


def test_what_moves_is_no_picture(tmp_path: Path, copy: GetClip) -> None:
    def animation(name: str, count: int) -> Path:
        with av.open(str(tmp_path / name), "w", format=name.split(".")[1].replace("png", "apng")) as container:
            stream = container.add_stream("gif" if "gif" in name else "apng", rate=10)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "rgb8" if "gif" in name else "rgb24"
            for index in range(count):
                frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24").reformat(format=stream.pix_fmt)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return tmp_path / name

    assert is_still(animation("one.gif", 1)) and not is_still(animation("two.gif", 2))
    assert not is_still(animation("two.png", 2))
    assert not is_still(copy("plain")) and not is_still(tmp_path) and not is_still(tmp_path / "lost.png")


def test_no_two_forms_make_files_of_one_name() -> None:
    assert len({form.suffix for form in STILLS.values()}) == len(STILLS)


def test_a_receipt_and_verification_tell_a_changed_picture(tmp_path: Path, network: Path) -> None:
    made = birefvideo.matte(photo(tmp_path / "me.jpg"), model=str(network)).outputs[0]
    entry = json.loads((tmp_path / "me_alpha.json").read_text())["outputs"]["me_alpha.png"]
    assert entry["format"] == "png-still" and entry["verified"]["decoded"] == 1
    data = bytearray(made.read_bytes())
    data[len(data) // 2] ^= 0xFF
    made.write_bytes(data)
    assert invoke("verify", made).exit_code == 1


@pytest.mark.skipif("libsvtav1" not in av.codecs_available, reason="this FFmpeg has no encoder of AV1")
def test_a_photo_in_tiles_is_refused_and_a_whole_one_is_read(tmp_path: Path, network: Path) -> None:
    whole = write_avif(tmp_path / "me.avif", picture(0)[:, :64].copy())
    assert is_still(whole)
    made = birefvideo.matte(whole, model=str(network))
    assert [path.name for path in made.outputs] == ["me_alpha.png"] and pixels(made.outputs[0]).shape == (64, 64, 4)
    for thumbnail in (False, True):
        tiled = write_tiled(tmp_path / "tiled.heic", whole, 64, thumbnail=thumbnail)
        with pytest.raises(InputError, match=r"one photo in \d tiles, .* convert it to JPEG or PNG"):
            birefvideo.matte(tiled, model=str(network))
    assert not (tmp_path / "tiled_alpha.png").exists()


def test_the_first_of_many_pages_is_used_and_told(tmp_path: Path, network: Path) -> None:
    path = tmp_path / "scan.tif"
    pages = [picture(index)[..., ::-1].copy() for index in (0, 5, 9)]
    assert cv2.imwritemulti(str(path), pages)
    assert photo(tmp_path / "one.tif").exists() and probe(tmp_path / "one.tif").doubts == ()
    assert probe(path).doubts == ("the file holds 3 pictures: only the first is used",)
    assert "only the first is used" in invoke("matte", path, "--model", network).output


def test_an_animated_avif_is_a_film(tmp_path: Path) -> None:
    """It has its first picture as one of its own beside the moving ones."""
    path = tmp_path / "film.avif"
    with av.open(str(path), "w", format="avif") as out:
        stream = out.add_stream("libsvtav1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24").reformat(format="yuv420p", threads=1)
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    info = probe(path)
    assert info.still is None and info.frame_count == 3
    assert not read_metadata(info).others, "the first picture is no track that is left out"


def test_bytes_behind_the_end_of_a_png_make_no_animation(tmp_path: Path) -> None:
    source = photo(tmp_path / "me.png")
    whole = source.read_bytes()
    for behind in (b"left over" * 9, whole):
        source.write_bytes(whole + behind)
        assert is_still(source) and probe(source).frame_count == 1
    moving = tmp_path / "moving.png"
    with moving.open("wb") as file:
        write_apng(file, [(whole, 40), (whole, 40)], (96, 64), 2)
    assert not is_still(moving)

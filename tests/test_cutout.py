"""birefvideo.cutout: one picture in, an image, an array or a matte out."""

from __future__ import annotations

import io
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import picture
from numpy.typing import NDArray
from PIL import Image
from test_picture_tags import PROFILE, chunk, exif, jpeg_with, png_with, segment

import birefvideo
from birefvideo import session
from birefvideo.errors import DeviceError, InputError, OptionError
from birefvideo.jobs.loaded_model import LoadedModel

GetClip = Callable[[str], Path]
HEIGHT, WIDTH = 64, 96


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    session._LastModel.model = session._LastModel.key = None


@pytest.fixture
def opaque(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that takes everything for a person."""
    from birefvideo.matting import predict

    def ones(self: object, frames: Any) -> Any:
        return (f.with_alpha(np.ones((f.picture.height, f.picture.width), np.float32)) for f in frames)

    monkeypatch.setattr(predict.Predictor, "predict", ones)


def noise(mode: str = "RGB") -> Image.Image:
    codes = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return Image.fromarray(codes).convert(mode)


def array(image: Any, **choices: Any) -> NDArray[np.uint8]:
    return birefvideo.cutout(image, output="array", **choices)


def test_every_kind_of_input_gives_the_same_array(tmp_path: Path, network: Path) -> None:
    path = tmp_path / "me.png"
    image = Image.fromarray(picture(0))
    image.save(path)
    wanted = array(path, model=network)
    assert wanted.shape == (HEIGHT, WIDTH, 4) and wanted.dtype == np.uint8 and 0 < wanted[..., 3].mean() < 255
    data = path.read_bytes()
    for given in (str(path), data, bytearray(data), memoryview(data), image, np.asarray(image)):
        assert np.array_equal(array(given, model=str(network)), wanted)


def test_open_files_are_read(tmp_path: Path, network: Path) -> None:
    noise().save(tmp_path / "me.png")
    wanted = array(tmp_path / "me.png", model=network)
    with (tmp_path / "me.png").open("rb") as file:
        assert np.array_equal(array(file, model=network), wanted)
        with pytest.raises(InputError, match="the picture is empty"):
            array(file, model=network)  # which is at its end
    with pytest.raises(InputError, match="the file cannot be read"):
        array(file, model=network)
    assert np.array_equal(array(io.BytesIO((tmp_path / "me.png").read_bytes()), model=network), wanted)


def test_the_same_comes_out_as_of_the_command(tmp_path: Path, network: Path) -> None:
    path = tmp_path / "me.png"
    noise().save(path)
    made = birefvideo.matte(path, model=network).outputs[0]
    assert np.array_equal(array(path, model=network), np.asarray(Image.open(made)))


def test_an_image_an_array_and_a_matte_come_out(network: Path) -> None:
    image = birefvideo.cutout(noise(), model=network)
    codes = birefvideo.cutout(noise(), output="array", model=network)
    alpha = birefvideo.cutout(noise(), output="alpha", model=network)
    assert image.mode == "RGBA" and np.array_equal(np.asarray(image), codes)
    assert alpha.dtype == np.float32 and alpha.shape == (HEIGHT, WIDTH)
    assert np.array_equal(np.rint(alpha * 255), codes[..., 3])
    with pytest.raises(OptionError, match="output is 'png': give one of image, array, alpha"):
        birefvideo.cutout(noise(), output="png", model=network)  # type: ignore[call-overload]


@pytest.mark.parametrize("mode", ["La", "RGBa", "PA", "CMYK"])
def test_pil_s_rarer_modes_are_taken(network: Path, mode: str) -> None:
    image = noise("LA" if mode == "La" else "RGBA" if mode == "RGBa" else "RGB").convert(mode)
    assert array(image, model=network).shape == (HEIGHT, WIDTH, 4)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_colour_is_the_picture_s_own_to_the_bit_where_it_is_opaque(
    tmp_path: Path, network: Path, opaque: None, mode: str
) -> None:
    image = noise(mode)
    image.save(tmp_path / "me.png")
    wanted = np.asarray(image.convert("RGBA"))
    assert np.array_equal(array(tmp_path / "me.png", model=network), wanted)
    assert np.array_equal(array(image, model=network), wanted)
    if mode in ("RGB", "RGBA", "L"):
        assert np.array_equal(array(np.asarray(image), model=network), wanted)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_a_jpeg_s_colour_is_what_other_programs_show_where_it_is_opaque(
    tmp_path: Path, network: Path, opaque: None, subsampling: str
) -> None:
    path = tmp_path / "me.jpg"
    noise().save(path, quality=80, subsampling=subsampling)
    wanted = np.asarray(Image.open(path).convert("RGBA"))
    assert np.array_equal(array(path, model=network), wanted)
    written = birefvideo.matte(path, model=str(network)).outputs[0]
    assert np.array_equal(np.asarray(Image.open(written)), wanted)


def test_a_picture_s_own_alpha_stays_in_the_matte(network: Path, opaque: None) -> None:
    image = noise("RGBA")
    own = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
    image.putalpha(Image.fromarray(own))
    assert np.array_equal(array(image, model=network)[..., 3], own)
    assert array(image, model=network, ignore_alpha=True)[..., 3].min() == 255


def test_a_turned_photo_comes_out_upright_however_it_is_given(tmp_path: Path, network: Path) -> None:
    data = jpeg_with(segment(0xE1, b"Exif\0\0" + exif(6, ">")))
    wanted = array(data, model=network)
    assert wanted.shape == (WIDTH, HEIGHT, 4)
    assert array(Image.open(io.BytesIO(data)), model=network).shape == wanted.shape


def test_a_colour_profile_is_kept(network: Path) -> None:
    data = png_with(chunk(b"iCCP", b"p3\0\0" + zlib.compress(PROFILE)))
    assert birefvideo.cutout(data, model=network).info["icc_profile"] == PROFILE
    assert "icc_profile" not in birefvideo.cutout(noise(), model=network).info


def test_a_background_lies_under_it(network: Path) -> None:
    codes = array(noise(), model=network).astype(float)
    over = array(noise(), model=network, background="white")
    share = codes[..., 3:] / 255
    assert over[..., 3].min() == 255
    assert np.abs(over[..., :3] - (codes[..., :3] * share + 255 * (1 - share))).max() < 3.1
    assert np.array_equal(array(noise(), model=network, background=(255, 255, 255)), over)
    assert np.array_equal(array(noise(), model=network, background=None), codes)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"", "the picture is empty"),
        (b"hello", "the picture is a text file"),
        (5, "int is no kind of picture: give a file's name"),
        (None, "NoneType is no kind of picture"),
        (np.zeros((4, 4)), r"array of float64 \(4, 4\): give uint8"),
        (np.zeros((4, 4, 2), np.uint8), r"array of uint8 \(4, 4, 2\)"),
        (np.zeros((0, 4, 3), np.uint8), r"array of uint8 \(0, 4, 3\)"),
        (io.StringIO("text"), "open as text; open it as 'rb'"),
        (Image.new("F", (4, 4)), "mode F has no black and white"),
        ("nowhere.png", "nowhere.png does not exist"),
        ("https://example.org/me.png", "is an address on the network"),
    ],
    ids=range(11),
)
def test_what_is_no_picture_is_told_in_one_line(network: Path, given: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        birefvideo.cutout(given, model=network)
    assert "\n" not in str(caught.value) and "/tmp" not in str(caught.value)


def test_a_film_is_told_where_to_go(network: Path, clip: GetClip) -> None:
    with pytest.raises(InputError, match=r"the picture is not the file of one picture; .* there is birefvideo.matte"):
        birefvideo.cutout(clip("plain").read_bytes(), model=network)


def test_a_cut_off_photo_is_told(tmp_path: Path, network: Path) -> None:
    for name in ("me.png", "me.webp", "me.jpg"):
        noise().save(tmp_path / name, quality=95)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
    for name in ("me.png", "me.webp"):
        with pytest.raises(InputError, match="the file is damaged"):
            birefvideo.cutout(tmp_path / name, model=network)
    with pytest.warns(UserWarning, match="the picture is cut off or damaged"):
        birefvideo.cutout(tmp_path / "me.jpg", model=network)
    birefvideo.cutout(data + b"more", model=network)  # as phones put a film behind it
    with pytest.raises(InputError, match="cannot be read"):
        birefvideo.cutout(Image.open(io.BytesIO(data[: len(data) // 2])), model=network)


def test_the_model_is_loaded_once_and_again_when_its_file_changes(
    tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[object] = []
    load = LoadedModel.__init__

    def counted(self: LoadedModel, options: birefvideo.Options) -> None:
        loads.append(options)
        load(self, options)

    monkeypatch.setattr(LoadedModel, "__init__", counted)
    folder = tmp_path / "net"
    folder.mkdir()
    for file in network.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    for _ in range(3):
        birefvideo.cutout(noise(), model=folder)
    assert len(loads) == 1
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"")
    birefvideo.cutout(noise(), model=folder)
    birefvideo.cutout(noise(), model=folder, size=96)
    assert len(loads) == 3


def test_what_is_wrong_is_said_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch, network: Path) -> None:
    monkeypatch.setattr(LoadedModel, "__init__", None)
    for choices, error in (
        ({"size": 100}, OptionError),
        ({"background": "nocolour"}, OptionError),
        ({"model": "nomodel"}, OptionError),
        ({"device": "cuda:99"}, DeviceError),
        ({"nothing": 1}, OptionError),
    ):
        with pytest.raises(error):
            array(noise(), **{"model": network, **choices})


def test_threads_that_share_the_model_get_their_own_pictures(network: Path) -> None:
    pictures = [np.roll(np.asarray(noise()), index, axis=1)[: HEIGHT - 8 * index] for index in range(4)]
    alone = [array(one, model=network) for one in pictures]
    session._LastModel.model = None
    found: dict[int, NDArray[np.uint8]] = {}

    def work(index: int) -> None:
        for _ in range(3):
            found[index] = array(pictures[index], model=network)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(found[index], alone[index]) for index in range(4))

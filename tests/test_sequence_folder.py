"""Folders of pictures: exact alpha and colour, times beside them, whole or not there at all."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from outputs import SEQUENCES, expectation, full_disk, make_output, matted, write_parts

import birefvideo
from birefvideo.errors import OutputError
from birefvideo.frames import Frame, VideoInfo
from birefvideo.jobs import plan
from birefvideo.jobs.folder import JobFolder
from birefvideo.jobs.receipt import claims_of, read, still_the_same
from birefvideo.media.format_table import Format, get_format
from birefvideo.media.sequence_json import is_sequence, own_files
from birefvideo.media.verification.picture_damage import check_picture
from birefvideo.media.verification.verify_in_job import verify
from birefvideo.media.verification.verify_later import Claims, prove
from birefvideo.media.writing.rgb_frames import linear_table
from birefvideo.media.writing.sequence_folder import check_deliverable, deliver
from birefvideo.planes import plane_array, to_444

GetClip = Callable[[str], Path]
every_sequence = pytest.mark.parametrize("format", SEQUENCES, ids=lambda format: format.name)
# ITU-T H.273: red of V, blue of U, green of U and of V
_MATRICES = {
    1: (1.5748, 1.8556, 0.187324, 0.468124),
    6: (1.402, 1.772, 0.344136, 0.714136),
    9: (1.4746, 1.8814, 0.164553, 0.571353),
}


def rgb_of(frame: Frame, info: VideoInfo) -> NDArray[np.float64]:
    """R'G'B' of a frame's picture, (height, width, 3), 1 being white, written out from the standards."""
    step, full = 1 << (info.bit_depth - 8), info.colour.range == 2
    peak = (1 << info.bit_depth) - 1
    y, u, v = (plane_array(to_444(frame.picture), i).astype(float) for i in range(3))
    y = y / peak if full else (y / step - 16) / 219
    u, v = ((c - 128 * step) / peak if full else (c / step - 128) / 224 for c in (u, v))
    red, blue, green_u, green_v = _MATRICES[info.colour.matrix]
    return np.stack([y + red * v, y - green_u * u - green_v * v, y + blue * u], axis=-1)


def read_exr(path: Path) -> dict[str, NDArray[np.float32]]:
    """The channels of a scan-line OpenEXR file of half floats in ZIPS, from the format's specification."""
    data = path.read_bytes()
    assert data[:4] == b"\x76\x2f\x31\x01"
    at, fields = 8, {}
    while data[at]:
        name, kind = data[at : data.index(0, at)], None
        at += len(name) + 1
        kind = data[at : data.index(0, at)]
        at += len(kind) + 1
        (size,) = struct.unpack_from("<i", data, at)
        fields[name.decode()] = data[at + 4 : at + 4 + size]
        at += 4 + size
    names = [entry.decode() for entry in fields["channels"].replace(b"\0" * 3, b"\0").split(b"\0") if entry.isalpha()]
    left, top, right, bottom = struct.unpack("<4i", fields["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    assert fields["compression"] == b"\x02"  # ZIPS: one line a block
    rows = []
    for offset in struct.unpack_from(f"<{height}Q", data, at + 1):
        line, size = struct.unpack_from("<ii", data, offset)
        raw = data[offset + 8 : offset + 8 + size]
        if size < 2 * width * len(names):
            codes = np.frombuffer(zlib.decompress(raw), np.uint8).astype(int)
            codes[1:] -= 128
            mixed = np.cumsum(codes).astype(np.uint8)
            half = -(-mixed.size // 2)
            raw = np.stack([mixed[:half], np.pad(mixed[half:], (0, half - mixed.size // 2))], axis=1).tobytes()
        rows.append(np.frombuffer(raw[: 2 * width * len(names)], "<f2").reshape(len(names), width))
        assert line == top + len(rows) - 1
    picture = np.stack(rows, axis=1).astype(np.float32)
    return dict(zip(names, picture, strict=True))


@every_sequence
@pytest.mark.parametrize("name", ["vfr", "delayed", "odd_444", "one_frame"])
def test_a_sequence_passes_verification_and_tells_the_source_s_times(
    format: Format, name: str, clip: GetClip, tmp_path: Path
) -> None:
    cuts = () if name == "one_frame" else (3, 7)
    output, info, frames, report = make_output(tmp_path, format, clip(name), cuts=cuts)
    found = verify(output, format, info, expectation(frames, report), decode_all=True)
    assert (found.frames, found.decoded) == (len(frames), len(frames))
    told = json.loads((output / "sequence.json").read_text())
    assert [t * Fraction(told["time_base"]) for t in told["pts"]] == [f.seconds - frames[0].seconds for f in frames]
    assert told["last_duration"] == frames[-1].duration
    files = sorted(path.name for path in output.iterdir() if path.name != "sequence.json")
    assert files == [told["pictures"] % (told["first"] + i) for i in range(len(frames))]


@pytest.mark.parametrize("name", ["plain", "full_range", "ten_bit", "untagged_sd", "hdr"])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_png_and_tiff_hold_16_bit_straight_colour_and_alpha_for_any_reader(
    kind: str, name: str, clip: GetClip, tmp_path: Path
) -> None:
    output, info, frames, _ = make_output(tmp_path, get_format(kind), clip(name))
    for path, frame in zip(sorted(output.glob(f"*{get_format(kind).picture_suffix}")), frames, strict=True):
        bgra = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert frame.alpha is not None and bgra.dtype == np.uint16
        assert np.abs(bgra[..., 3] - frame.alpha * 65535.0).max() <= 0.51
        wanted = np.clip(rgb_of(frame, info), 0, 1) * 65535
        assert np.abs(bgra[..., 2::-1] - wanted).max() <= 1


def test_png_is_tagged_with_primaries_and_curve(clip: GetClip, tmp_path: Path) -> None:
    for name, tags in (("plain", (1, 1)), ("hdr", (9, 16))):
        (tmp_path / name).mkdir()
        output, *_ = make_output(tmp_path / name, get_format("png"), clip(name))
        with av.open(str(sorted(output.glob("*.png"))[0])) as container:
            picture = next(container.decode(video=0))
        assert (picture.color_primaries, picture.color_trc) == tags
        told = json.loads((output / "sequence.json").read_text())["colour"]
        assert (told["primaries"], told["transfer"]) == tags


def test_tiff_says_that_its_alpha_is_straight(clip: GetClip, tmp_path: Path) -> None:
    output, *_ = make_output(tmp_path, get_format("tiff"), clip("one_frame"))
    data = next(output.glob("*.tif")).read_bytes()
    (directory,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, directory)
    entries = [struct.unpack_from("<HHII", data, directory + 2 + 12 * i) for i in range(count)]
    assert (338, 3, 1, 2) in entries  # ExtraSamples: unassociated alpha


@pytest.mark.parametrize("name", ["plain", "ten_bit", "odd_444"])
def test_exr_is_half_float_linear_light_times_alpha(name: str, clip: GetClip, tmp_path: Path) -> None:
    output, info, frames, _ = make_output(tmp_path, get_format("exr"), clip(name))
    for path, frame in zip(sorted(output.glob("*.exr")), frames, strict=True):
        channels = read_exr(path)
        alpha = frame.alpha
        assert alpha is not None and set(channels) == set("RGBA")
        assert np.abs(channels["A"] - alpha).max() < 1e-3
        signal = rgb_of(frame, info)
        light = np.where(signal < 0.081, signal / 4.5, (np.maximum(signal + 0.099, 0) / 1.099) ** (1 / 0.45))
        for index, channel in enumerate("RGB"):
            wanted = light[..., index] * alpha
            assert np.abs(channels[channel] - wanted).max() < 1e-3
            assert (channels[channel][alpha == 0] == 0).all()


@pytest.mark.parametrize(
    ("transfer", "signal", "light"),
    [
        (1, 1.0, 1.0),
        (1, 0.5, 0.259589),
        (6, 0.04, 0.04 / 4.5),
        (13, 0.5, 0.214041),
        (16, 0.580689, 1.0),  # 203 cd/m², BT.2408
        (16, 1.0, 10000 / 203),
        (18, 0.75, 1.0),
        (18, 0.5, 1 / 12 / 0.264963),
        (8, 1.2, 1.2),
        (1, -0.05, -0.05 / 4.5),
    ],
)
def test_curves_are_undone_as_the_standards_have_it(transfer: int, signal: float, light: float) -> None:
    place = round((signal + 0.125) / 1.375 * 65535)
    assert linear_table(transfer)[place] == pytest.approx(light, rel=2e-3, abs=1e-5)


@every_sequence
def test_cut_anywhere_the_pictures_are_the_same(format: Format, clip: GetClip, tmp_path: Path) -> None:
    for name, cuts in (("whole", ()), ("cut", (4, 9))):
        (tmp_path / name).mkdir()
        make_output(tmp_path / name, format, clip("vfr"), cuts=cuts)
    files = [sorted((tmp_path / name / f"out{format.suffix}").iterdir()) for name in ("whole", "cut")]
    assert [path.name for path in files[0]] == [path.name for path in files[1]]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]


@every_sequence
def test_damage_is_found(format: Format, clip: GetClip, tmp_path: Path) -> None:
    output, info, frames, report = make_output(tmp_path, format, clip("plain"))
    expected = expectation(frames, report)
    pictures = sorted(output.glob(f"*{format.picture_suffix}"))
    whole, third = pictures[-1].read_bytes(), pictures[-3].read_bytes()
    stray = output / "notes.txt"
    for harm, words in (
        (lambda: pictures[-1].unlink(), "is missing"),
        (lambda: pictures[-1].write_bytes(b""), "is empty"),
        (lambda: pictures[-1].write_bytes(whole[:40]), "failed verification"),
        (lambda: pictures[-3].write_bytes(third[: len(third) // 2]), "failed verification"),
        (lambda: pictures[-3].write_bytes(third[:-99] + bytes(99)), "failed verification"),
        (lambda: pictures[-3].write_bytes(third[:2000] + bytes(50) + third[2050:]), "failed verification"),
        (lambda: stray.write_text("mine"), "notes.txt does not belong"),
    ):
        harm()
        with pytest.raises(OutputError, match=words):
            verify(output, format, info, expected)
        pictures[-1].write_bytes(whole)
        pictures[-3].write_bytes(third)
        stray.unlink(missing_ok=True)
    assert verify(output, format, info, expected).frames == 12
    told = json.loads((output / "sequence.json").read_text())
    told["pts"][3] += 1
    (output / "sequence.json").write_text(json.dumps(told))
    with pytest.raises(OutputError, match="other times"):
        verify(output, format, info, expected)


@every_sequence
def test_a_full_disk_is_told_in_one_line(format: Format, clip: GetClip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    with full_disk(100), pytest.raises(OutputError, match=r"^cannot write .*: File too large$"):
        write_parts(tmp_path, format, info, frames)


def test_a_part_left_by_a_killed_run_is_written_anew(clip: GetClip, tmp_path: Path) -> None:
    info, frames = matted(clip("plain"))
    (tmp_path / "part0").mkdir()
    (tmp_path / "part0" / "000099.png").write_bytes(b"old")
    (part,) = write_parts(tmp_path, get_format("png"), info, frames[:2])
    assert sorted(path.name for path in part.iterdir()) == ["000000.png", "000001.png", "sequence.json"]


class _KilledError(Exception):
    pass


def test_a_folder_can_be_moved_and_its_pattern_names_the_pictures_whatever_the_clip_is_called(
    clip: GetClip, network: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copy(clip("vfr"), tmp_path / "100% %d.mp4"))
    (folder,) = birefvideo.matte(source, to="png", model=str(network)).outputs
    moved = folder.rename(tmp_path / "elsewhere")
    told = json.loads((moved / "sequence.json").read_text())
    assert all((moved / (told["pictures"] % (told["first"] + index))).exists() for index in range(told["frames"]))
    assert all(check.passed is not False for check in prove(moved, get_format("png"), source, Claims()))


def test_a_job_goes_on_from_its_last_segment_and_gives_the_same_folder(
    clip: GetClip, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "SEGMENT_SECONDS", Fraction(1, 6))
    monkeypatch.setattr(plan, "SHORTEST_TAIL", Fraction(1, 12))

    def make(folder: str) -> Path:
        made = birefvideo.matte(clip("plain"), tmp_path / folder, to=["png", "matte"], model=str(network))
        return made.outputs[0]

    whole = make("whole")
    finish, done = JobFolder.finish, []

    def finish_two(self: JobFolder, *arguments: object) -> None:
        finish(self, *arguments)  # type: ignore[arg-type]
        done.append(1)
        if len(done) == 2:
            raise _KilledError

    monkeypatch.setattr(JobFolder, "finish", finish_two)
    with pytest.raises(_KilledError):
        make("killed")
    assert not (tmp_path / "killed" / "plain_png").exists()
    resumed = make("killed")
    assert len(done) == 3  # two before, and one of three after
    assert [p.name for p in sorted(resumed.iterdir())] == [p.name for p in sorted(whole.iterdir())]
    assert all((resumed / p.name).read_bytes() == p.read_bytes() for p in whole.iterdir())
    assert sorted(p.suffix for p in (tmp_path / "killed").iterdir() if p.is_file() and p.suffix != ".json") == [".mp4"]


def test_overwriting_replaces_a_folder_of_ours_and_no_other(clip: GetClip, network: Path, tmp_path: Path) -> None:
    def make(**more: object) -> Path:
        return birefvideo.matte(clip("one_frame"), tmp_path, to="png", model=str(network), **more).outputs[0]  # type: ignore[arg-type]

    folder = make()
    with pytest.raises(OutputError, match="overwrite=True"):
        make(smooth=1)
    assert make(overwrite=True) == folder
    assert sorted(path.name for path in folder.iterdir()) == ["one_frame_000001.png", "sequence.json"]
    (folder / "sequence.json").unlink()
    with pytest.raises(OutputError, match="is a folder: remove it"):
        make(overwrite=True)
    assert (folder / "one_frame_000001.png").exists()


def test_overwriting_leaves_the_users_own_files_in_the_folder(clip: GetClip, network: Path, tmp_path: Path) -> None:
    source = Path(shutil.copy(clip("plain"), tmp_path / "clip.mp4"))
    (folder,) = birefvideo.matte(source, to="png", model=str(network), start=0.3).outputs
    before = {path.name for path in folder.iterdir()}
    own = {"notes.txt": "mine", "clip_000099.png": "retouched", "sequence.json.bak": "{}"}
    for name, text in own.items():
        (folder / name).write_text(text)
    (folder / "retouched").mkdir()
    (folder / "gone").symlink_to(tmp_path / "gone")
    assert all(check.passed for check in still_the_same(folder, source, read(folder))), "own files change no output"
    (again,) = birefvideo.matte(source, to="png", model=str(network), start=0.2, overwrite=True).outputs
    assert again == folder and {name: (folder / name).read_text() for name in own} == own
    after = {path.name for path in folder.iterdir()} - {*own, "retouched", "gone"}
    assert before < after and (folder / "retouched").is_dir() and (folder / "gone").is_symlink()
    assert all(check.passed for check in still_the_same(folder, source, read(folder)))
    assert all(check.passed is not False for check in prove(folder, get_format("png"), source, claims_of(read(folder))))


def test_a_users_file_that_a_longer_clip_s_pictures_would_replace_stops_the_delivery(
    clip: GetClip, network: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copy(clip("plain"), tmp_path / "clip.mp4"))
    (folder,) = birefvideo.matte(source, to="png", model=str(network), start=0.3).outputs
    mine = folder / "clip_000012.png"
    mine.write_text("mine")
    with pytest.raises(OutputError, match=r"clip_000012\.png is in the way"):
        birefvideo.matte(source, to="png", model=str(network), overwrite=True)
    assert mine.read_text() == "mine" and (folder / "clip_000001.png").exists()


def output_of(folder: Path, count: int, content: str, pattern: str = "clip_%06d.png") -> Path:
    """A folder of pictures with its sidecar."""
    folder.mkdir()
    told = {"birefvideo_sequence": 1, "pictures": pattern, "pts": list(range(count)), "last_duration": 1}
    (folder / "sequence.json").write_text(json.dumps({**told, "time_base": "1/25", "sample_aspect_ratio": "1"}))
    for index in range(count):
        (folder / f"clip_{index + 1:06d}.png").write_text(content)
    return folder


def test_a_kill_at_any_step_of_the_delivery_loses_nothing_and_is_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(99):
        place = output_of(tmp_path / f"clip{step}_png", 4, "old")
        (place / "notes.txt").write_text("mine")
        count = iter(range(99))

        def dies(name: str, step: int = step, count: Iterator[int] = count) -> Callable[..., object]:
            real = getattr(Path, name)

            def act(self: Path, *arguments: object, **more: object) -> object:
                if next(count) >= step:
                    raise _KilledError
                return real(self, *arguments, **more)

            return act

        is_killed = False
        with monkeypatch.context() as patched:
            for name in ("unlink", "replace", "rmdir"):
                patched.setattr(Path, name, dies(name))
            try:
                deliver(output_of(tmp_path / f"made{step}", 3, "new"), place)
            except _KilledError:
                is_killed = True
        assert is_sequence(place), "the next command takes it for ours"
        made = output_of(tmp_path / f"again{step}", 3, "new")
        check_deliverable(made, place)
        deliver(made, place)
        found = {path.name: path.read_text() for path in place.iterdir() if path.name != "sequence.json"}
        assert found == {"notes.txt": "mine", **{f"clip_{n:06d}.png": "new" for n in (1, 2, 3)}}
        if not is_killed:
            break
    assert step > 6


@pytest.mark.parametrize(
    "pattern",
    [
        "../../x_%06d.png",
        "/etc/x_%06d.png",
        "sub/x_%06d.png",
        "..",
        "%s",
        "%d%d",
        "%*d",
        "%999999999d",
        7,
        "\0%06d.png",
    ],
)
def test_a_sidecar_that_names_files_elsewhere_is_not_read(tmp_path: Path, pattern: object) -> None:
    mine = tmp_path / "x_000001.png"
    mine.write_text("mine")
    (tmp_path / "a").mkdir()
    place = output_of(tmp_path / "a" / "clip_png", 1, "old", pattern)  # type: ignore[arg-type]
    assert not is_sequence(place)
    with pytest.raises(ValueError, match="cannot be read"):
        own_files(place)
    with pytest.raises(OutputError, match="in the way"):
        check_deliverable(output_of(tmp_path / "made", 1, "new"), place)
    assert mine.read_text() == "mine"


def test_what_a_sidecar_names_goes_only_where_it_has_a_picture_s_name(tmp_path: Path) -> None:
    place = output_of(tmp_path / "clip_png", 2, "old", "holiday %d.jpg")
    for number in (1, 2):
        (place / f"holiday {number}.jpg").write_text("mine")
    assert own_files(place) == ["sequence.json"]


def test_a_link_to_a_folder_of_pictures_is_not_written_through(clip: GetClip, network: Path, tmp_path: Path) -> None:
    elsewhere = output_of(tmp_path / "elsewhere", 2, "old")
    (tmp_path / "one_frame_png").symlink_to(elsewhere)
    with pytest.raises(OutputError, match="is a folder: remove it"):
        birefvideo.matte(clip("one_frame"), tmp_path, to="png", model=str(network), overwrite=True)
    assert len(list(elsewhere.iterdir())) == 3


_EXR = [("gbrapf32le", "float", "zip1"), ("gbrapf32le", "half", "zip16"), ("gbrpf32le", "half", "none")]
_EXR += [("gbrpf32le", "half", "rle"), ("gbrpf32le", "half", "zip1")]


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "options"),
    [
        *(("exr", pix_fmt, {"format": kind, "compression": how}) for pix_fmt, kind, how in _EXR),
        *(("tiff", "rgb24", {"compression_algo": how}) for how in ("lzw", "raw", "packbits")),
        ("tiff", "gray16le", {"compression_algo": "deflate"}),
    ],
)
def test_whole_pictures_of_other_kinds_are_not_called_damaged(
    tmp_path: Path, codec: str, pix_fmt: str, options: dict[str, str]
) -> None:
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 50, 34, pix_fmt, Fraction(1, 25)
    encoder.options = options
    codes = np.random.default_rng(3).integers(0, 255, (34, 50, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(codes, format="rgb24").reformat(format=pix_fmt)
    path = tmp_path / "picture"
    path.write_bytes(b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None))))
    check_picture(path)

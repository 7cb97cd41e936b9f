"""Clips whose headers or surroundings lie: colour tags that are none, failures that are not the disk's."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import av
import pytest
from clips import write_clip
from conftest import GetClip

import birefvideo
from birefvideo.errors import InputError, OutputError
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe


def tagged(folder: Path, matrix: int = 1, primaries: int = 1, transfer: int = 1, **more: Any) -> Path:
    """A clip that carries these codes, whatever they mean: FFV1 in Matroska passes them on."""
    tags = (matrix, 1, primaries, transfer)
    return write_clip(folder / "tagged.mkv", frames=1, codec="ffv1", audio_tracks=0, tags=tags, **more)


@pytest.mark.parametrize(
    ("code", "name"),
    [(0, "RGB"), (8, "YCgCo"), (11, "2085"), (13, "constant luminance"), (14, "ICtCp"), (16, "YCgCo-Re")],
)
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le"])
def test_a_matrix_that_is_not_read_is_taken_from_the_other_tags_and_told(
    tmp_path: Path, code: int, name: str, pix_fmt: str
) -> None:
    info = probe(tagged(tmp_path, code, 9, 16, pix_fmt=pix_fmt))
    assert info.colour.matrix == 9
    (doubt,) = info.doubts
    assert name in doubt
    assert "taken as BT.2020" in doubt


def test_a_matrix_that_is_not_read_is_guessed_by_size_where_nothing_else_says(tmp_path: Path) -> None:
    info = probe(tagged(tmp_path, 8, 2, 2))
    assert (info.colour.matrix, info.colour.guessed) == (6, True)
    assert "taken as BT.601" in info.doubts[0]


def test_a_matrix_derived_from_known_primaries_is_theirs(tmp_path: Path) -> None:
    info = probe(tagged(tmp_path, 12, 9, 14))
    assert info.colour.matrix == 9
    assert not info.doubts


@pytest.mark.parametrize("code", [3, 13, 19, 23, 100, 255])
def test_primaries_and_curves_that_are_none_are_as_if_nothing_was_said(tmp_path: Path, code: int) -> None:
    info = probe(tagged(tmp_path, primaries=code))
    assert (info.colour.matrix, info.colour.primaries, info.colour.transfer) == (1, 1, 1)
    if code != 13:
        info = probe(tagged(tmp_path, transfer=code))
        assert (info.colour.matrix, info.colour.primaries, info.colour.transfer) == (1, 1, 1)


def test_usual_tags_leave_no_doubt(clip: GetClip) -> None:
    for name in ("plain", "untagged_sd", "rgb", "gray", "full_range", "primaries_only"):
        assert not probe(clip(name)).doubts


@pytest.mark.slow
@pytest.mark.parametrize("code", [0, 8, 14, 255])
def test_a_clip_with_such_a_matrix_is_matted_into_every_kind_of_output(
    tmp_path: Path, network: Path, code: int
) -> None:
    source = tagged(tmp_path, code)
    names = ["prores", "webm", "green", "matte", "ffv1", "png", "exr", "gif", "apng", "webp-anim"]
    result = birefvideo.matte(source, tmp_path / "out", names, model=network, device="cpu")
    assert all(path.exists() for path in result.outputs)
    assert any("which is not read" in line for line in result.warnings) == (code != 255)


@pytest.mark.parametrize(
    "error", [OSError(errno.EPIPE, "broken pipe"), av.error.ArgumentError(22, "no"), KeyError("x")]
)
def test_an_error_of_the_callers_own_callback_passes_unchanged(
    clip: GetClip, network: Path, tmp_path: Path, error: Exception
) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        birefvideo.matte(clip("plain"), tmp_path, "png", model=network, device="cpu", progress=fail)
    assert caught.value is error


def test_a_failure_of_conversion_is_not_said_to_be_the_disks(
    clip: GetClip, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **more: object) -> None:
        raise av.error.OSError(95, "Operation not supported")

    monkeypatch.setattr("birefvideo.media.writing.composer.OpaqueComposer.compose", fail)
    with pytest.raises(OutputError, match="cannot be converted") as caught:
        birefvideo.matte(clip("plain"), tmp_path, "green", model=network, device="cpu")
    assert "make room" not in str(caught.value)


def test_pictures_that_swscale_refuses_are_one_line(clip: GetClip, monkeypatch: pytest.MonkeyPatch) -> None:
    info = probe(clip("packed_422"))

    class Refusing:
        def __init__(self, picture: av.VideoFrame) -> None:
            self._picture = picture

        def __getattr__(self, name: str) -> Any:
            return getattr(self._picture, name)

        def reformat(self, **_: object) -> None:
            raise av.error.OSError(95, "Operation not supported")

    import birefvideo.media.reading.normalize as normalize

    real = normalize._reformatted
    monkeypatch.setattr(normalize, "_reformatted", lambda picture, *rest: real(Refusing(picture), *rest))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cannot be converted"):
        list(read_frames(info))


def test_a_disk_that_refuses_the_jobs_folder_is_told_with_the_remedy(
    clip: GetClip, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("birefvideo.jobs.folder.JobFolder.finish", full)
    with pytest.raises(OutputError, match=r"No space left.*make room there"):
        birefvideo.matte(clip("plain"), tmp_path, "png", model=network, device="cpu")

"""Receipts beside the outputs: what they say, whose they are, and what happens to an output that is not right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import birefvideo
from birefvideo.cli import app
from birefvideo.errors import OutputError
from birefvideo.jobs.receipt import merged, read, receipt_path
from birefvideo.media.verification import verify_in_job as verification

GetClip = Callable[[str], Path]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["matte", *map(str, arguments)])


def entry(output: Path) -> dict[str, Any]:
    found = read(output)
    assert found is not None
    return found


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_receipt_says_what_went_in_and_what_came_out(copy: GetClip, network: Path) -> None:
    source = copy("plain")
    made = birefvideo.matte(source, to=["prores", "webm"], model=str(network), smooth=1)
    assert made.receipts == (source.with_name("plain_alpha.json"),), "two outputs of one stem share it"
    for output in made.outputs:
        one = entry(output)
        assert one["sha256"] == sha256(output) and one["size"] == output.stat().st_size
        assert one["input"]["sha256"] == sha256(source) and one["input"]["name"] == "plain.mp4"
        assert one["model"]["sha256"] == sha256(network / "model.safetensors")
        assert one["options"]["smooth"] == 1 and one["segments"] == 1
        assert one["verified"]["frames"] == 12
        assert one["verified"]["worst_time_error"] <= 0.001
        assert one["verified"]["worst_alpha_error"] < 0.01
        assert one["verified"]["sounds"][0]["copied"] is (output.suffix == ".mov")
        assert 0 < one["matte"]["coverage"]["mean"] < 1
        assert one["versions"]["av"] and one["written"].endswith("+00:00")


def test_a_job_whose_network_sees_the_mirror_image_is_another_job_and_says_so(copy: GetClip, network: Path) -> None:
    source = copy("one_frame")
    (first,) = birefvideo.matte(source, to="ffv1", model=network).outputs
    plain, before = entry(first), first.read_bytes()
    made = birefvideo.matte(source, to="ffv1", model=network, mirror=True, overwrite=True)
    both = entry(first)
    assert not made.was_done and first.read_bytes() != before
    assert both["computed"]["mirrored"] and "mirrored" not in plain["computed"]
    assert both["job"] != plain["job"] and both["options"]["mirror"]


def test_a_later_job_adds_its_output_and_keeps_the_others(copy: GetClip, network: Path) -> None:
    source = copy("one_frame")
    (first,) = birefvideo.matte(source, to=["prores"], model=str(network)).outputs
    before = entry(first)
    (second,) = birefvideo.matte(source, to=["webm"], model=str(network)).outputs
    assert entry(first) == before and entry(second)["format"] == "webm"
    first.unlink()
    assert first.name not in json.loads(merged(receipt_path(first), {}))["outputs"], "of files that are gone: dropped"


def test_a_file_of_someone_else_is_never_replaced(copy: GetClip, network: Path) -> None:
    source = copy("one_frame")
    mine = source.with_name("one_frame_alpha.json")
    mine.write_text('{"my": "notes"}')
    result = invoke(source, "--model", network, "--to", "prores", "--overwrite")
    assert result.exit_code == 1 and "--no-receipt" in result.stderr
    assert mine.read_text() == '{"my": "notes"}'
    assert not source.with_name("one_frame_alpha.mov").exists()
    result = invoke(source, "--model", network, "--to", "prores", "--no-receipt")
    assert result.exit_code == 0, result.output
    assert mine.read_text() == '{"my": "notes"}'


@pytest.mark.parametrize("damage", ["", "[]", '{"birefvideo_receipt": 1}', '{"birefvideo_receipt": 1, "outputs": []}'])
def test_a_damaged_receipt_reads_as_none(tmp_path: Path, damage: str) -> None:
    output = tmp_path / "clip_alpha.mov"
    receipt_path(output).write_text(damage)
    assert read(output) is None


def test_a_folder_of_pictures_has_its_receipt_beside_it(tmp_path: Path) -> None:
    assert receipt_path(tmp_path / "take.2_png") == tmp_path / "take.2_png.json"
    assert receipt_path(tmp_path / "take.2_alpha.mov") == tmp_path / "take.2_alpha.json"


def test_an_output_that_is_not_right_stays_in_the_jobs_folder(
    copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = copy("one_frame")
    with monkeypatch.context() as patched:
        patched.setattr(verification, "alpha_of", lambda picture: picture and None)
        patched.setattr(verification, "output_size", lambda format, info: (1, 1))
        result = invoke(source, "--model", network, "--to", "prores")
    (kept,) = source.with_name("one_frame.birefvideo").glob("output_*/one_frame_alpha.mov")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()[-1:]
    assert "failed verification: its size is" in line and str(kept) in line
    assert kept.stat().st_size > 0
    assert not source.with_name("one_frame_alpha.mov").exists()
    assert not list(kept.parent.parent.glob("part_*")), "the parts are made again, so they only take room"
    again = birefvideo.matte(source, to=["prores"], model=str(network))
    assert again.frames == 1 and not kept.parent.parent.exists()


def test_alpha_that_did_not_come_through_is_found(
    copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = verification.alpha_of  # type: ignore[attr-defined]
    monkeypatch.setattr(verification, "alpha_of", lambda picture: real(picture) * 0.9)
    with pytest.raises(OutputError, match=r"alpha covers .*% of the picture at 0\.000 s instead of"):
        birefvideo.matte(copy("one_frame"), to=["prores"], model=str(network))

"""`--audio` and `--no-deinterlace`: what a job makes of them, and what `verify` says with and without its receipt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from clips import RGB, write_clip
from outputs import disc, with_matte, write_parts
from typer.testing import CliRunner, Result

import birefvideo
from birefvideo.cli import app
from birefvideo.errors import OptionError
from birefvideo.jobs.receipt import read
from birefvideo.media.format_table import get_format
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.media.verification.verify_later import Claims, prove
from birefvideo.media.verification.verify_sound import SoundClaims

GetClip = Callable[[str], Path]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.mark.parametrize(("choice", "count"), [("all", 2), ("first", 1), ("none", 0)])
def test_the_tracks_asked_for_go_along(copy: GetClip, network: Path, choice: str, count: int) -> None:
    source = copy("two_audio")
    result = invoke("matte", source, "--model", network, "--audio", choice, "--to", "prores", "--to", "webm")
    assert result.exit_code == 0, result.output
    for suffix in ("mov", "webm"):
        output = source.with_name(f"two_audio_alpha.{suffix}")
        with av.open(str(output)) as container:
            assert len(container.streams.audio) == count
        receipt = read(output)
        assert receipt is not None and receipt["options"]["audio"] == choice
        proven = invoke("verify", output, "--source", source)
        assert proven.exit_code == 0 and "instead of" not in proven.stdout, proven.output
    source.with_name("two_audio_alpha.json").unlink()
    proven = invoke("verify", source.with_name("two_audio_alpha.mov"), "--source", source)
    assert proven.exit_code == 0, proven.output
    assert (f"{count} of 2 tracks; was it made with --audio?" in proven.stdout) is (count < 2)


def test_more_tracks_than_the_source_has_are_wrong(copy: GetClip, network: Path) -> None:
    (output,) = birefvideo.matte(copy("two_audio"), to="prores", model=str(network), receipts=False).outputs
    proven = invoke("verify", output, "--source", copy("plain"))
    assert proven.exit_code == 1 and "2 tracks, the source has 1\n" in proven.stdout


def test_another_choice_is_refused(copy: GetClip, network: Path) -> None:
    with pytest.raises(OptionError, match="all, first, none"):
        birefvideo.matte(copy("plain"), model=str(network), audio="second")
    result = invoke("matte", copy("plain"), "--model", network, "--audio", "second")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)


@pytest.mark.parametrize("deinterlace", [True, False])
def test_deinterlacing_is_told_recorded_and_proven(copy: GetClip, network: Path, deinterlace: bool) -> None:
    source = copy("interlaced_prores")
    flags = [] if deinterlace else ["--no-deinterlace"]
    result = invoke("matte", source, "--model", network, "--to", "prores", *flags)
    assert result.exit_code == 0, result.output
    told = "12 interlaced frames deinterlaced; for pictures wrongly flagged pass --no-deinterlace"
    assert (told in result.stdout) is deinterlace
    output = source.with_name("interlaced_alpha.mov")
    with av.open(str(output)) as container:
        assert not any(picture.interlaced_frame for picture in container.decode(video=0))
    receipt = read(output)
    assert receipt is not None and receipt["options"]["deinterlace"] is deinterlace
    proven = invoke("verify", output, "--source", source)
    assert proven.exit_code == 0, proven.output


def test_fields_that_were_kept_are_not_called_wrong_without_a_receipt(tmp_path: Path) -> None:
    def noise(index: int, width: int, height: int) -> RGB:
        return np.random.default_rng(index).integers(0, 256, (height, width, 3), dtype=np.uint8)

    source = write_clip(tmp_path / "noise.mkv", codec="ffv1", frames=4, audio_tracks=0, fields=("tff",), pictures=noise)
    info = replace(probe(source), deinterlace=False)
    frames = [with_matte(frame, disc(frame)) for frame in read_frames(info)]
    (output,) = write_parts(tmp_path, get_format("ffv1"), info, frames)
    mute = SoundClaims(written=0, tracks="none")
    for claims in (Claims(sound=mute), Claims(sound=mute, deinterlaced=False)):
        checks = prove(output, get_format("ffv1"), source, claims)
        assert all(check.passed is not False for check in checks) and any(check.name == "pixels" for check in checks)


def test_mattes_takes_the_choice_too(clip: GetClip, network: Path) -> None:
    frames = [
        next(birefvideo.mattes(clip("interlaced_prores"), model=str(network), deinterlace=flag))
        for flag in (True, False)
    ]
    assert [frame.picture.interlaced_frame for frame in frames] == [False, True]

"""Timeline files for editors: exact frames and time code, the right files, markers in words, and nobody's work lost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import cv2
import numpy as np
import pytest
from clips import write_clip
from typer.testing import CliRunner

import birefvideo
from birefvideo.cli import app
from birefvideo.cli.completion import complete_timelines
from birefvideo.editing.cut import RATES, timeline_rate
from birefvideo.editing.kinds import KINDS
from birefvideo.errors import OptionError, OutputError
from birefvideo.jobs import receipts_and_review
from birefvideo.jobs.doubts import Doubt
from birefvideo.matting.flicker import Suspect
from birefvideo.media.reading.probe import probe
from birefvideo.media.reading.read_metadata import read_metadata
from birefvideo.media.timecode import advanced, counted

GetClip = Callable[[str], Path]
NTSC = Fraction(30000, 1001)

CHILDREN = {
    "fcpxml": ("resources", "library"),
    "resources": ("format", "format", "asset", "asset"),
    "asset": ("media-rep",),
    "library": ("event",),
    "event": ("project",),
    "project": ("sequence",),
    "spine": ("asset-clip",),
}
"""What Apple's document type definition of FCPXML 1.9 asks of the elements that are written here."""
ATTRIBUTES = {
    "fcpxml": "version",
    "format": "id frameDuration width height paspH paspV colorSpace",
    "asset": "id name start duration hasVideo format hasAudio videoSources audioSources audioChannels audioRate",
    "media-rep": "kind src",
    "event": "name",
    "project": "name",
    "sequence": "format duration tcStart tcFormat audioLayout audioRate",
    "asset-clip": "ref lane offset name start duration srcEnable tcFormat",
    "marker": "start duration value",
}


def matted(source: Path, network: Path, **arguments: Any) -> dict[str, str]:
    """The timeline files of a job by their kinds; their names are checked."""
    made = birefvideo.matte(source, **{"to": "prores", "model": str(network), "timeline": [*KINDS], **arguments})
    assert made.timelines == tuple(source.with_name(f"{source.stem}_timeline.{kind}") for kind in KINDS)
    return {kind: path.read_text(encoding="utf-8") for kind, path in zip(KINDS, made.timelines, strict=True)}


def parsed(text: str) -> Element:
    root = ElementTree.fromstring(text)
    for element in root.iter():
        assert element.attrib.keys() <= set(ATTRIBUTES.get(element.tag, "").split()), element.tag
        if element.tag in CHILDREN:
            assert tuple(child.tag for child in element) == CHILDREN[element.tag]
    names = {element.get("id") for element in root.iter() if "id" in element.attrib}
    assert all(element.get("ref", "r1") in names and element.get("format", "r1") in names for element in root.iter())
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n')
    return root


def clips_of(text: str) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """The attributes of an FCPXML's sequence and of its clips, lower one first."""
    root = parsed(text)
    sequence, lower, upper = (
        root.find(f".//{path}") for path in ("sequence", "spine/asset-clip", "spine/*/asset-clip")
    )
    assert sequence is not None and lower is not None and upper is not None
    assert upper.get("lane") == "1" and upper.get("srcEnable") == "video"
    return sequence.attrib, lower.attrib, upper.attrib


def times_of(attributes: dict[str, str], rate: Fraction) -> tuple[int, int, int]:
    """An FCPXML clip's (offset, start, duration) in frames, which must be whole."""
    frames = [Fraction(attributes[name].removesuffix("s")) * rate for name in ("offset", "start", "duration")]
    assert all(frame.denominator == 1 for frame in frames)
    return int(frames[0]), int(frames[1]), int(frames[2])


def ranges_of(text: str) -> list[tuple[str, float, int, int]]:
    """An OTIO file's clips: kind of track, rate, first frame and number of frames."""
    found = []
    for track in json.loads(text)["tracks"]["children"]:
        (clip,) = track["children"]
        start, duration = clip["source_range"]["start_time"], clip["source_range"]["duration"]
        assert start["rate"] == duration["rate"]
        found.append((track["kind"], start["rate"], start["value"], duration["value"]))
    return found


def events_of(text: str) -> list[str]:
    return [line[4:] for line in text.splitlines() if line[:1].isdigit()]


def test_an_even_clip_without_time_code_begins_at_one_hour(tmp_path: Path, network: Path) -> None:
    source = write_clip(tmp_path / "clip.mp4", frames=10, rate=Fraction(25))
    texts = matted(source, network)
    sequence, lower, upper = clips_of(texts["fcpxml"])
    assert sequence == {
        "format": "r1",
        "duration": "2/5s",
        "tcStart": "3600s",
        "tcFormat": "NDF",
        "audioLayout": "mono",
        "audioRate": "44.1k",
    }
    assert (lower["offset"], lower["start"], lower["duration"]) == ("3600s", "0s", "2/5s")
    assert (upper["offset"], upper["start"], upper["duration"]) == ("0s", "0s", "2/5s")
    assert ranges_of(texts["otio"]) == [("Video", 25.0, 0, 10), ("Video", 25.0, 0, 10), ("Audio", 25.0, 0, 10)]
    assert json.loads(texts["otio"])["global_start_time"]["value"] == 90000
    assert texts["edl"].startswith("TITLE: clip\nFCM: NON-DROP FRAME\n\n001  AX       B     C        00:00:00:00 ")
    assert events_of(texts["edl"]) == [
        " AX       B     C        00:00:00:00 00:00:00:10 01:00:00:00 01:00:00:10",
        " AX       V2    C        00:00:00:00 00:00:00:10 01:00:00:00 01:00:00:10",
    ]


@pytest.mark.parametrize(
    ("label", "edl"),
    [
        ("00:00:59;20", ("00:00:59;26", "00:01:00;12")),
        ("00:00:59:20", ("00:00:59:26", "00:01:00:10")),
    ],
)
def test_time_code_counts_on_with_and_without_dropped_frames_in_a_trimmed_clip(
    tmp_path: Path, network: Path, label: str, edl: tuple[str, str]
) -> None:
    source = write_clip(tmp_path / "clip.mov", frames=20, rate=NTSC, time_base=Fraction(1, 30000), timecode=label)
    texts = matted(source, network, start=0.2)
    sequence, lower, upper = clips_of(texts["fcpxml"])
    first = counted(label, 30) + 6
    assert sequence["tcFormat"] == ("DF" if ";" in label else "NDF")
    assert times_of(lower, NTSC) == times_of(upper, NTSC) == (first, first, 14)
    assert [media.get("start") for media in parsed(texts["fcpxml"]).iter("asset")] == [
        f"{(first - 6) / NTSC}s",
        f"{first / NTSC}s",
    ]
    assert {(first, count) for _, _, first, count in ranges_of(texts["otio"])} == {(first, 14)}
    assert [line.split()[3:] for line in events_of(texts["edl"])] == [[*edl, *edl]] * 2
    assert f"FCM: {'DROP' if ';' in label else 'NON-DROP'} FRAME" in texts["edl"].splitlines()
    output = probe(source.with_name("clip_alpha.mov"))
    timecode = read_metadata(output).timecode
    assert timecode is not None and timecode.at(Fraction(0)) == edl[0], "the alpha clip's own"


def test_an_output_without_a_time_code_track_begins_at_zero(tmp_path: Path, network: Path) -> None:
    source = write_clip(tmp_path / "clip.mov", frames=8, timecode="10:00:00:12")
    _, lower, upper = clips_of(matted(source, network, to="webm")["fcpxml"])
    first = counted("10:00:00:12", 24)
    assert times_of(lower, Fraction(24)) == (first, first, 8)
    assert times_of(upper, Fraction(24)) == (first, 0, 8)


def test_a_variable_rate_is_told_in_every_file_and_markers_lie_at_the_nearest_frame(
    copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = copy("vfr")  # 12 pictures in 12,000 ticks of 12,000 a second, and one more step
    monkeypatch.setattr(receipts_and_review, "find_doubts", lambda reports: [Doubt(3, 4, "hole", 0.02, (0.5, 0.5))])
    monkeypatch.setattr(receipts_and_review, "suspects", lambda *curves: [Suspect(9, "dropout")])
    made = birefvideo.matte(source, to="prores", model=str(network), timeline=[*KINDS])
    rate, _ = timeline_rate(probe(source).rate)
    note = "variable frame rate: the timeline counts 23.98 frames a second"
    assert [line for line in made.warnings if note in line]
    texts = {kind: path.read_text(encoding="utf-8") for kind, path in zip(KINDS, made.timelines, strict=True)}
    assert all(note in text for text in texts.values())
    hole, gone = round(Fraction(2400, 12000) * rate), round(Fraction(9000, 12000) * rate)
    words = [
        "a hole comes and goes in the person, in the middle (2 % of the picture)",
        "the subject is gone for a moment",
    ]
    markers = [*parsed(texts["fcpxml"]).iter("marker")]
    assert [Fraction(marker.attrib["start"].removesuffix("s")) * rate for marker in markers] == [hole, gone]
    assert [marker.get("value") for marker in markers] == words
    alpha = json.loads(texts["otio"])["tracks"]["children"][1]["children"][0]
    assert [one["marked_range"]["start_time"]["value"] for one in alpha["markers"]] == [hole, gone]
    assert alpha["markers"][0]["marked_range"]["duration"]["value"] == round(Fraction(3100, 12000) * rate) - hole
    whole = round(rate)
    assert [line for line in texts["edl"].splitlines() if line.startswith("* LOC")] == [
        f"* LOC: {advanced('01:00:00:00', frame, whole)} RED     {what}"
        for frame, what in zip((hole, gone), words, strict=True)
    ]


def test_an_even_clip_has_no_note(copy: GetClip, network: Path) -> None:
    source = copy("plain")
    texts = matted(source, network)
    assert not any("variable" in text for text in texts.values())


def test_a_turned_clip_stands_upright(copy: GetClip, network: Path) -> None:
    source = copy("rotated_90")
    sizes = [(one.get("width"), one.get("height")) for one in parsed(matted(source, network)["fcpxml"]).iter("format")]
    assert sizes == [("64", "96")] * 2


def test_names_are_escaped_and_addresses_lead_to_the_files(copy: GetClip, network: Path) -> None:
    source = copy("plain").rename(copy("plain").with_name("Größe & <Co> #1 100%\n.mp4"))
    texts = matted(source, network)
    places = [source, source.with_name(f"{source.stem}_alpha.mov")]
    addresses = [one.attrib["src"] for one in parsed(texts["fcpxml"]).iter("media-rep")]
    assert all(address.isascii() and not set(address) & set(' "<>#\n') for address in addresses)
    assert [Path(unquote(urlsplit(address).path)) for address in addresses] == places
    reference = [track["children"][0]["media_references"] for track in json.loads(texts["otio"])["tracks"]["children"]]
    assert [one["DEFAULT_MEDIA"]["target_url"] for one in reference] == [*addresses, addresses[0]]
    assert "* FROM CLIP NAME: Größe & <Co> #1 100%\ufffd.mp4" in texts["edl"].splitlines()


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_no_text_can_be_told(copy: GetClip, network: Path) -> None:
    try:
        source = copy("one_frame").rename(copy("one_frame").with_name(os.fsdecode(b"caf\xe9.mp4")))
    except OSError:
        pytest.skip("this disk takes no such name")
    texts = matted(source, network)
    assert "caf%E9.mp4" in texts["fcpxml"] and 'name="caf\ufffd.mp4"' in texts["fcpxml"]


def test_the_source_keeps_its_sound_where_the_output_has_none(tmp_path: Path, network: Path) -> None:
    source = write_clip(tmp_path / "clip.mp4", frames=6, start=12000, audio_tracks=2)  # sound comes a second earlier
    texts = matted(source, network, audio="none")
    lower, upper = parsed(texts["fcpxml"]).iter("asset")
    assert (lower.get("hasAudio"), lower.get("audioSources"), upper.get("hasAudio")) == ("1", "2", None)
    assert times_of(clips_of(texts["fcpxml"])[1], Fraction(24))[1] == 24, "the output begins with its first picture"


def test_the_first_output_with_alpha_is_shown(copy: GetClip, network: Path) -> None:
    texts = matted(copy("plain"), network, to=["green", "png", "webm", "prores"])
    assert "* FROM CLIP NAME: plain_alpha.webm" in texts["edl"]


@pytest.mark.parametrize(
    ("rate", "wanted"),
    [
        ("25", (Fraction(25), 1)),
        ("24", (Fraction(24), 1)),
        ("24000/1001", (Fraction(24000, 1001), 1)),
        ("2997/100", (NTSC, 1)),
        ("15", (Fraction(30), 2)),
        ("25/2", (Fraction(25), 2)),
        ("1", (Fraction(24), 24)),
        ("11.98", (Fraction(24000, 1001), 1)),
        ("29.83", (NTSC, 1)),
        ("31.5", (Fraction(48000, 1001), 1)),
        ("1000", (Fraction(120), 1)),
    ],
)
def test_the_timeline_has_a_rate_that_editors_know(rate: str, wanted: tuple[Fraction, int]) -> None:
    assert timeline_rate(Fraction(rate)) == wanted
    assert wanted[0] in RATES


# -- what is refused, and whose files are kept


@pytest.mark.parametrize(
    ("to", "timeline", "message"),
    [
        (["green"], ["otio"], "needs an output that is one video file with alpha"),
        (["png", "matte"], ["otio"], "needs an output that is one video file with alpha"),
        (["prores"], ["otoi"], "'otoi' (did you mean 'otio'?): choose from fcpxml, otio, edl"),
    ],
)
def test_what_cannot_be_made_is_refused_before_the_work(
    copy: GetClip, network: Path, to: Sequence[str], timeline: Sequence[str], message: str
) -> None:
    source = copy("plain")
    with pytest.raises(OptionError) as caught:
        birefvideo.matte(source, to=to, model=str(network), timeline=timeline)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert [*source.parent.iterdir()] == [source]


def test_pictures_have_no_timeline(tmp_path: Path, network: Path) -> None:
    for number in range(3):
        assert cv2.imwrite(str(tmp_path / f"a{number}.png"), np.full((48, 64, 3), 90, np.uint8))
    for source, what in ((tmp_path / "a0.png", "a picture"), (tmp_path, "a series of pictures")):
        with pytest.raises(OptionError, match=f"is {what}: timeline is for video files"):
            birefvideo.matte(source, tmp_path / "out", to="prores" if source is tmp_path else None, timeline="edl")


def test_only_a_timeline_that_is_asked_for_needs_a_name_that_a_file_can_have(copy: GetClip, network: Path) -> None:
    source = copy("one_frame")
    source = source.rename(source.with_name("x" * 240 + ".mp4"))
    with pytest.raises(OutputError, match="is too long: 256 bytes"):
        birefvideo.matte(source, to="prores", model=str(network), timeline="fcpxml")
    assert [*source.parent.iterdir()] == [source]
    assert birefvideo.matte(source, to="prores", model=str(network)).frames == 1


def test_a_file_of_someone_else_is_in_the_way_and_ours_is_replaced(copy: GetClip, network: Path) -> None:
    source = copy("one_frame")
    place = source.with_name("one_frame_timeline.edl")
    place.write_text("TITLE: my own cut\n")
    with pytest.raises(OutputError, match="is in the way and is no timeline of birefvideo: move it"):
        birefvideo.matte(source, to="prores", model=str(network), timeline="edl", overwrite=True)
    assert place.read_text() == "TITLE: my own cut\n" and not source.with_name("one_frame_alpha.mov").exists()
    place.unlink()
    birefvideo.matte(source, to="prores", model=str(network), timeline="edl")
    birefvideo.matte(source, to="webm", model=str(network), timeline="edl")
    assert "one_frame_alpha.webm" in place.read_text()


def test_a_timeline_of_another_job_is_not_taken_for_this_ones(copy: GetClip, network: Path) -> None:
    source = copy("plain")
    job: dict[str, Any] = {"to": "prores", "model": str(network), "end": 0.1}
    birefvideo.matte(source, **job, timeline="edl")
    assert birefvideo.matte(source, **job, timeline="edl").was_done
    birefvideo.matte(source, to="webm", model=str(network), end=0.1, timeline="edl")
    with pytest.raises(OutputError, match=r"plain_alpha\.mov exists already"):
        birefvideo.matte(source, **job, timeline="edl")


def test_the_command_tells_where_they_are_and_knows_when_they_are_done(copy: GetClip, network: Path) -> None:
    source = copy("one_frame")
    command = ["matte", str(source), "--model", str(network), "--to", "prores", "--timeline", "fcpxml,otio"]
    result = CliRunner().invoke(app, [*command, "--timeline", "otio"])
    assert result.exit_code == 0, result.output
    assert "import into an editor: " in result.stdout and "one_frame_timeline.otio" in result.stdout
    assert {path.name for path in source.parent.iterdir()} == {
        "one_frame.mp4",
        "one_frame_alpha.mov",
        "one_frame_alpha.json",
        "one_frame_timeline.fcpxml",
        "one_frame_timeline.otio",
    }
    again = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout.splitlines()[-1])
    assert again["was_done"] and again["timelines"] == [
        str(source.with_name(f"one_frame_timeline.{kind}")) for kind in ("fcpxml", "otio")
    ]
    source.with_name("one_frame_timeline.otio").unlink()
    assert "exists already" in CliRunner().invoke(app, command).output
    assert CliRunner().invoke(app, [*command, "--overwrite"]).exit_code == 0
    assert source.with_name("one_frame_timeline.otio").exists()
    wrong = CliRunner().invoke(app, ["matte", str(source), "--timeline", "aaf"])
    assert wrong.exit_code == 2 and "--timeline is 'aaf'" in wrong.output
    assert complete_timelines("fcpxml,") == ["fcpxml,otio", "fcpxml,edl"]


def test_a_review_page_and_timelines_go_together(copy: GetClip, network: Path) -> None:
    source = copy("one_frame")
    with birefvideo.Job(source, to="webm", model=str(network), review=True, timeline="edl") as job:
        made = job.result()
    assert made.review is not None and made.timelines == (source.with_name("one_frame_timeline.edl"),)
    assert "one_frame_alpha.webm" in made.timelines[0].read_text()


# -- read by others


def test_opentimelineio_reads_what_was_meant(tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    otio = pytest.importorskip("opentimelineio")
    monkeypatch.setattr(receipts_and_review, "find_doubts", lambda reports: [Doubt(2, 4, "apart", 0.02, (0.1, 0.1))])
    source = write_clip(
        tmp_path / "clip.mov", frames=20, rate=NTSC, time_base=Fraction(1, 30000), timecode="00:00:59;20"
    )
    matted(source, network, start=0.2)
    timeline = otio.adapters.read_from_file(str(source.with_name("clip_timeline.otio")))
    first = counted("00:00:59;26", 30)
    assert otio.opentime.to_timecode(timeline.global_start_time, float(NTSC), True) == "00:00:59;26"
    assert timeline.duration() == otio.opentime.RationalTime(14, float(NTSC))
    lower, upper, sound = (track[0] for track in timeline.tracks)
    assert [track.kind for track in timeline.tracks] == ["Video", "Video", "Audio"]
    for clip in (lower, upper, sound):
        assert clip.source_range.start_time.value == first and clip.source_range.duration.value == 14
        inside = clip.media_reference.available_range
        assert inside.start_time <= clip.source_range.start_time
        assert inside.end_time_exclusive() >= clip.source_range.end_time_exclusive()
    (marker,) = upper.markers
    assert marker.marked_range.start_time.value == first + 2 and marker.marked_range.duration.value == 3
    assert marker.name == "a piece of the matte stands apart from the subject, at the upper left (2 % of the picture)"
    upgraded = otio.adapters.write_to_string(timeline)
    schemas = {part.split('"')[0] for part in upgraded.split('"OTIO_SCHEMA": "')[1:]}
    ours = source.with_name("clip_timeline.otio").read_text(encoding="utf-8")
    assert schemas == {part.split('"')[0] for part in ours.split('"OTIO_SCHEMA": "')[1:]}, "of the newest versions"


def test_timelines_of_an_earlier_job_are_made_anew_with_the_output_that_they_show(
    copy: GetClip, network: Path, other_network: Path
) -> None:
    source = copy("one_frame")
    places = [source.with_name(f"one_frame_timeline.{kind}") for kind in KINDS]
    first = birefvideo.matte(source, to="webm", model=network, timeline=[*KINDS], review=True)
    before = [place.read_bytes() for place in places]
    assert birefvideo.matte(source, to="green", model=other_network).timelines == ()
    again = birefvideo.matte(source, to="webm", model=network, overwrite=True)
    assert [place.read_bytes() for place in places] == before
    assert not any("earlier job" in line for line in again.warnings)
    new = birefvideo.matte(source, to="webm", model=other_network, overwrite=True)
    assert new.timelines == first.timelines and not set(before) & {place.read_bytes() for place in places}
    names = ", ".join(place.name for place in places)
    assert f"{names} of an earlier job showed what is now replaced: made anew" in new.warnings
    assert "one_frame_review.html is of an earlier job and shows its matte: review=True makes it anew" in new.warnings

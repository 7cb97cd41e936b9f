"""What a clip says beside pictures and sound: descriptions, time code and chapters reach the outputs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from av.stream import Disposition
from clips import write_clip
from outputs import SEQUENCES, matted, write_parts
from typer.testing import CliRunner

import birefvideo
from birefvideo.cli import app
from birefvideo.frames import Span
from birefvideo.jobs import plan
from birefvideo.media.format_table import Format, get_format
from birefvideo.media.metadata import Chapter, Metadata
from birefvideo.media.reading.probe import probe
from birefvideo.media.reading.read_metadata import read_metadata
from birefvideo.media.sequence_json import SIDECAR
from birefvideo.media.timecode import Timecode, track_rate
from birefvideo.media.writing.join import join

GetClip = Callable[[str], Path]
# One format of each container.
FILES = [get_format(name) for name in ("prores", "green", "webm", "ffv1")]
every_container = pytest.mark.parametrize("format", FILES, ids=lambda format: format.container.muxer)

DESCRIPTIONS = {
    "title": "Gespräch 3", "artist": "A. Person", "album": "Interviews", "comment": "second take", "date": "2021-05-06",
    "creation_time": "2021-05-06T07:08:09.000000Z", "copyright": "© A. Person", "genre": "Talk",
    "location": "+48.1000+011.5000/",
}  # fmt: skip
CAMERA = {"make": "Maker", "model": "Model 5"}
RATE = Fraction(30000, 1001)


def remuxed(
    source: Path, target: Path, change: Callable[[Any], object], options: Mapping[str, str] | None = None
) -> Path:
    """A copy of a clip in another container, its output container changed before the first packet."""
    with av.open(str(source)) as old, av.open(str(target), "w", container_options=dict(options or {})) as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        change(new)
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    return target


def made_of(source: Path, format: Format, folder: Path, span: Span | None = None) -> Path:
    info, frames = matted(source, span)
    output = folder / f"out{format.suffix}"
    join(write_parts(folder, format, info, frames), output, format, info, span or Span(), read_metadata(info))
    return output


def told(path: Path) -> dict[str, str]:
    with av.open(str(path)) as container:
        return {name.lower(): value for name, value in container.metadata.items()}


def labels(path: Path) -> list[tuple[str, str]]:
    """Kind of stream and time code of every stream that has one."""
    with av.open(str(path)) as container:
        found = [(s.type, {k.lower(): v for k, v in s.metadata.items()}.get("timecode")) for s in container.streams]
    return [(kind, label) for kind, label in found if label]


@every_container
def test_descriptions_are_kept(format: Format, tmp_path: Path) -> None:
    output = made_of(write_clip(tmp_path / "clip.mkv", metadata={**DESCRIPTIONS, **CAMERA}), format, tmp_path)
    got = told(output)
    wanted = DESCRIPTIONS if format.container.muxer == "mp4" else {**DESCRIPTIONS, **CAMERA}
    assert {name: got.get(name) for name in wanted} == wanted


def test_what_a_phone_says_gets_plain_names(tmp_path: Path) -> None:
    apple = {
        "make": "Apple", "model": "iPhone", "creationdate": "2023-05-01T12:00:00+0200", "content.identifier": "1234",
        "location.ISO6709": "+48.1000+011.5000+500.000/", "software": "16.5",
    }  # fmt: skip
    silent = write_clip(tmp_path / "silent.mov", audio_tracks=0)
    phone = remuxed(
        silent,
        tmp_path / "phone.mov",
        lambda new: new.metadata.update({f"com.apple.quicktime.{name}": value for name, value in apple.items()}),
        {"movflags": "use_metadata_tags"},
    )
    assert read_metadata(probe(phone)).texts == {
        "make": "Apple", "model": "iPhone", "date": "2023-05-01T12:00:00+0200",
        "location": "+48.1000+011.5000+500.000/",
    }  # fmt: skip
    got = told(made_of(phone, get_format("prores"), tmp_path))
    assert (got["make"], got["date"]) == ("Apple", "2023-05-01T12:00:00+0200")
    assert got["location"].startswith("+48.1000+011.5000")


@every_container
def test_how_the_source_was_made_is_not_told(format: Format, tmp_path: Path) -> None:
    names = {"encoder": "E", "handler_name": "H", "material_package_umid": "0x06", "company_name": "C", "title": "T"}
    source = write_clip(tmp_path / "clip.mkv", metadata=names)
    got = told(made_of(source, format, tmp_path))
    assert got.pop("encoder", "Lavf") == "Lavf"
    assert set(got) - {"major_brand", "minor_version", "compatible_brands"} == {"title"}


@every_container
def test_tracks_keep_language_title_and_default(format: Format, clip: GetClip, tmp_path: Path) -> None:
    def name(new: Any) -> None:
        for stream, language, title in zip(new.streams.audio, ("ger", "jpn"), ("Ton", "音声"), strict=True):
            stream.metadata.update(language=language, title=title)
        new.streams.audio[0].disposition = Disposition(0)
        new.streams.audio[1].disposition = Disposition.default

    source = remuxed(clip("two_audio"), tmp_path / "named.mkv", name)
    for again in (source, made_of(source, get_format("prores"), tmp_path)):  # mov calls a title otherwise
        with av.open(str(made_of(again, format, tmp_path))) as container:
            tracks = container.streams.audio
            assert [track.metadata.get("language") for track in tracks] == ["ger", "jpn"]
            assert [track.metadata.get("title") or track.metadata.get("name") for track in tracks] == ["Ton", "音声"]
            assert [bool(track.disposition & Disposition.default) for track in tracks] == [False, True]


def test_languages_that_quicktime_names_otherwise_are_kept(clip: GetClip, tmp_path: Path) -> None:
    def name(new: Any) -> None:
        for stream, language in zip(new.streams.audio, ("deu", "zho"), strict=True):
            stream.metadata["language"] = language

    source = remuxed(clip("two_audio"), tmp_path / "named.mp4", name)
    for format, wanted in (("prores", ["ger", "chi"]), ("green", ["deu", "zho"])):
        with av.open(str(made_of(source, get_format(format), tmp_path))) as container:
            assert [track.metadata["language"] for track in container.streams.audio] == wanted


# -- time code


def timed(path: Path, label: str, rate: Fraction = RATE, **more: Any) -> Path:
    more = {"frames": 12, "time_base": 1 / rate / 1001, **more}
    return write_clip(path, rate=rate, timecode=label, **more)


@every_container
@pytest.mark.parametrize("name", ["clip.mov", "clip.mkv"])
@pytest.mark.parametrize(
    ("label", "rate", "trimmed"),
    [
        ("01:00:59;28", RATE, "01:01:00;03"),
        ("10:00:00:22", Fraction(24000, 1001), "10:00:01:01"),
        ("00:59:59:23", Fraction(25), "01:00:00:01"),
        ("01:00:59;58", 2 * RATE, "01:01:00;05"),
    ],
)
def test_time_code_goes_along_and_counts_what_is_cut_off(
    format: Format, name: str, label: str, rate: Fraction, trimmed: str, tmp_path: Path
) -> None:
    source = timed(tmp_path / name, label, rate)
    info = probe(source)
    cut = info.start + round(Fraction(3) / rate / info.time_base)
    for span, wanted in ((Span(), label), (Span(start=cut), trimmed)):
        output = made_of(source, format, tmp_path, span)
        if format.container.muxer in ("mov", "mp4"):
            assert labels(output) == [("video", wanted), ("data", wanted)]
            assert track_rate(output) == rate
        else:
            assert labels(output) == [("video", wanted)]
        with av.open(str(output)) as container:
            assert len(container.streams.video) == 1


def test_a_time_code_that_counts_half_of_the_frames_keeps_its_own_rate(tmp_path: Path) -> None:
    path = tmp_path / "fast.mov"
    step = 1001
    timed(path, "10:00:00;10", time_base=Fraction(1, 60000), pts=[step * i for i in range(12)], audio_tracks=0)
    info = probe(path)
    assert read_metadata(info).timecode == Timecode("10:00:00;10", RATE, Fraction(0))
    output = made_of(path, get_format("prores"), tmp_path, Span(start=8 * step))
    assert labels(output)[-1] == ("data", "10:00:00;14") and track_rate(output) == RATE


def test_pictures_that_start_after_the_sound_keep_their_label(tmp_path: Path) -> None:
    source = timed(tmp_path / "late.mov", "01:00:00:00", Fraction(25), time_base=Fraction(1, 1000), start=400)
    assert labels(made_of(source, get_format("prores"), tmp_path))[-1] == ("data", "01:00:00:00")
    # Ten frames later the pictures begin: a track counts from the file's 0, a tag is the first picture's.
    assert labels(made_of(source, get_format("ffv1"), tmp_path)) == [("video", "01:00:00:10")]


def test_a_tag_of_the_whole_file_is_a_time_code_too(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mkv", metadata={"timecode": "05:00:00:12"}, audio_tracks=0)
    assert read_metadata(probe(source)) == Metadata(timecode=Timecode("05:00:00:12", Fraction(24), Fraction(0)))


def test_a_time_code_that_is_none_is_told(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mkv", metadata={"timecode": "25:61:61:99"}, audio_tracks=0)
    tags = read_metadata(probe(source))
    assert tags.timecode is None
    assert tags.left_out([get_format("prores")]) == "1 unreadable time code is left out"


@pytest.mark.parametrize("format", SEQUENCES[:1], ids=lambda format: format.name)
def test_a_folder_of_pictures_tells_time_code_and_descriptions(format: Format, tmp_path: Path) -> None:
    source = timed(tmp_path / "clip.mov", "01:00:59;28", metadata={"title": "Gespräch"})
    output = made_of(source, format, tmp_path, Span(start=3 * 1001))
    values = json.loads((output / SIDECAR).read_text(encoding="utf-8"))
    assert (values["timecode"], values["metadata"]) == ("01:01:00;03", {"title": "Gespräch"})
    plain = json.loads((made_of(write_clip(tmp_path / "b.mp4"), format, tmp_path) / SIDECAR).read_text())
    assert not {"timecode", "metadata"} & plain.keys()


# -- chapters, and what has no place


def with_chapters(new: Any) -> None:
    times = [(0, 200), (200, 350), (350, 500)]
    new.set_chapters(
        [
            {"id": i, "start": a, "end": b, "time_base": Fraction(1, 1000), "metadata": {"title": f"Part {i}"}}
            for i, (a, b) in enumerate(times, 1)
        ]
    )


def chapters(path: Path) -> list[tuple[str, float, float]]:
    with av.open(str(path)) as container:
        return [
            (c["metadata"].get("title", ""), float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]))
            for c in container.chapters()
        ]


@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4"])
def test_matroska_keeps_chapters_moved_and_clipped_and_movies_get_no_further_track(
    clip: GetClip, tmp_path: Path, name: str
) -> None:
    source = remuxed(clip("silent"), tmp_path / name, with_chapters)
    tags = read_metadata(probe(source))
    assert [chapter.title for chapter in tags.chapters] == ["Part 1", "Part 2", "Part 3"] and not tags.others
    for format in (get_format("ffv1"), get_format("webm")):
        assert chapters(made_of(source, format, tmp_path)) == [
            ("Part 1", 0, 0.2), ("Part 2", 0.2, 0.35), ("Part 3", 0.35, 0.5)
        ]  # fmt: skip
        info = probe(source)
        begin, end = (info.start + round(Fraction(t) / info.time_base) for t in ("0.25", "0.4"))
        assert chapters(made_of(source, format, tmp_path, Span(begin, end))) == [
            ("Part 2", 0, 0.1), ("Part 3", 0.1, 0.15)
        ]  # fmt: skip
    output = made_of(source, get_format("prores"), tmp_path)
    assert chapters(output) == []
    with av.open(str(output)) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_what_is_left_out_is_told_in_one_line() -> None:
    prores, ffv1 = get_format("prores"), get_format("ffv1")
    part = Chapter("", Fraction(0), Fraction(1))
    assert Metadata().left_out([prores]) == ""
    assert Metadata(others={"subtitle track": 2}).left_out([prores]) == "2 subtitle tracks are left out"
    assert Metadata(others={"data track": 1}).left_out([ffv1]) == "1 data track is left out"
    both = Metadata(others={"subtitle track": 1, "attachment": 3}, chapters=(part,) * 4)
    assert both.left_out([prores]) == "1 subtitle track, 3 attachments and 4 chapters are left out"
    assert both.left_out([ffv1]) == "1 subtitle track and 3 attachments are left out"
    assert Metadata(chapters=(part,)).left_out([ffv1, prores]) == "1 chapter (in _alpha.mov) is left out"


def test_a_job_tells_of_subtitles_and_attachments_and_not_of_covers_or_time_code(
    clip: GetClip, network: Path, tmp_path: Path
) -> None:
    def more(new: Any) -> None:
        for _ in range(2):
            new.add_mux_stream("subrip")
        new.add_attachment("font.ttf", "font/ttf", b"font")

    source = remuxed(clip("plain"), tmp_path / "clip.mkv", more)
    made = birefvideo.matte(source, to="matte", model=str(network))
    assert "2 subtitle tracks and 1 attachment are left out" in made.warnings
    for quiet in (clip("with_cover"), timed(tmp_path / "tc.mov", "01:00:00:00", Fraction(25))):
        assert read_metadata(probe(quiet)).others == {}


def test_jobs_with_tags_give_the_same_bytes_stopped_or_not_and_pass_verify(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "SEGMENT_SECONDS", Fraction(1, 6))
    monkeypatch.setattr(plan, "SHORTEST_TAIL", Fraction(1, 12))
    source = timed(tmp_path / "clip.mov", "01:00:59;28", frames=20, metadata={**DESCRIPTIONS, **CAMERA})
    formats = ["prores", "green", "webm", "ffv1"]
    whole = birefvideo.matte(source, tmp_path / "whole", to=formats, model=str(network), start=0.1)
    seen: list[int] = []

    def stop() -> None:
        seen.append(1)
        if len(seen) == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        birefvideo.matte(source, tmp_path / "again", to=formats, model=str(network), start=0.1, progress=stop)
    again = birefvideo.matte(source, tmp_path / "again", to=formats, model=str(network), start=0.1)
    for one, other in zip(whole.outputs, again.outputs, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
        assert told(one)["title"] == DESCRIPTIONS["title"] and labels(one)[0] == ("video", "01:01:00;03")
        proven = CliRunner().invoke(app, ["verify", str(one), "--source", str(source)])
        assert proven.exit_code == 0, proven.output


def test_the_copies_of_a_review_page_say_nothing(network: Path, tmp_path: Path) -> None:
    source = timed(tmp_path / "clip.mov", "01:00:00:00", Fraction(25), frames=4, metadata={"location": "+48.1+011.5/"})
    seen: list[Metadata] = []
    real = join

    def noting(*arguments: Any) -> Any:
        seen.append(arguments[5])
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("birefvideo.jobs.run.join", noting)
        birefvideo.matte(source, to="matte", model=str(network), review=True)
    assert [bool(tags.texts) for tags in seen] == [True, False, False]


def test_a_source_that_says_nothing_gives_an_output_that_says_nothing(clip: GetClip, tmp_path: Path) -> None:
    assert read_metadata(probe(clip("plain"))) == Metadata()
    info, frames = matted(clip("plain"))
    for format in FILES:
        parts = write_parts(tmp_path, format, info, frames)
        join(parts, tmp_path / "with", format, info, Span(), read_metadata(info))
        join(parts, tmp_path / "without", format, replace(info, path=Path(shutil.copy(info.path, tmp_path))), Span())
        assert (tmp_path / "with").read_bytes() == (tmp_path / "without").read_bytes()

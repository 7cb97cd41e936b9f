"""Sound of odd clips in outputs: all of it, in all of its channels, at its time, or a word about what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from outputs import WRITABLE, expectation, make_output
from sounds import RATE, Packets, heard, joined, late_by, noise, set_edits, set_speakers, write_sound_clip

import birefvideo
from birefvideo.errors import OutputError
from birefvideo.frames import AudioInfo, Span
from birefvideo.media.format_table import Format, get_format
from birefvideo.media.notes import Note, merged
from birefvideo.media.reading.probe import probe
from birefvideo.media.verification.verify_in_job import verify
from birefvideo.media.verification.verify_later import Claims, prove
from birefvideo.media.verification.verify_sound import SoundClaims
from birefvideo.media.writing.join import JoinReport
from birefvideo.media.writing.speakers import written_speakers

FOUR = [get_format(name) for name in ("prores", "green", "webm", "ffv1")]
four_formats = pytest.mark.parametrize("format", FOUR, ids=lambda format: format.name)


def output_of(tmp_path: Path, format: Format, clip: Path, span: Span | None = None) -> tuple[Path, JoinReport, float]:
    """An output that holds what the job says, its report, and when its pictures end."""
    output, info, frames, report = make_output(tmp_path, format, clip, span=span)
    verify(output, format, info, expectation(frames, report))
    end = frames[-1].seconds + frames[-1].duration * frames[-1].time_base - report.origin
    return output, report, float(end)


def sound_checks(output: Path, format: Format, source: Path | None, claims: Claims) -> list[tuple[bool | None, str]]:
    checks = prove(output, format, source, claims)
    return [(check.passed, check.finding) for check in checks if check.name == "sound"]


@four_formats
def test_sound_of_overlapping_packets_is_kept_in_time_and_told(format: Format, tmp_path: Path) -> None:
    first = write_sound_clip(tmp_path / "1.ts", "aac")
    second = write_sound_clip(tmp_path / "2.ts", "aac", starts=1.97, seed=2)
    clip = joined(tmp_path / "clip.ts", first, second)
    output, report, _ = output_of(tmp_path, format, clip)
    (warning,) = report.warnings
    assert "of overlaps cut" in warning
    assert not report.notes[0].is_loss
    assert ("encoded anew, since its packets overlap by" in warning) is ("aac" in format.audio_copy)
    sound, parts = heard(output), (noise(2), noise(2, seed=2))
    late = [late_by(sound, parts[0], 0.5, 0.5), late_by(sound, parts[1], 2.97, 1.0)]
    before = heard(clip)
    assert late == pytest.approx([late_by(before, parts[0], 0.5, 0.5), late_by(before, parts[1], 2.97, 1.0)], abs=0.4)
    assert all(passed for passed, _ in sound_checks(output, format, clip, Claims()))


@four_formats
def test_sound_of_a_clock_that_starts_again_is_kept_whole(format: Format, tmp_path: Path) -> None:
    parts = [write_sound_clip(tmp_path / f"{seed}.ts", "aac", seed=seed) for seed in (1, 2)]
    clip = joined(tmp_path / "clip.ts", *parts)
    output, _, end = output_of(tmp_path, format, clip)
    sound = heard(output)
    assert end == pytest.approx(4, abs=0.03)
    own = late_by(sound, noise(2), 0.5, 0.5)
    assert late_by(sound, noise(2, seed=2), 2.5, 0.5) == pytest.approx(own, abs=1)
    assert all(passed for passed, _ in sound_checks(output, format, clip, Claims()))


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "aac"), ("a.mov", "pcm_s16le")])
@four_formats
def test_sound_of_an_edit_list_with_two_edits_is_kept(format: Format, name: str, codec: str, tmp_path: Path) -> None:
    clip, priming = write_sound_clip(tmp_path / name, codec), 1024 / RATE if codec == "aac" else 0
    set_edits(clip, [(0.25, -1), (0.6, 0.1 + priming), (0.8, 1.0 + priming)])
    output, report, _ = output_of(tmp_path, format, clip)
    assert report.warnings in ((), (f"audio stream 1 ({codec}): encoded anew, since its edit list cuts it",))
    sound = heard(output)
    assert not np.any(np.abs(sound[:, : RATE // 5]) > 0.01)  # nothing that the list hides
    for at, moment in ((0.4, 0.25), (1.2, 1.35)):
        wanted = late_by(heard(clip), noise(2), at, moment)
        assert late_by(sound, noise(2), at, moment) == pytest.approx(wanted, abs=0.6)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "aac"), ("a.mp4", "aac"), ("a.mkv", "libopus"), ("a.mkv", "flac")]
)
@four_formats
def test_a_hole_in_the_sound_is_silence(format: Format, name: str, codec: str, tmp_path: Path) -> None:
    def edit(packets: Packets) -> Packets:
        for packet in packets[len(packets) // 2 :]:
            assert packet.pts is not None
            packet.pts = packet.dts = packet.pts + 3 * RATE
        return packets

    clip = write_sound_clip(tmp_path / name, codec, edit=edit, frames=120)
    output, report, _ = output_of(tmp_path, format, clip)
    assert "3.000 s of holes filled with silence" in report.warnings[0]
    with av.open(str(output)) as container:  # for players that have no eye for holes
        assert sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0)) > 4.9
    sound = heard(output)
    assert abs(late_by(sound, noise(2), 0.5, 0.5)) < 0.6 and abs(late_by(sound, noise(2), 4.5, 1.5)) < 0.6


@four_formats
def test_a_packet_far_from_its_neighbours_costs_no_more_than_itself(format: Format, tmp_path: Path) -> None:
    def edit(packets: Packets) -> Packets:
        for packet, seconds in ((packets[30], 100), (packets[60], 5)):
            assert packet.pts is not None
            packet.pts += seconds * RATE
        return packets

    clip = write_sound_clip(tmp_path / "a.mkv", "libopus", edit=edit)
    output, report, end = output_of(tmp_path, format, clip)
    sound = heard(output)
    assert sound.shape[1] / RATE == pytest.approx(end, abs=0.03)
    assert abs(late_by(sound, noise(2), 1.6, 1.6)) < 0.6
    assert report.warnings == ()


@four_formats
def test_sound_a_day_after_everything_else_is_left_out_and_told(format: Format, tmp_path: Path) -> None:
    def edit(packets: Packets) -> Packets:
        for packet in packets[60:]:
            assert packet.pts is not None
            packet.pts = packet.dts = packet.pts + 90_000 * RATE
        return packets

    clip = write_sound_clip(tmp_path / "a.mkv", "aac", edit=edit)
    output, report, _ = output_of(tmp_path, format, clip)
    assert "after the rest is left out" in report.warnings[0]
    assert report.notes[0].is_loss
    assert output.stat().st_size < 2_000_000


@four_formats
@pytest.mark.parametrize(("rate", "layout"), [(44100, "mono"), (48000, "stereo")])
def test_sound_whose_kind_changes_goes_on_in_time(format: Format, rate: int, layout: str, tmp_path: Path) -> None:
    first = write_sound_clip(tmp_path / "1.ts", "aac")
    second = write_sound_clip(tmp_path / "2.ts", "aac", starts=2.1, seed=2, rate=rate, layout=layout)
    clip = joined(tmp_path / "clip.ts", first, second)
    output, report, _ = output_of(tmp_path, format, clip)
    assert "its kind changes at" in report.warnings[0]
    if layout == "mono":
        at_rate = np.stack(
            [np.interp(np.arange(2 * RATE) * rate / RATE, np.arange(2 * rate), noise(2, rate=rate, seed=2)[0])]
        )
        sound = heard(output)
        assert late_by(sound, at_rate.astype(np.float32), 3.1, 1.0) < 999
        assert sound.shape[1] / RATE == pytest.approx(4.1, abs=0.06)


@pytest.mark.parametrize(
    ("name", "codec", "rate", "block"),
    [
        ("a.mkv", "flac", 48000, 1024),
        ("a.mov", "alac", 44100, 1024),
        ("a.mov", "pcm_s24le", 48000, 1024),
        ("a.mkv", "pcm_s16le", 48000, 19200),
        ("a.mp4", "aac", 8000, 1024),
        ("a.mp4", "ac3", 48000, 1024),
        ("a.mkv", "libopus", 48000, 1024),
    ],
)
@four_formats
def test_trimmed_sound_ends_with_the_last_picture(
    format: Format, name: str, codec: str, rate: int, block: int, tmp_path: Path
) -> None:
    clip = write_sound_clip(tmp_path / name, codec, rate=rate, block=block)
    tick = probe(clip).time_base
    span = Span(None, round(Fraction(3, 2) / tick))
    output, report, end = output_of(tmp_path, format, clip, span)
    (sound,) = report.sounds
    is_exact = codec in ("flac", "alac") or codec.startswith("pcm_") or not sound.copied
    assert -0.001 < float(sound.end) - end < (0.001 if is_exact else 1 / 30)
    length = heard(output).shape[1] / (48000 if format.audio_rate else rate)
    short_frame = 1024 / rate if sound.codec == "aac" else 0.04
    assert length == pytest.approx(end, abs=0.001 if sound.codec in ("pcm_s24le", "pcm_s16le", "flac") else short_frame)


@pytest.mark.parametrize("rate", [8000, 11025])
def test_what_fills_the_last_packet_up_is_no_lost_sound(rate: int, tmp_path: Path) -> None:
    clip = write_sound_clip(tmp_path / "a.mp4", "aac", rate=rate)  # packets of an eighth of a second
    span = Span(None, round(Fraction(7, 24) / probe(clip).time_base))
    output, *_ = output_of(tmp_path, get_format("green"), clip, span)
    ((passed, finding),) = sound_checks(output, get_format("green"), clip, Claims(span=span))
    assert passed, finding


@pytest.mark.parametrize(
    ("codec", "name", "layout"),
    [
        ("flac", "a.mkv", "4.0"),
        ("flac", "a.mkv", "5.0(side)"),
        ("flac", "a.mkv", "6.1"),
        ("flac", "a.mkv", "7.1"),
        ("pcm_s16le", "a.mov", "3 channels"),
        ("pcm_s16le", "a.mov", "16 channels"),
    ],
)
@four_formats
def test_channels_stay_in_order_or_are_told_of(
    format: Format, codec: str, name: str, layout: str, tmp_path: Path
) -> None:
    clip = write_sound_clip(tmp_path / name, codec, layout=layout, seconds=1, frames=24)
    output, report, _ = output_of(tmp_path, format, clip)
    count = av.AudioLayout(layout).nb_channels
    sound, source = heard(output), noise(1, layout)
    if not report.warnings:
        assert sound.shape[0] == report.sounds[0].channels == count
        low = 3 if layout == "7.1" and format.name == "green" else -1  # which AAC codes below 120 Hz only
        for channel in set(range(count)) - {low}:
            assert abs(late_by(sound, source[channel : channel + 1], 0.4, 0.4, channel)) < 0.6
    else:
        assert format.name == "webm" or (count > 8 and format.name == "ffv1")
        assert f"{count} channels" in report.warnings[0]


@pytest.mark.parametrize(
    ("layout", "format", "written", "note"),
    [
        ("5.1(side)", "green", "5.1", ""),
        ("4.0", "webm", "5.1", "4 channels (4.0) spread over 5.1"),
        ("5.0", "webm", "5.1", "5 channels (5.0) kept in 5.1, whose other channels are silent"),
        ("2.1", "webm", "5.1", "3 channels (2.1) kept in 5.1, whose other channels are silent"),
        ("6.1", "webm", "7.1", "7 channels (6.1) spread over 7.1"),
        ("6 channels", "green", "hexagonal", ""),
        ("1 channels", "prores", "mono", ""),
        ("2 channels", "green", "stereo", ""),
        ("16 channels", "prores", "16 channels", ""),
        ("16 channels", "webm", "stereo", "16 channels mixed to stereo: webm has no room for them"),
        ("7.1.4", "ffv1", "stereo", "12 channels (7.1.4) mixed to stereo: ffv1 has no room for them"),
        ("downmix", "green", "stereo", ""),
        ("3 channels (FL+LFE+BC)", "webm", "5.1", "3 channels (FL+LFE+BC) spread over 5.1"),
    ],
)
def test_speakers_are_the_source_s_or_the_nearest(layout: str, format: str, written: str, note: str) -> None:
    audio = AudioInfo(1, "flac", RATE, av.AudioLayout(layout).nb_channels, Fraction(0), None, layout)
    speakers = written_speakers(audio, get_format(format))
    assert (speakers.layout, speakers.note) == (written, note)


@pytest.mark.parametrize(("tag", "places"), [(122, (0, 1, 4, 5, 2)), (123, (0, 2, 1, 4, 5))])
@four_formats
def test_channels_in_an_order_of_their_own_go_to_their_speakers(
    format: Format, tag: int, places: tuple[int, ...], tmp_path: Path
) -> None:
    clip = write_sound_clip(tmp_path / "a.mov", "pcm_s16le", layout="5.1", seconds=1, frames=24)
    set_speakers(clip, tag)
    output, report, _ = output_of(tmp_path, format, clip)
    sound, source = heard(output), noise(1, "5.1")
    assert report.warnings == () and len(sound) == 6
    for channel, place in enumerate(range(5) if report.sounds[0].copied else places):
        assert abs(late_by(sound, source[channel : channel + 1], 0.4, 0.4, place)) < 0.6
    assert report.sounds[0].copied is (format.name == "prores")  # the only one that can say the order
    assert all(passed for passed, _ in sound_checks(output, format, clip, Claims()))


@pytest.mark.parametrize(("rate", "name", "codec"), [(192_000, "a.mkv", "flac"), (37_800, "a.mov", "pcm_s16le")])
@four_formats
def test_sound_of_any_rate_is_kept(format: Format, rate: int, name: str, codec: str, tmp_path: Path) -> None:
    clip = write_sound_clip(tmp_path / name, codec, rate=rate, seconds=1, frames=24)
    output, report, _ = output_of(tmp_path, format, clip)
    assert len(report.sounds) == 1 and report.warnings == ()
    assert all(passed for passed, _ in sound_checks(output, format, clip, Claims()))


@four_formats
def test_sixteen_tracks_are_all_kept(format: Format, tmp_path: Path) -> None:
    clip = write_sound_clip(tmp_path / "a.mov", "pcm_s16le", seconds=1, frames=24, tracks=16)
    output, report, _ = output_of(tmp_path, format, clip)
    assert len(report.sounds) == 16 and report.warnings == ()
    for track in (0, 9, 15):
        assert abs(late_by(heard(output, track), noise(1, seed=1 + track), 0.4, 0.4)) < 0.6


def test_deep_samples_keep_their_bits_in_flac(tmp_path: Path) -> None:
    clip = write_sound_clip(tmp_path / "a.mov", "pcm_s24le", seconds=1, frames=24)
    tick = probe(clip).time_base
    output, report, _ = output_of(tmp_path, get_format("ffv1"), clip, Span(round(Fraction(1, 4) / tick)))
    assert report.sounds[0].codec == "flac"
    assert np.abs(heard(output)[0] - heard(clip)[0, RATE // 4 :]).max() < 2**-22


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "aac"), ("a.mp4", "ac3"), ("a.ts", "aac")])
@pytest.mark.parametrize("format", [get_format("prores"), get_format("webm")], ids=lambda format: format.name)
def test_lost_packets_in_the_middle_are_told(format: Format, name: str, codec: str, tmp_path: Path) -> None:
    clip = write_sound_clip(tmp_path / name, codec)
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        places = [(p.pos, p.size) for p in container.demux(audio=0) if p.size and p.pos is not None]
    for position, size in places[20:25]:
        data[position : position + size] = bytes(size)
    clip.write_bytes(data)
    output, report, _ = output_of(tmp_path, format, clip)
    assert "damaged packet" in report.warnings[0] or "holes filled with silence" in report.warnings[0]
    start = late_by(heard(output), noise(2), 0.1, 0.1)
    assert late_by(heard(output), noise(2), 1.6, 1.6) == pytest.approx(start, abs=0.4)


def test_sound_that_ends_before_the_file_says_is_told(tmp_path: Path) -> None:
    clip = write_sound_clip(tmp_path / "a.mkv", "flac")
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        places = [p.pos for p in container.demux(audio=0) if p.size and p.pos is not None]
    data[places[8] : places[8] + 40] = b"\xff" * 40
    clip.write_bytes(data)
    _, report, _ = output_of(tmp_path, get_format("ffv1"), clip)
    assert "before the file says" in report.warnings[0]
    assert report.notes[0].is_loss


@four_formats
def test_a_track_without_a_packet_is_told_of(format: Format, tmp_path: Path) -> None:
    clip = write_sound_clip(tmp_path / "a.mkv", "aac", edit=lambda packets: [], seconds=1, frames=24)
    output, report, _ = output_of(tmp_path, format, clip)
    assert len(report.warnings) == 1 and "is left out: there is no sound in it" in report.warnings[0]
    assert not report.notes[0].is_loss
    assert True not in [passed for passed, _ in sound_checks(output, format, clip, Claims())]


@pytest.mark.parametrize(
    ("claims", "passed", "said"),
    [
        (SoundClaims(), None, "0 of 1 track; was it made with --audio?"),
        (SoundClaims(written=0, wanted=1, tracks="all"), False, "0 of 1 track"),
        (SoundClaims(written=0, wanted=1, tracks="first"), False, "0 of 1 track"),
        (SoundClaims(written=0, wanted=0, tracks="none"), True, "none, as meant"),
    ],
)
def test_no_sound_is_as_meant_only_where_it_was_declined(
    claims: SoundClaims, passed: bool | None, said: str, tmp_path: Path
) -> None:
    clip = write_sound_clip(tmp_path / "a.mp4", "aac", seconds=1, frames=24)
    silent, format = tmp_path / "silent24.mp4", get_format("prores")
    output, *_ = make_output(tmp_path, format, silent)
    ((found, finding),) = sound_checks(output, format, clip, Claims(sound=claims))
    assert found is passed and said in finding
    if claims.wanted is not None:
        ((found, finding),) = sound_checks(output, format, None, Claims(sound=claims))
        assert found is passed and said in finding


def test_a_silent_stretch_that_the_source_has_sound_in_is_found(tmp_path: Path) -> None:
    format, clip = get_format("prores"), write_sound_clip(tmp_path / "a.mov", "pcm_s16le")
    output, *_ = output_of(tmp_path, format, clip)
    with av.open(str(output)) as container:
        place = next(p.pos for p in container.demux(audio=0) if p.pts is not None and p.pts >= RATE // 3)
    data = bytearray(output.read_bytes())
    assert place is not None
    data[place : place + 1000] = bytes(1000)
    (whole,) = sound_checks(output, format, clip, Claims())
    output.write_bytes(data)
    with av.open(str(output)) as container:
        packets = [(p.pos, p.size) for p in container.demux(audio=0) if p.pts is not None and p.pos is not None]
    for position, size in packets[5:15]:
        data[position : position + size] = bytes(size)
    output.write_bytes(data)
    ((passed, finding),) = sound_checks(output, format, clip, Claims())
    assert whole[0] is True
    assert passed is False and ("silent" in finding or "unlike" in finding)


def test_a_changed_number_of_channels_fails_the_job(tmp_path: Path) -> None:
    format, clip = get_format("prores"), write_sound_clip(tmp_path / "a.mov", "pcm_s16le", seconds=1, frames=24)
    output, info, frames, report = make_output(tmp_path, format, clip)
    expected = expectation(frames, report)
    with pytest.raises(OutputError, match="has 1 channels instead of 2"):
        verify(output, format, info, replace(expected, sounds=[replace(report.sounds[0], channels=2)]))


def test_every_format_with_sound_has_a_known_encoder() -> None:
    for format in WRITABLE:
        audio = AudioInfo(1, "flac", RATE, 2, Fraction(0), None, "stereo")
        assert written_speakers(audio, format).layout == "stereo"


def test_sound_that_lies_under_other_sound_for_long_is_lost(tmp_path: Path) -> None:
    parts = [write_sound_clip(tmp_path / f"{seed}.ts", "aac", seconds=2.5, seed=seed) for seed in (1, 2)]
    _, report, _ = output_of(tmp_path, get_format("webm"), joined(tmp_path / "clip.ts", *parts))
    assert "of overlaps cut" in report.warnings[0]
    assert [note.is_loss for note in report.notes] == [True]


def test_what_outputs_say_of_one_stream_is_said_once_with_their_names() -> None:
    short, long = Note("track 1", ("cut",)), Note("track 1", ("encoded anew", "cut"))
    lost = Note("track 2 is left out", is_loss=True)
    told = merged({"a.mov": [short], "a.webm": [long, lost], "a.mp4": [short, lost]})
    assert told == [
        Note("track 1", ("cut",)),
        Note("track 1", ("encoded anew",), outputs=("a.webm",)),
        Note("track 2 is left out", is_loss=True, outputs=("a.webm", "a.mp4")),
    ]
    assert [note.line for note in told] == [
        "track 1: cut",
        "a.webm: track 1: encoded anew",
        "a.webm, a.mp4: track 2 is left out",
    ]
    assert merged({"a.mov": [long, short], "a.gif": []})[0].outputs == ("a.mov",)
    assert merged({"a.webm": [long, short]}) == [long]


def test_results_and_receipts_name_the_output_that_a_note_is_about(
    clip: Callable[[str], Path], tmp_path: Path, network: Path
) -> None:
    made = birefvideo.matte(clip("plain"), out=tmp_path, to=["gif", "webm"], model=str(network))
    line = "plain_alpha.gif: no sound: gif cannot hold any"
    assert line in made.warnings
    for path in made.receipts:
        assert line in json.loads(path.read_text())["outputs"]["plain_alpha.gif"]["warnings"]

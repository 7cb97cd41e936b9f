"""Whether an output's sound is all there, and in time with the pictures, as far as source and receipt can show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from birefvideo.frames import AudioInfo, VideoInfo
from birefvideo.media.metadata import counted
from birefvideo.media.verification import audio_sync
from birefvideo.media.verification.finished_output import FinishedOutput, FinishedSound

OUT_OF_SYNC = Fraction(1, 1000)
"""Seconds that sound may be away from its picture."""

_LOST = (Fraction(1, 10), Fraction(1, 20))  # seconds, and share of the whole, that may lie under other sound

Finding = tuple[bool | None, str]
"""Whether it is as it should be, or None where nothing says; and in words."""


@dataclass(frozen=True)
class SoundClaims:
    """What a receipt, or the user, says of an output's sound; None where nothing does."""

    written: int | None = None
    """Number of audio streams that were written."""
    wanted: int | None = None
    """Number of the source's audio streams that were asked for."""
    tracks: str | None = None
    """Which of them: all, first or none."""


def check_sound(
    finished: FinishedOutput,
    info: VideoInfo | None,
    shift: Fraction | None,
    end: Fraction | None,
    claims: SoundClaims,
) -> Iterator[Finding]:
    """Check every track of an output.

    Args:
        finished: the output.
        info: its source.
        shift: a moment t of the output is t + `shift` of the source, in seconds; None where that is not known.
        end: when the part of the source ends that the output shows, in seconds; None for its own end.
        claims: what was meant.
    """
    sounds = finished.sounds
    if claims.written is not None and claims.written != len(sounds):
        yield False, f"{counted(len(sounds), 'track')}, the receipt says {claims.written}"
        return
    if info is None:
        if claims.wanted is not None and len(sounds) < claims.wanted:
            yield False, f"{len(sounds)} of {counted(claims.wanted, 'track')}: the receipt's warnings say why"
        elif not sounds:
            yield (None, "none") if claims.wanted is None else (True, "none, as meant")
        for number, sound in enumerate(sounds):
            heard = audio_sync.read_mono_audio(finished.path, sound.index)
            yield (False, f"track {number + 1} cannot be heard") if heard is None else (True, _said(number, heard))
        return
    yield from _beside_source(finished, info, shift, end, claims)


def _beside_source(
    finished: FinishedOutput, info: VideoInfo, shift: Fraction | None, end: Fraction | None, claims: SoundClaims
) -> Iterator[Finding]:
    asked = {"none": 0, "first": 1}.get(claims.tracks or "", len(info.audio))
    begin = min(Fraction(0), info.start * info.time_base)  # a clock that wraps has all of its times below 0
    sources = [
        (audio, audio_sync.read_mono_audio(info.path, audio.index, info.timeline, begin)) for audio in info.audio
    ]
    audible = [(audio, source) for audio, source in sources[:asked] if source is not None]
    sounds = finished.sounds
    if len(sounds) < len(audible):
        hint = "" if claims.tracks else "; was it made with --audio? Its receipt would show it"
        yield False if claims.tracks else None, f"{len(sounds)} of {counted(len(audible), 'track')}{hint}"
    elif len(sounds) > len(sources):
        yield False, f"{counted(len(sounds), 'track')}, the source has {len(sources)}"
    elif not sounds:
        asked += len(info.unreadable_audio) if claims.tracks in (None, "all") else 0
        mute = f": of the source's {counted(asked, 'track')} nothing can be heard" if asked else ", as meant"
        yield (None if asked else True), f"none{mute}"
    for number, sound in enumerate(sounds):
        heard = audio_sync.read_mono_audio(finished.path, sound.index)
        if heard is None:
            silent = len(sounds) == len(sources) and sources[number][1] is None
            yield None if silent else False, f"track {number + 1} cannot be heard{', nor the source’s' * silent}"
            continue
        pair = _source_of(number, len(sounds), audible, sources)
        if pair is None or shift is None:
            yield None, _said(number, heard)
        else:
            yield _compare(number, sound, heard, *pair, shift, end)


def _source_of(
    number: int,
    count: int,
    audible: Sequence[tuple[AudioInfo, audio_sync.MonoAudio]],
    sources: Sequence[tuple[AudioInfo, audio_sync.MonoAudio | None]],
) -> tuple[AudioInfo, audio_sync.MonoAudio] | None:
    """Return the source's track that an output's is of, where that is certain: the first ones, or all of them."""
    if count == len(sources):
        audio, source = sources[number]
        return None if source is None else (audio, source)
    is_certain = count == len(audible) or len(audible) == len(sources)
    return audible[number] if is_certain and number < len(audible) else None


def _compare(
    number: int,
    sound: FinishedSound,
    heard: audio_sync.MonoAudio,
    audio: AudioInfo,
    source: audio_sync.MonoAudio,
    shift: Fraction,
    end: Fraction | None,
) -> Finding:
    said = _said(number, heard)
    until = source.end - shift if end is None else min(source.end, end) - shift
    slack = max(Fraction(1, 20), Fraction(2048, audio.rate))  # a packet of any codec, and its padding
    if abs(heard.end - until) > slack:
        return False, f"{said}, but the source's ends at {float(until):.3f} s"
    heard = heard.until(until)  # what fills the last packet up is nobody's sound
    if source.covered > max(_LOST[0], _LOST[1] * (source.end - source.start)):
        return False, f"{said}; {float(source.covered):.3f} s of the source's sound lie under other sound and are lost"
    away = audio_sync.offset(source, heard, shift)
    if away.different:
        return False, f"{said}; {away.different} of {away.windows} places sound unlike the source"
    lost = audio_sync.silenced(source, heard, shift)
    if lost:
        return False, f"{said}; {float(lost):.2f} s are silent that the source has sound in"
    if not away.windows:
        return None, f"{said}; silent, so its place could not be checked"
    said = f"{said}, {float(away.worst) * 1000:.2f} ms off the source's place"
    if sound.channels < audio.channels:
        return None, f"{said}; {sound.channels} channels, the source has {audio.channels}"
    return away.worst <= OUT_OF_SYNC, said


def _said(number: int, heard: audio_sync.MonoAudio) -> str:
    return f"track {number + 1}: {float(heard.start):.3f} to {float(heard.end):.3f} s"

"""The source's sound beside an output's pictures: what is taken of it, and what copying and encoding it share."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, pairwise
from typing import Any, TypeAlias, cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from birefvideo.frames import AudioInfo, VideoInfo
from birefvideo.media.expected import Sound
from birefvideo.media.metadata import counted
from birefvideo.media.notes import Note
from birefvideo.media.reading.joints import LIMIT
from birefvideo.media.reading.open_input import open_input
from birefvideo.media.reading.packets import demuxed
from birefvideo.media.reading.pictures import GIVE_UP_AFTER
from birefvideo.media.reading.probe import codec_name

TRACKS = {"all": None, "first": 1, "none": 0}
"""What the user can ask for: how many of the source's tracks."""

JITTER = Fraction(1, 100)
"""Seconds that times in a file may be off; more is a hole or an overlap."""

_FAR = Fraction(1, 10)
"""Seconds from what follows at which a packet's time is suspected."""
_EXCURSION = 16
"""Packets in a row that may have such times before it counts as a jump."""
_SHORT = Fraction(1, 4)
"""Seconds that may be missing at the end without a word."""
_COVERED = (Fraction(1, 10), Fraction(1, 20))
"""Seconds, and share of the whole, of sound that may lie under other sound, as where clips are joined."""
_SEEK_MARGIN = Fraction(2)  # seconds; an index need not be exact
_SETTLING = 2  # frames in which a decoder may find out what implicit HE-AAC is

Timed: TypeAlias = "tuple[Fraction, Packet[Any]]"
"""A packet and its time in seconds."""


@dataclass(frozen=True)
class Window:
    """Which stretch of the source goes into the output, in seconds on the source's clock."""

    origin: Fraction
    """The source's time that becomes the output's 0."""
    start: Fraction | None
    """Sound before it is cut off; None keeps all."""
    end: Fraction | None
    """Sound from here on is cut off; None keeps all."""


class SoundError(Exception):
    """An audio stream of the source that an output has to do without; the message is one line."""

    def __init__(self, audio: AudioInfo, error: Exception, *, is_empty: bool = False) -> None:
        self.note = Note(f"{name_of(audio)} is left out", (reason_of(error),), is_loss=not is_empty)
        """The message; where the stream is empty, nothing is lost."""
        super().__init__(self.note.line)
        self.index = audio.index
        """Index of the stream in the source."""


class CopyError(SoundError):
    """An audio stream whose packets cannot go along as they are; encoding it anew may do."""

    def __init__(self, audio: AudioInfo, reason: str) -> None:
        super().__init__(audio, ValueError(reason))
        self.reason = reason
        """Why, in words; '' where it need not be told."""


class Track:
    """One audio stream on its way from the source into an output; subclasses say how."""

    def __init__(self, source: VideoInfo, audio: AudioInfo, window: Window) -> None:
        self.audio = audio
        """The source's stream."""
        self._source = source
        self._window = window
        self._damaged = 0
        self._stopped = ""
        self._heard: tuple[Fraction, Fraction] | None = None
        self._container: InputContainer = open_input(source.path)
        self._stream = cast(AudioStream, self._container.streams[audio.index])
        self._codec = codec_name(self._stream)
        self._kind: tuple[object, ...] = ()
        self._frames = 0

    def packets(self) -> Iterator[Timed]:
        """Yield (time on the output's clock, packet for the output) in order of time.

        Raises:
            CopyError: the packets cannot be copied.
            SoundError: the stream cannot be read, decoded or encoded any further.
        """
        try:
            yield from self._packets()
        except (av.FFmpegError, ValueError) as error:
            raise SoundError(self.audio, error) from error
        if self._heard is None:  # and not every container can hold a track of nothing
            reason = self._stopped or "there is no sound in it"
            raise SoundError(self.audio, ValueError(reason), is_empty=not (self._stopped or self._damaged))

    def _packets(self) -> Iterator[Timed]:
        """Yield what `packets` does; errors are FFmpeg's."""
        raise NotImplementedError

    def sound(self) -> Sound:
        """Return what was written, once the packets are used up."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the source."""
        self._container.close()

    def _read(self) -> Iterator[Packet[Any]]:
        """Yield the stream's packets from a little before the window on, on the clip's clock.

        One without a time follows the one before; what comes long after everything else is left out.
        """
        until = (self._source.start * self._source.time_base + self._source.duration) / self._time_base
        limit, latest = LIMIT / self._time_base, Fraction(0)
        for packet in self._steady(self._source.timeline.closed(self._found())):
            assert packet.pts is not None
            if packet.pts - max(until, latest) > limit and self._source.duration:
                away = length_in_words((packet.pts - latest) * self._time_base)
                self._stopped = f"what comes {away} after the rest is left out"
                return
            latest = max(latest, Fraction(packet.pts + (packet.duration or 0)))
            yield packet

    def _found(self) -> Iterator[Packet[Any]]:
        """Yield the stream's packets as they are; damage is counted and passed over."""
        if self._window.start is not None and not self._source.timeline.is_closed(self.audio.index):
            target = max(self._window.start - _SEEK_MARGIN, self.audio.start)
            with suppress(av.FFmpegError):  # without an index, read from the start
                self._container.seek(int(target / self._time_base), stream=self._stream)
        packets, refused = demuxed(self._container, self._stream), 0
        while refused < GIVE_UP_AFTER:
            try:
                for packet in packets:
                    if packet.size:
                        yield packet
                        refused = 0
                return
            except av.FFmpegError:
                refused += 1
                self._damaged += 1
                packets = demuxed(self._container, self._stream)
        self._stopped = "it cannot be read any further"

    def _steady(self, packets: Iterator[Packet[Any]]) -> Iterator[Packet[Any]]:
        """Give packets without a time, and a few that are far away from those around them, the time that follows."""
        ahead: deque[Packet[Any]] = deque()
        slack = int(_FAR / self._time_base)
        following: int | None = None
        while packet := ahead.popleft() if ahead else next(packets, None):
            if packet.pts is None:
                packet.pts = packet.dts
            if following is not None and (packet.pts is None or abs(packet.pts - following) > slack):
                ahead.extend(islice(packets, _EXCURSION - len(ahead)))
                if packet.pts is None or _returns(following, [packet, *ahead], slack):
                    packet.pts = following
            elif packet.pts is None:
                packet.pts = self._stream.start_time or 0
            following = packet.pts + (packet.duration or 0)
            yield packet

    def _decode(self, packet: Packet[Any]) -> list[AudioFrame]:
        """Return a packet's frames; a damaged one has none and is counted, if it belongs to the window."""
        start = self._window.start
        try:
            return self._stream.decode(packet)
        except av.FFmpegError:
            self._damaged += start is None or seconds(packet.pts, self._time_base) >= start
            return []

    def _changes(self, frame: AudioFrame) -> bool:
        """Return whether rate or channels are others than in the frame before."""
        kind = (frame.sample_rate, frame.layout.nb_channels)
        changed, self._kind = self._frames >= _SETTLING and kind != self._kind, kind
        self._frames += 1
        return changed

    @property
    def _time_base(self) -> Fraction:
        return self._stream.time_base or Fraction(1, self.audio.rate)

    def _hear(self, start: Fraction, end: Fraction) -> None:
        """Note that the stretch [start, end) of the output's clock has sound."""
        start, end = max(start, Fraction(0)), max(end, Fraction(0))
        self._heard = (min(start, self._heard[0]), max(end, self._heard[1])) if self._heard else (start, end)

    def _sound(
        self, codec: str, copied: bool, channels: int, grain: Fraction, notes: list[str], cut: Fraction = Fraction(0)
    ) -> Sound:
        """Return what was written; `cut` are the seconds of sound that lay under other sound."""
        damage = "copied as they are" if copied else "passed over"
        found = [
            self._missing_end(),
            f"{counted(self._damaged, 'damaged packet')} {damage}" if self._damaged else "",
            self._stopped,
        ]
        lost = [*filter(None, found)]
        start, end = self._heard or (Fraction(0), Fraction(0))
        is_loss = bool(lost) or cut > max(_COVERED[0], _COVERED[1] * (end - start))
        note = Note(name_of(self.audio), (*lost, *notes), is_loss) if lost or notes else None
        return Sound(codec, copied, start, end, grain, channels, note)

    def _missing_end(self) -> str:
        """Return what to say where the sound is shorter than the file says, or ''."""
        if self._heard is None or self.audio.duration is None or self._source.timeline.joints:
            return ""
        if self.audio.duration > self._source.start * self._source.time_base + self._source.duration + LIMIT:
            return ""  # which is no more likely than that the file is wrong
        # Where its length counts from the first sample and not from 0, this asks too little. Clocks that begin below 0,
        # as one that wraps does, count from there.
        wanted = min(filter(None, [self.audio.duration + min(self.audio.start, Fraction(0)), self._window.end]))
        short = wanted - (self._heard[1] + self._window.origin)
        return f"it ends {length_in_words(short)} before the file says" if short > _SHORT else ""


def _returns(following: int, packets: Sequence[Packet[Any]], slack: int) -> bool:
    """Return whether times soon are what they would be if they had just gone on, but for the first packet's."""
    for packet, after in pairwise(packets):
        following += packet.duration or 0
        if after.pts is not None and abs(after.pts - following) <= slack:
            return True
    return False


def seconds(pts: int | None, time_base: Fraction | None) -> Fraction:
    """Time of a pts that is known to be set."""
    assert pts is not None and time_base is not None
    return pts * time_base


def name_of(audio: AudioInfo) -> str:
    """Return what the user is told of a stream."""
    return f"audio stream {audio.index} ({audio.codec})"


def reason_of(error: Exception) -> str:
    """Return an error in words."""
    return str(getattr(error, "strerror", None) or error)


def length_in_words(time: Fraction) -> str:
    """Return '27 ms' or '2.000 s'."""
    return f"{float(time) * 1000:.0f} ms" if time < 1 else f"{float(time):.3f} s"


def with_tracks(info: VideoInfo, tracks: str) -> VideoInfo:
    """Return the clip with those of its audio streams that are asked for: all, the first or none."""
    unreadable = info.unreadable_audio if tracks == "all" else ()
    return replace(info, audio=info.audio[: TRACKS[tracks]], unreadable_audio=unreadable)

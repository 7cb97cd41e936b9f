"""Sound whose packets go into an output as they are."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from statistics import median
from typing import Any

from av.container import OutputContainer
from av.packet import Packet

from birefvideo.frames import AudioInfo, VideoInfo
from birefvideo.media.expected import Sound
from birefvideo.media.format_table import Format
from birefvideo.media.metadata import copy_track_tags
from birefvideo.media.reading.channel_order import settled_layout
from birefvideo.media.writing.audio import JITTER, CopyError, Timed, Track, Window, length_in_words, seconds

OVERHANG = Fraction(1, 30)
"""Seconds that a copied packet may run past the end asked for: a short frame of any codec."""

_PREROLL = {"aac": 1, "ac3": 1, "eac3": 1, "opus": 4, "vorbis": 1, "mp3": 4}
"""Packets before the first one heard that its decoder needs: the overlap of transforms, mp3's bit reservoir."""
_RECENT = 9  # packets that say how long one usually is


class CopiedTrack(Track):
    """Packets as they are, with their times moved to the output's clock.

    A cut at the start keeps the packet that the cut falls into and those its decoder needs before it: they come
    before 0, where the edit list of mov and mp4 hides them. A cut at the end shortens a packet of PCM and keeps any
    other. Packets are decoded too, to see damage and whether they are what the first one was.
    """

    def __init__(
        self, source: VideoInfo, audio: AudioInfo, window: Window, output: OutputContainer, format: Format
    ) -> None:
        super().__init__(source, audio, window)
        self._out = output.add_stream_from_template(self._stream)
        settled_layout(self._stream)
        copy_track_tags(self._stream, self._out, format)
        self._grain = Fraction(0)
        self._frame = Fraction(self._stream.codec_context.frame_size or 0, audio.rate)
        self._lengths: deque[Fraction] = deque(maxlen=_RECENT)
        self._is_pcm = self._codec.startswith("pcm_")
        self._block = 0  # bytes of one sample of all channels, for PCM

    def _packets(self) -> Iterator[Timed]:
        start, end = self._window.start, self._window.end
        preroll: deque[Timed] = deque(maxlen=_PREROLL.get(self._codec, 0))
        for time, packet in self._checked(self._unedited(self._timed())):
            length = self._length(packet)
            if end is not None and time >= end:
                return
            moved = time - self._window.origin
            if start is not None and time + length <= start:
                preroll.append((moved, packet))
                continue
            while preroll:
                yield self._stamped(*preroll.popleft())
            if end is not None and time + length > end:
                packet = self._cut(packet, end - time)
                length = self._length(packet)
            self._grain = max(self._grain, length)
            self._hear(moved, moved + length)
            yield self._stamped(moved, packet)

    def sound(self) -> Sound:
        """Return what was written, once the packets are used up."""
        return self._sound(self._codec, True, self.audio.channels, self._grain, [])

    def _length(self, packet: Packet[Any]) -> Fraction:
        if self._block:
            return Fraction(packet.size // self._block, self.audio.rate)
        return (packet.duration or 0) * self._time_base

    def _timed(self) -> Iterator[Timed]:
        """Yield (time, packet) with times exact to the sample.

        Matroska and FLV round times to 1 ms; the packets' own length tells them apart again.
        """
        slack = 2 * self._time_base if self._time_base * self.audio.rate > 1 else Fraction(0)
        expected: Fraction | None = None
        for packet in self._read():
            time = seconds(packet.pts, self._time_base)
            if expected is not None and abs(time - expected) <= slack:
                time = expected
            expected = time + self._frame if self._frame else None
            yield time, packet

    def _checked(self, timed: Iterator[Timed]) -> Iterator[Timed]:
        """Pass packets on that follow each other and are of one kind, as long as the window lasts.

        Raises:
            CopyError: there is a hole or an overlap, for which not every player has an eye, or another kind.
        """
        expected: Fraction | None = None
        for time, packet in timed:
            if self._window.end is not None and time >= self._window.end:
                return
            frames = self._decode(packet)
            if self._is_pcm and not self._block and frames:
                self._block = packet.size // max(1, sum(frame.samples for frame in frames))
            length, usual = self._true_length(packet)
            late = Fraction(0) if expected is None else time - expected
            if abs(late) > max(JITTER, usual / 2):
                what = "leave a hole of" if late > 0 else "overlap by"
                at = length_in_words(max(Fraction(0), time - self._window.origin))
                raise CopyError(self.audio, f"its packets {what} {length_in_words(abs(late))} at {at}")
            expected = time + length
            if any(self._changes(frame) for frame in frames):
                raise CopyError(self.audio, f"its rate or channels change at {length_in_words(time)}")
            yield time, packet

    def _true_length(self, packet: Packet[Any]) -> tuple[Fraction, Fraction]:
        """Return a packet's length and the usual one, in seconds; 0 where unknown.

        mov and mp4 say of a packet before a hole that it lasts until the next one.
        """
        length = self._length(packet) or self._frame
        self._lengths.append(length)
        usual = max(median(self._lengths), self._frame)
        return (usual if self._frame and length > usual * 3 / 2 else length), usual

    def _unedited(self, timed: Iterator[Timed]) -> Iterator[Timed]:
        """Pass packets on that an edit list lets be heard, and those before them that it hides before 0.

        Raises:
            CopyError: it hides some that would be heard.
        """
        hidden: list[Timed] = []
        is_heard = False
        for time, packet in timed:
            if packet.is_discard:
                hidden.append((time, packet))
                continue
            late = [one for one, two in hidden if one + self._length(two) > self._window.origin]
            if hidden and (is_heard or len(late) > _PREROLL.get(self._codec, 0)):
                raise CopyError(self.audio, "its edit list cuts it")
            is_heard = True
            yield from hidden
            hidden = []
            yield time, packet

    def _cut(self, packet: Packet[Any], left: Fraction) -> Packet[Any]:
        """Return a packet's first `left` seconds where it is PCM, else all of it.

        Raises:
            CopyError: it runs too far past its end.
        """
        if not self._block:
            if self._length(packet) - left > OVERHANG:
                raise CopyError(self.audio, "")
            return packet
        cut: Packet[Any] = Packet(bytes(packet)[: max(1, round(left * self.audio.rate)) * self._block])
        cut.pts, cut.is_keyframe = packet.pts, True
        return cut

    def _stamped(self, time: Fraction, packet: Packet[Any]) -> Timed:
        rate = self.audio.rate
        length = round(self._length(packet) * rate)
        packet.stream = self._out
        packet.pts = packet.dts = round(time * rate)
        packet.duration = length
        packet.time_base = Fraction(1, rate)
        return time, packet

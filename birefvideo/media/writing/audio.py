"""The source's sound beside an output's pictures: packets copied where the container takes them, else re-encoded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from birefvideo.frames import AudioInfo, VideoInfo
from birefvideo.media.expected import Sound
from birefvideo.media.format_table import Format
from birefvideo.media.metadata import copy_track_tags
from birefvideo.media.reading.decode import GIVE_UP_AFTER
from birefvideo.media.reading.open_input import open_input
from birefvideo.media.reading.probe import codec_name

TRACKS = {"all": None, "first": 1, "none": 0}
"""What the user can ask for: how many of the source's tracks."""
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
"""Layouts that every encoder here takes, by number of channels; others are mixed to stereo."""

_PREROLL = {"aac": 1, "ac3": 1, "eac3": 1, "opus": 4, "vorbis": 1, "mp3": 4}
"""Packets before the first one heard that its decoder needs: the overlap of transforms, mp3's bit reservoir."""

_SEEK_MARGIN = Fraction(2)  # seconds; an index need not be exact


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

    def __init__(self, audio: AudioInfo, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or error
        super().__init__(f"audio stream {audio.index} ({audio.codec}) is left out: {reason}")
        self.index = audio.index
        """Index of the stream in the source."""


class Track:
    """One audio stream on its way from the source into an output; subclasses say how."""

    def __init__(self, source: Path, audio: AudioInfo, window: Window) -> None:
        self.audio = audio
        """The source's stream."""
        self._window = window
        self._damaged = 0
        self._stopped = ""
        self._heard: tuple[Fraction, Fraction] | None = None
        self._container: InputContainer = open_input(source)
        self._stream = cast(AudioStream, self._container.streams[audio.index])
        self._codec = codec_name(self._stream)

    def packets(self) -> Iterator[Timed]:
        """Yield (time on the output's clock, packet for the output) in order of time.

        Raises:
            SoundError: the stream cannot be read, decoded or encoded any further.
        """
        try:
            yield from self._packets()
        except (av.FFmpegError, ValueError) as error:
            raise SoundError(self.audio, error) from error

    def _packets(self) -> Iterator[Timed]:
        """Yield what `packets` does; errors are FFmpeg's."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the source."""
        self._container.close()

    def _read(self) -> Iterator[Packet[Any]]:
        """Yield the stream's packets from a little before the window on; damage is counted and passed over."""
        if self._window.start is not None:
            target = max(self._window.start - _SEEK_MARGIN, self.audio.start)
            with suppress(av.FFmpegError):  # without an index, read from the start
                self._container.seek(int(target / self._time_base), stream=self._stream)
        packets, refused = self._container.demux(self._stream), 0
        while refused < GIVE_UP_AFTER:
            try:
                for packet in packets:
                    if packet.pts is not None:
                        yield packet
                        refused = 0
                return
            except av.FFmpegError:
                refused += 1
                self._damaged += 1
                packets = self._container.demux(self._stream)
        self._stopped = "unreadable beyond that"

    @property
    def _time_base(self) -> Fraction:
        return self._stream.time_base or Fraction(1, self.audio.rate)

    def _hear(self, start: Fraction, end: Fraction) -> None:
        """Note that the stretch [start, end) of the output's clock has sound."""
        start, end = max(start, Fraction(0)), max(end, Fraction(0))
        self._heard = (min(start, self._heard[0]), max(end, self._heard[1])) if self._heard else (start, end)

    def _sound(self, codec: str, copied: bool, grain: Fraction) -> Sound:
        warning = ""
        if self._damaged or self._stopped or self._heard is None:
            what = f"{self._damaged} damaged packets passed over" if self._damaged else "no sound"
            warning = f"audio stream {self.audio.index} ({self.audio.codec}): {what} {self._stopped}".strip()
        start, end = self._heard or (Fraction(0), Fraction(0))
        return Sound(codec, copied, start, end, grain, warning)


class CopiedTrack(Track):
    """Packets as they are, with their times moved to the output's clock.

    A cut at the start keeps the packet that the cut falls into and those its decoder needs before it: they come
    before 0, where the edit list of mov and mp4 hides them.
    """

    def __init__(self, source: Path, audio: AudioInfo, window: Window, output: OutputContainer, format: Format) -> None:
        super().__init__(source, audio, window)
        self._out = output.add_stream_from_template(self._stream)
        copy_track_tags(self._stream, self._out, format)
        self._grain = Fraction(0)

    def _packets(self) -> Iterator[Timed]:
        start, end = self._window.start, self._window.end
        preroll: deque[Timed] = deque(maxlen=_PREROLL.get(self._codec, 0))
        for time, packet in self._timed():
            length = (packet.duration or 0) * self._time_base
            if end is not None and time >= end:
                return
            moved = time - self._window.origin
            if start is not None and time + length <= start:
                preroll.append((moved, packet))
                continue
            while preroll:
                yield self._stamped(*preroll.popleft())
            self._grain = max(self._grain, length)
            self._hear(moved, moved + length)
            yield self._stamped(moved, packet)

    def sound(self) -> Sound:
        """Return what was written, once the packets are used up."""
        return self._sound(self._codec, True, self._grain)

    def _timed(self) -> Iterator[Timed]:
        """Yield (time, packet) with times exact to the sample.

        Matroska and FLV round times to 1 ms; the packets' own length tells them apart again.
        """
        frame = Fraction(self._stream.codec_context.frame_size or 0, self.audio.rate)
        slack = 2 * self._time_base if self._time_base * self.audio.rate > 1 else Fraction(0)
        expected: Fraction | None = None
        for packet in self._read():
            time = seconds(packet.pts, self._time_base)
            if expected is not None and abs(time - expected) <= slack:
                time = expected
            expected = time + frame if frame else None
            yield time, packet

    def _stamped(self, time: Fraction, packet: Packet[Any]) -> Timed:
        rate = self.audio.rate
        length = round((packet.duration or 0) * self._time_base * rate)
        packet.stream = self._out
        packet.pts = packet.dts = round(time * rate)
        packet.duration = length
        packet.time_base = Fraction(1, rate)
        return time, packet


class EncodedTrack(Track):
    """Sound decoded, cut to the sample, and encoded anew; it always runs from the output's 0, silent until it starts.

    Holes and overlaps of more than 10 ms in the source's times are filled with silence or cut, so that sound and
    picture stay together through the clip.
    """

    def __init__(self, source: Path, audio: AudioInfo, window: Window, output: OutputContainer, format: Format) -> None:
        super().__init__(source, audio, window)
        self._rate = format.audio_rate or audio.rate
        layout = _LAYOUTS.get(audio.channels, "stereo")
        self._out = cast(AudioStream, output.add_stream(format.audio_codec, rate=self._rate, layout=layout))
        context: AudioCodecContext = self._out.codec_context
        context.thread_count = 1
        if format.bit_rate is not None:
            context.bit_rate = format.bit_rate * len(context.layout.channels)
        copy_track_tags(self._stream, self._out, format)

    def _packets(self) -> Iterator[Timed]:
        for frame in self._shaped():
            start = seconds(frame.pts, frame.time_base)
            self._hear(start, start + Fraction(frame.samples, self._rate))
            yield from self._encoded(frame)
        if self._heard is not None:
            yield from self._encoded(None)

    def sound(self) -> Sound:
        """Return what was written, once the packets are used up."""
        size = self._out.codec_context.frame_size or 1024
        return self._sound(codec_name(self._out), False, Fraction(size, self._rate))

    def _encoded(self, frame: AudioFrame | None) -> Iterator[Timed]:
        for packet in self._out.encode(frame):
            yield seconds(packet.pts, packet.time_base), packet

    def _decoded(self) -> Iterator[AudioFrame]:
        """Yield the frames of the window, timed on the output's clock in the source's samples."""
        frames: list[AudioFrame]
        for packet in self._read():
            try:
                frames = self._stream.decode(packet)
            except av.FFmpegError:
                self._damaged += 1
                continue
            for frame in frames:
                if frame.pts is None:
                    continue
                time = seconds(frame.pts, frame.time_base)
                if self._window.end is not None and time >= self._window.end:
                    return
                frame.pts = round((time - self._window.origin) * frame.sample_rate)
                frame.time_base = Fraction(1, frame.sample_rate)
                yield frame

    def _shaped(self) -> Iterator[AudioFrame]:
        """Yield frames in the encoder's rate, format and layout, without holes, cut to the window."""
        graph: av.filter.Graph | None = None
        for frame in self._decoded():
            if graph is None:
                graph = self._graph(frame)
            graph.push(frame)
            yield from _pulled(graph)
        if graph is not None:
            graph.push(None)
            yield from _pulled(graph)

    def _graph(self, frame: AudioFrame) -> av.filter.Graph:
        context = self._out.codec_context
        graph = av.filter.Graph()
        chain = [
            graph.add_abuffer(
                sample_rate=frame.sample_rate,
                format=frame.format.name,
                layout=frame.layout.name,
                time_base=Fraction(1, frame.sample_rate),
            ),
            graph.add("aresample", f"{self._rate}:async=1:min_hard_comp=0.01:first_pts=0"),
            graph.add("aformat", f"sample_fmts={context.format.name}:channel_layouts={context.layout.name}"),
        ]
        if self._window.end is not None:
            samples = round((self._window.end - self._window.origin) * self._rate)
            chain.append(graph.add("atrim", f"end_sample={samples}"))
        chain.append(graph.add("abuffersink"))
        graph.link_nodes(*chain).configure()
        return graph


def seconds(pts: int | None, time_base: Fraction | None) -> Fraction:
    """Time of a pts that is known to be set."""
    assert pts is not None and time_base is not None
    return pts * time_base


def _pulled(graph: av.filter.Graph) -> Iterator[AudioFrame]:
    while True:
        try:
            yield cast(AudioFrame, graph.pull())
        except (av.BlockingIOError, EOFError):
            return


def with_tracks(info: VideoInfo, tracks: str) -> VideoInfo:
    """Return the clip with those of its audio streams that are asked for: all, the first or none."""
    return replace(info, audio=info.audio[: TRACKS[tracks]])


def open_track(
    source: Path, audio: AudioInfo, window: Window, output: OutputContainer, format: Format
) -> CopiedTrack | EncodedTrack:
    """Add one audio stream to an output and return what fills it.

    Packets are copied where the container takes their codec, unless the start is cut and there is no edit list to
    hide what comes before it.
    """
    is_cut = window.start is not None and window.start > audio.start
    if format.container.hides_priming or not is_cut:
        with open_input(source) as container:
            is_taken = codec_name(container.streams[audio.index]) in format.audio_copy
        if is_taken:
            return CopiedTrack(source, audio, window, output, format)
    return EncodedTrack(source, audio, window, output, format)

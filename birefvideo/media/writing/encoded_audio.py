"""Sound that is decoded, brought into one shape and encoded anew."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer

from birefvideo.frames import AudioInfo, VideoInfo
from birefvideo.media.expected import Sound
from birefvideo.media.format_table import Format
from birefvideo.media.metadata import copy_track_tags
from birefvideo.media.reading.channel_order import settled_layout
from birefvideo.media.reading.probe import codec_name
from birefvideo.media.writing.audio import JITTER, Timed, Track, Window, length_in_words, seconds
from birefvideo.media.writing.sound_steps import StepFinder
from birefvideo.media.writing.speakers import written_speakers

_LONGEST_FILL = Fraction(10)
"""Seconds of silence that the resampler may fill in; it keeps all of it in memory."""


class EncodedTrack(Track):
    """Sound decoded, cut to the sample, and encoded anew; it always runs from the output's 0, silent until it starts.

    Holes and overlaps of more than 10 ms in the source's times are filled with silence or cut, so that sound and
    picture stay together through the clip.
    """

    def __init__(
        self,
        source: VideoInfo,
        audio: AudioInfo,
        window: Window,
        output: OutputContainer,
        format: Format,
        why: str = "",
    ) -> None:
        super().__init__(source, audio, window)
        settled_layout(self._stream)
        self._rate = format.audio_rate or _nearest_rate(audio.rate, format.audio_codec)
        self._speakers = written_speakers(audio, format)
        self._notes = [f"encoded anew, since {why}"] if why else []
        self._out = cast(
            AudioStream, output.add_stream(format.audio_codec, rate=self._rate, layout=self._speakers.layout)
        )
        context: AudioCodecContext = self._out.codec_context
        context.thread_count = 1
        if audio.is_deep and "s32" in {one.name for one in context.codec.audio_formats or ()}:
            context.format = av.AudioFormat("s32")
        if format.bit_rate is not None:
            context.bit_rate = format.bit_rate * len(context.layout.channels)
        copy_track_tags(self._stream, self._out, format)
        self._reached = 0
        self._filled = self._overlapping = Fraction(0)

    def _packets(self) -> Iterator[Timed]:
        for frame in self._shaped():
            start = seconds(frame.pts, frame.time_base)
            self._hear(start, start + Fraction(frame.samples, self._rate))
            yield from self._encoded(frame)
        if self._heard is not None:
            yield from self._encoded(None)

    def sound(self) -> Sound:
        """Return what was written, once the packets are used up."""
        context = self._out.codec_context
        notes = [*self._notes, *filter(None, [self._speakers.note])]
        if self._filled:
            notes.append(f"{length_in_words(self._filled)} of holes filled with silence")
        if self._overlapping:
            notes.append(f"{length_in_words(self._overlapping)} of overlaps cut")
        grain = Fraction(context.frame_size or 1024, self._rate)
        return self._sound(codec_name(self._out), False, context.layout.nb_channels, grain, notes, self._overlapping)

    def _encoded(self, frame: AudioFrame | None) -> Iterator[Timed]:
        for packet in self._out.encode(frame):
            yield seconds(packet.pts, packet.time_base), packet

    def _decoded(self) -> Iterator[AudioFrame]:
        """Yield the frames of the window, timed on the output's clock in the source's samples."""
        expected: Fraction | None = None
        for packet in self._read():
            for frame in self._decode(packet):
                own = None if frame.pts is None else seconds(frame.pts, frame.time_base)
                time = own if own is not None else expected if expected is not None else self.audio.start
                if self._window.end is not None and time >= self._window.end:
                    return
                if expected is not None and time >= (self._window.start or time):
                    self._filled += time - expected if time - expected > JITTER else 0
                    self._overlapping += expected - time if expected - time > JITTER else 0
                expected = time + Fraction(frame.samples, frame.sample_rate)
                frame.pts = round((time - self._window.origin) * frame.sample_rate)
                frame.time_base = Fraction(1, frame.sample_rate)
                yield frame

    def _shaped(self) -> Iterator[AudioFrame]:
        """Yield frames in the encoder's rate, format and layout, without holes, cut to the window.

        What the resampler cannot take in its stride starts another one where the last one ended: frames of another
        kind, and long holes.
        """
        graph: av.filter.Graph | None = None
        kind: tuple[object, ...] = ()
        steps = StepFinder()
        expected = Fraction(0)
        for frame in self._decoded():
            time = seconds(frame.pts, frame.time_base)
            length = Fraction(frame.samples, frame.sample_rate)
            has_stepped, is_late = steps.add(time, length), time - expected > _LONGEST_FILL
            if graph is not None and (has_stepped or is_late or kind != _kind(frame)):
                if kind != _kind(frame):
                    self._notes.append(f"its kind changes at {length_in_words(time)}")
                yield from self._drained(graph)
                graph = None
            if has_stepped or is_late:
                yield from self._silence(time)
            if graph is None:
                graph, kind = self._graph(frame), _kind(frame)
            expected = time + length
            graph.push(frame)
            yield from self._pulled(graph)
        if graph is not None:
            yield from self._drained(graph)

    def _drained(self, graph: av.filter.Graph) -> Iterator[AudioFrame]:
        graph.push(None)
        yield from self._pulled(graph)

    def _pulled(self, graph: av.filter.Graph) -> Iterator[AudioFrame]:
        while True:
            try:
                frame = cast(AudioFrame, graph.pull())
            except (av.BlockingIOError, EOFError):
                return
            self._reached = round(seconds(frame.pts, frame.time_base) * self._rate) + frame.samples
            yield frame

    def _silence(self, until: Fraction) -> Iterator[AudioFrame]:
        """Yield silence from what was reached to a time, if that lies ahead."""
        context = self._out.codec_context
        end = round(until * self._rate)
        if self._reached >= end:
            return
        graph, layout = av.filter.Graph(), context.layout.name
        graph.link_nodes(
            graph.add("anullsrc", f"channel_layout={layout}:sample_rate={self._rate}"),
            graph.add("atrim", f"end_sample={end - self._reached}"),
            graph.add("aformat", f"sample_fmts={context.format.name}:channel_layouts={layout}"),
            graph.add("asetpts", f"N+{self._reached}"),
            graph.add("abuffersink"),
        ).configure()
        yield from self._pulled(graph)

    def _graph(self, frame: AudioFrame) -> av.filter.Graph:
        context = self._out.codec_context
        graph = av.filter.Graph()
        first = round(Fraction(self._reached * frame.sample_rate, self._rate))  # aresample counts it in its input's
        chain = [
            graph.add_abuffer(
                sample_rate=frame.sample_rate,
                format=frame.format.name,
                layout=frame.layout.name,
                time_base=Fraction(1, frame.sample_rate),
            ),
            # What a graph before has reached is not said again, be it less than aresample cares for.
            *([graph.add("atrim", f"start_pts={first}")] if first else []),
            *(graph.add(name, text) for name, text in self._speakers.filters(frame.layout.nb_channels)),
            graph.add("aresample", f"{self._rate}:async=1:min_hard_comp=0.01:first_pts={first}"),
            graph.add("aformat", f"sample_fmts={context.format.name}:channel_layouts={context.layout.name}"),
        ]
        if self._window.end is not None:
            samples = round((self._window.end - self._window.origin) * self._rate)
            chain.append(graph.add("atrim", f"end_sample={samples}"))
        chain.append(graph.add("abuffersink"))
        graph.link_nodes(*chain).configure()
        return graph


def _kind(frame: AudioFrame) -> tuple[object, ...]:
    return frame.sample_rate, frame.format.name, frame.layout.name


def _nearest_rate(rate: int, encoder: str) -> int:
    """Return the lowest sample rate of an encoder that loses nothing, or else its highest."""
    known = av.Codec(encoder, "w").audio_rates or [rate]
    return min((one for one in known if one >= rate), default=max(known))

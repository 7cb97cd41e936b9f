"""Joining a job's parts into the finished file: pictures and sound by packet, nothing decoded but foreign audio."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from birefvideo.errors import OutputError
from birefvideo.frames import Span, VideoInfo
from birefvideo.media.expected import Sound
from birefvideo.media.format_table import Format
from birefvideo.media.metadata import Metadata
from birefvideo.media.notes import Note
from birefvideo.media.output_format import output_aspect
from birefvideo.media.writing.audio import CopyError, SoundError, Timed, Track, Window, reason_of, seconds
from birefvideo.media.writing.copied_audio import CopiedTrack
from birefvideo.media.writing.join_animation import join_pictures
from birefvideo.media.writing.muxing import finished, movie_options, open_output, output_clock
from birefvideo.media.writing.open_audio import open_tracks
from birefvideo.media.writing.sequence_folder import join_folders
from birefvideo.media.writing.still_file import join_still

_REFUSALS = (av.InvalidDataError, av.ArgumentError, av.PatchWelcomeError)
"""What a muxer says of a packet that it cannot parse, such as damaged AAC of a transport stream; no disk says so."""


@dataclass(frozen=True)
class JoinReport:
    """What a join wrote."""

    frames: int
    """Number of pictures."""
    origin: Fraction
    """The source's time, in seconds, that became the output's 0."""
    sounds: tuple[Sound, ...]
    """The audio streams, in order."""
    notes: tuple[Note, ...]
    """What was wrong with the source's audio, or is not in the output."""
    coverage: tuple[float, ...] = ()
    """Mean alpha of every picture, 0 to 1, where it is not the matte's own: scaled, or of one bit."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """The notes as lines."""
        return tuple(note.line for note in self.notes)


def join(
    parts: Sequence[Path],
    output: Path,
    format: Format,
    source: VideoInfo,
    span: Span,
    metadata: Metadata = Metadata(),  # noqa: B008 - frozen
) -> JoinReport:
    """Copy the packets of `parts`, in order, into `output` and put the source's sound beside them.

    The output starts as the source does: its 0 is the first picture or sound of the source, whichever is earlier, and
    with a trimmed start the first picture. What lies before the container's own 0 is the priming of an audio codec.
    A sequence of pictures, and an animation, has no sound and starts with its first picture.
    Sound that cannot be copied is encoded anew. A damaged or unreadable audio stream is warned of and does not end the
    job: if need be it is left out.

    Args:
        parts: what `open_writer` wrote, one a segment.
        output: where to write; an existing file is replaced.
        format: the parts' and the output's format.
        source: the clip that the parts came from.
        span: the stretch of the clip that the job covers; sound is cut to it.
        metadata: descriptions, time code and chapters that go along.

    Raises:
        OutputError: there are no parts, a part is damaged or was made with other settings, or `output` cannot be
            written.
    """
    if not parts:
        raise OutputError(f"{output.name} would have no pictures: choose a span that holds a frame")
    if format.is_sequence:
        count, origin = join_folders(parts, output, format, source, metadata)
        return JoinReport(count, origin, (), _silence(format, source))
    if format.is_still:
        origin, lost_profile = join_still(parts, output, format, source)
        return JoinReport(1, origin, (), tuple(map(Note, filter(None, [lost_profile]))))
    if format.is_animation:
        made = join_pictures(parts, output, format, source)
        return JoinReport(made.frames, made.origin, (), _silence(format, source), made.coverage)
    encoded: dict[int, str] = {}
    lost: list[Note] = []
    while True:
        try:
            report = _join(parts, output, format, source, span, metadata, encoded)
        except CopyError as error:
            encoded[error.index] = error.reason
        except SoundError as error:
            lost.append(error.note)
            source = replace(source, audio=tuple(audio for audio in source.audio if audio.index != error.index))
        except (av.FFmpegError, OSError) as error:
            raise OutputError(f"cannot write {output}: {error.strerror or error}") from error
        else:
            return replace(report, notes=(*lost, *report.notes))


def _silence(format: Format, source: VideoInfo) -> tuple[Note, ...]:
    return (Note("no sound", (f"{format.name} cannot hold any",)),) if source.audio else ()


def _join(
    parts: Sequence[Path],
    output: Path,
    format: Format,
    source: VideoInfo,
    span: Span,
    metadata: Metadata,
    encoded: Mapping[int, str],
) -> JoinReport:
    with ExitStack() as stack:
        first = stack.enter_context(_opened_part(parts[0]))
        window = _window(first, source, span)
        container = stack.enter_context(finished(_opened_output(output, format, source, metadata), output))
        pictures = _Pictures(parts, first, container, format, source, window)
        metadata.describe(container, format, pictures.stream, window.origin, _first_time(first, source), window.end)
        tracks, notes = open_tracks(stack, container, format, source, window, encoded)
        for _, rank, packet in _interleaved(pictures, tracks):
            _mux(container, packet, tracks[rank - 1] if rank else None)
    sounds = tuple(track.sound() for track in tracks)
    notes += filter(None, [sound.note for sound in sounds])
    return JoinReport(pictures.count, window.origin, sounds, tuple(notes))


def _mux(container: OutputContainer, packet: Packet[Any], track: Track | None) -> None:
    try:
        container.mux(packet)
    except _REFUSALS as error:
        if track is None:
            raise
        if isinstance(track, CopiedTrack):
            raise CopyError(track.audio, f"the container refuses its packets ({reason_of(error)})") from error
        raise SoundError(track.audio, error) from error


class _Pictures:
    """The video packets of all parts, stamped for the output."""

    def __init__(
        self,
        parts: Sequence[Path],
        first: InputContainer,
        container: OutputContainer,
        format: Format,
        source: VideoInfo,
        window: Window,
    ) -> None:
        self.count = 0
        self._parts, self._format = parts, format
        self._time_base = output_clock(source)
        self._shift = source.start * source.time_base - window.origin
        template = first.streams.video[0]
        self._extradata = template.codec_context.extradata
        self.stream = container.add_stream_from_template(template)
        self.stream.time_base = self._time_base
        self.stream.codec_context.sample_aspect_ratio = output_aspect(format, source)
        if format.codec_tag is not None:
            self.stream.codec_context.codec_tag = format.codec_tag
        if format.compressor is not None:
            self.stream.metadata["encoder"] = format.compressor
        if format.tags_alpha:
            self.stream.metadata["alpha_mode"] = "1"

    def packets(self) -> Iterator[Timed]:
        """Yield (time on the output's clock, packet for the output) in order of time."""
        for path in self._parts:
            with _opened_part(path) as part:
                yield from self._of_part(part, path)

    def _of_part(self, part: InputContainer, path: Path) -> Iterator[Timed]:
        stream = part.streams.video[0]
        if stream.codec_context.extradata != self._extradata:
            raise OutputError(
                f"{path} was encoded with other settings than the parts before it: remove it and run again"
            )
        end = _end_of(part, self._format)
        held: Timed | None = None
        for packet in part.demux(stream):
            if packet.pts is None:
                continue
            time = seconds(packet.pts, stream.time_base)
            if held is not None:
                yield self._stamped(*held, time)
            held = (time, packet)
        if held is None:
            raise OutputError(f"{path} holds no pictures: remove it and run again")
        yield self._stamped(*held, end)

    def _stamped(self, time: Fraction, packet: Packet[Any], following: Fraction) -> Timed:
        """Give a packet its time and its length up to the following one's."""
        self.count += 1
        moved = time + self._shift
        packet.stream = self.stream
        packet.pts = packet.dts = round(moved / self._time_base)
        packet.duration = max(0, round((following - time) / self._time_base))
        packet.time_base = self._time_base
        return moved, packet


def _window(first: InputContainer, source: VideoInfo, span: Span) -> Window:
    """Return the stretch of the source that the output shows, and which of its moments is the output's 0."""
    begin = _first_time(first, source)
    end = None if span.end is None else span.end * source.time_base
    if span.start is not None and span.start > source.start:
        return Window(origin=begin, start=begin, end=end)
    return Window(origin=beginning(source, begin), start=None, end=end)


def beginning(source: VideoInfo, first: Fraction) -> Fraction:
    """Return the moment of a clip that players take for its 0: its first picture or sound, in seconds on its clock.

    What lies before the container's own 0 is the priming of an audio codec, and is not shown.

    Args:
        source: the clip, with the sound that counts.
        first: when its first picture is shown.
    """
    origin = min([first, *(audio.start for audio in source.audio)])
    return max(origin, min(first, Fraction(0)))


def _first_time(first: InputContainer, source: VideoInfo) -> Fraction:
    """Return the source's time, in seconds, of the first picture: a part's clock begins with the source's."""
    stream = first.streams.video[0]
    return source.start * source.time_base + (stream.start_time or 0) * (stream.time_base or source.time_base)


def _interleaved(pictures: _Pictures, tracks: Sequence[Track]) -> Iterator[tuple[Fraction, int, Packet[Any]]]:
    """Merge pictures and sounds by time, holding one packet of each."""
    flows = [pictures.packets(), *(track.packets() for track in tracks)]
    ranked = (_ranked(flow, rank) for rank, flow in enumerate(flows))
    return heapq.merge(*ranked, key=lambda item: item[:2])


def _ranked(flow: Iterator[Timed], rank: int) -> Iterator[tuple[Fraction, int, Packet[Any]]]:
    for time, packet in flow:
        yield time, rank, packet


def _opened_part(path: Path) -> InputContainer:
    try:
        container = av.open(f"file:{path}")
        if container.streams.video:
            return container
    except (av.FFmpegError, OSError) as error:
        raise OutputError(f"{path} is damaged: remove it and run again") from error
    container.close()
    raise OutputError(f"{path} holds no pictures: remove it and run again")


def _opened_output(path: Path, format: Format, source: VideoInfo, metadata: Metadata) -> OutputContainer:
    options = {
        **movie_options(format, source),
        **format.container_options,
        **metadata.muxer_options(format, output_clock(source)),
        # Packets come in order, so there is nothing for the muxer to hold back: by default it keeps up to ten seconds
        # of pictures in memory where one stream has ended before the others.
        "max_interleave_delta": "1",
    }
    return open_output(path, format, options)


def _end_of(part: InputContainer, format: Format) -> Fraction:
    """Return the end of a part's last picture, in seconds on the part's clock.

    mov and mp4 keep the last packet's length, so that their duration is from the start; Matroska's is from 0.
    """
    stream = part.streams.video[0]
    if format.container.keeps_last_length and stream.duration is not None and stream.time_base is not None:
        return ((stream.start_time or 0) + stream.duration) * stream.time_base  # the container's is cut to 1 µs
    duration = Fraction(part.duration or 0, av.time_base)
    return Fraction(part.start_time or 0, av.time_base) + duration if format.container.keeps_last_length else duration

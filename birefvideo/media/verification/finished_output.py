"""A finished output as it lies on the disk, file or folder: what its head says, its pictures and their times."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from birefvideo.errors import InputError
from birefvideo.media.animation_containers import read_webp
from birefvideo.media.format_table import Format
from birefvideo.media.reading.alpha import alpha_mode, decoder_with_alpha
from birefvideo.media.reading.channel_order import channel_count, settled_layout
from birefvideo.media.reading.open_input import first_pictures, open_input
from birefvideo.media.reading.packets import Scan, decode_packets, scan_packets
from birefvideo.media.reading.probe import codec_name
from birefvideo.media.reading.tagged_end import tagged_end
from birefvideo.media.sequence_json import SIDECAR, read_sidecar
from birefvideo.media.verification.picture_damage import check_picture

_SOUND_BEYOND = Fraction(1, 10)  # seconds that sound may go on after the pictures: a packet, and padding


@dataclass(frozen=True)
class FinishedSound:
    """One audio stream, as its packets say."""

    index: int
    """Index of the stream in the file."""
    codec: str
    """FFmpeg's name of the codec."""
    start: Fraction
    """Where the first packet begins, in seconds; what a decoder needs before the first sample heard lies before 0."""
    end: Fraction
    """Where the last packet ends."""
    channels: int
    """Number of channels."""


@dataclass(frozen=True)
class FinishedOutput:
    """What is known of an output before a picture is decoded."""

    path: Path
    """The file, or the folder of pictures."""
    format: Format
    """What it is taken for."""
    times: tuple[Fraction, ...]
    """When the pictures begin, in seconds, in order."""
    end: Fraction
    """When the last one ends."""
    tick: Fraction
    """Seconds that its clock counts in."""
    size: tuple[int, int]
    """Width and height in pixels."""
    aspect: Fraction
    """Width to height of one pixel."""
    tags: tuple[int, int]
    """Primaries and transfer function as the container says (ITU-T H.273)."""
    sounds: tuple[FinishedSound, ...]
    """The audio streams, in order."""
    codec: str
    """FFmpeg's name of the codec."""
    end_slack: Fraction = Fraction(0)
    """How far `end` may be off: Matroska may say only when all is over, sound and its padding too."""
    codec_tag: str = ""
    """Its tag in the container."""
    alpha_mode: str = ""
    """What Matroska says of alpha."""
    names: tuple[str, ...] = ()
    """File names of a folder's pictures, in order."""

    def pictures(self) -> Generator[av.VideoFrame, None, None]:
        """Decode every picture, in order.

        Raises:
            FFmpegError: one cannot be decoded.
            InputError: a file of the folder is missing or damaged, or a picture of an animated WebP is damaged.
        """
        if self.format.is_sequence:
            for name in self.names:
                check_picture(self.path / name)
                with open_input(self.path / name) as container:
                    yield from container.decode(video=0)
            return
        if self.format.container.is_read_by_us:
            yield from read_webp(self.path).pictures()
            return
        if self.format.is_still:
            check_picture(self.path)
        with open_input(self.path) as container:
            stream = first_pictures(container, self.path)
            decoder = _decoder(stream, self.format)
            yield from decode_packets(container.demux(stream), decoder)

    def pictures_at(self, indices: Iterable[int]) -> Generator[tuple[int, av.VideoFrame | None], None, None]:
        """Decode some pictures of a file or a folder, each from the key frame before it.

        Yields (index, picture), or None for a picture that does not show.

        Raises:
            FFmpegError: one cannot be decoded.
            InputError: a file of the folder is missing.
        """
        if self.format.is_sequence:
            for index in indices:
                with open_input(self.path / self.names[index]) as container:
                    yield index, next(container.decode(video=0), None)
            return
        if len(set(self.times)) < len(self.times):  # the clock is too coarse to find a picture by its time
            wanted = tuple(indices)
            found = {index: picture for index, picture in enumerate(self.pictures()) if index in wanted}
            yield from ((index, found.get(index)) for index in wanted)
            return
        with open_input(self.path) as container:
            stream = first_pictures(container, self.path)
            for index in indices:
                target = round(self.times[index] / self.tick)
                container.seek(target, stream=stream)
                decoder = _decoder(stream, self.format)
                decoder.flush_buffers()
                pictures = decode_packets(container.demux(stream), decoder)
                yield index, next((one for one in pictures if one.pts is not None and one.pts >= target), None)


def read_finished_output(path: Path, format: Format) -> FinishedOutput:
    """Read what an output is, and every packet.

    Raises:
        InputError: it is not there, cannot be read, or has another number of video streams than one.
        FFmpegError: it is damaged.
    """
    if format.is_sequence:
        return _read_folder(path, format)
    if format.container.is_read_by_us:
        return _read_webp(path, format)
    with open_input(path) as container:
        if len(container.streams.video) != 1:
            raise InputError(f"{len(container.streams.video)} video streams instead of 1")
        stream = first_pictures(container, path)
        context = stream.codec_context
        scan = scan_packets(container.demux(), stream)
        end, is_exact = _end_of(scan, container, stream)
        tick = stream.time_base or Fraction(1, 1000)
        return FinishedOutput(
            path=path,
            format=format,
            times=tuple(pts * tick for pts, _ in scan.pictures),
            end=end,
            tick=tick,
            size=(context.width, context.height),
            aspect=stream.sample_aspect_ratio or Fraction(1),
            tags=(context.color_primaries, context.color_trc),
            sounds=tuple(
                FinishedSound(
                    audio.index,
                    codec_name(audio),
                    *scan.sounds.get(audio.index, (Fraction(0), Fraction(0))),
                    channel_count(settled_layout(audio)),
                )
                for audio in container.streams.audio
            ),
            codec=codec_name(stream),
            end_slack=Fraction(0) if is_exact or not container.streams.audio else _SOUND_BEYOND,
            codec_tag=context.codec_tag,
            alpha_mode=alpha_mode(stream),
        )


def _end_of(scan: Scan, container: InputContainer, stream: VideoStream) -> tuple[Fraction, bool]:
    """Return when the last picture ends, and whether that is said of the picture itself."""
    if not scan.pictures:
        return Fraction(0), True
    # Matroska mostly leaves out how long a picture is shown, and FFmpeg then guesses a packet's duration: a tag says
    # when the track ends, or else the head when all is.
    tagged = tagged_end(stream)
    if tagged is not None:
        return tagged, True
    last, duration = scan.pictures[-1]
    if duration:
        return (last + duration) * (stream.time_base or Fraction(1, 1000)), True
    return Fraction(container.duration or 0, av.time_base), False


def _read_folder(path: Path, format: Format) -> FinishedOutput:
    try:
        sidecar = read_sidecar(path)
        if sidecar.pts and not sidecar.names:
            raise ValueError("it is a part's")
    except ValueError as error:
        raise InputError(f"{path.name} has no readable {SIDECAR}: name a folder that birefvideo wrote") from error
    size, codec, tags = (0, 0), "", (0, 0)
    if sidecar.names:
        with open_input(path / sidecar.names[0]) as container:
            stream = first_pictures(container, path / sidecar.names[0])
            context = stream.codec_context
            size, codec = (context.width, context.height), codec_name(stream)
            tags = (context.color_primaries, context.color_trc)
    aspect = sidecar.sample_aspect_ratio
    return FinishedOutput(
        path, format, sidecar.times, sidecar.end, sidecar.time_base, size, aspect, tags, (), codec, names=sidecar.names
    )


def _read_webp(path: Path, format: Format) -> FinishedOutput:
    webp = read_webp(path)
    *times, end = webp.times
    return FinishedOutput(
        path, format, tuple(times), end, Fraction(1, 1000), webp.size, Fraction(1), (0, 0), (), format.written_codec
    )


def _decoder(stream: VideoStream, format: Format) -> VideoCodecContext:
    decoder = decoder_with_alpha(stream) if format.has_alpha else stream.codec_context
    if decoder is stream.codec_context and not decoder.is_open:
        decoder.thread_type, decoder.thread_count = "SLICE", 0  # by frame, closing early can hang
    return decoder

"""Which way each of the source's audio streams takes into an output."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing
from io import BytesIO

import av
from av.container import OutputContainer

from birefvideo.errors import BirefvideoError
from birefvideo.frames import AudioInfo, VideoInfo
from birefvideo.media.format_table import Format
from birefvideo.media.notes import Note
from birefvideo.media.reading.open_input import open_input
from birefvideo.media.reading.probe import codec_name
from birefvideo.media.writing.audio import SoundError, Track, Window
from birefvideo.media.writing.copied_audio import OVERHANG, CopiedTrack
from birefvideo.media.writing.encoded_audio import EncodedTrack

_PLAIN = frozenset({"mono", "stereo", "5.1", "5.1(side)", "7.1"})
"""Layouts that players assume of so many channels."""


def open_tracks(
    stack: ExitStack,
    container: OutputContainer,
    format: Format,
    source: VideoInfo,
    window: Window,
    encoded: Mapping[int, str],
) -> tuple[list[Track], list[Note]]:
    """Add the audio streams to an output; return what fills them, and a note on each that has to be left out.

    One of an unknown codec beside others is told; where nothing else can be heard, the sound is lost.

    Args:
        stack: closes them.
        container: the output.
        format: its format.
        source: the clip.
        window: what of it is wanted.
        encoded: why streams must not be copied, by index.
    """
    tracks: list[Track] = []
    is_mute = not source.audio
    notes = [
        Note(f"audio stream {index} is left out", (why,), is_loss=is_mute) for index, why in source.unreadable_audio
    ]
    for audio in source.audio:
        try:
            # Into memory first, where only the stream can be to blame for a failure.
            with (
                av.open(BytesIO(), "w", format=format.container.muxer) as trial,
                closing(_open_track(source, audio, window, trial, format, encoded)),
            ):
                trial.start_encoding()
            track = _open_track(source, audio, window, container, format, encoded)
        except (BirefvideoError, av.FFmpegError, ValueError) as error:
            notes.append(SoundError(audio, error).note)
            continue
        stack.callback(track.close)
        tracks.append(track)
    return tracks, notes


def _open_track(
    source: VideoInfo,
    audio: AudioInfo,
    window: Window,
    output: OutputContainer,
    format: Format,
    encoded: Mapping[int, str],
) -> Track:
    """Add one audio stream to an output: copied where the container takes its codec and copying cuts well enough.

    A cut at the start needs an edit list that hides what comes before it. A cut at the end is to the sample, unless
    that would cost quality and the codec's packets are short.
    """
    is_open = audio.index not in encoded
    if is_open and (format.container.hides_priming or not _is_cut_at_start(audio, window)):
        with open_input(source.path) as container:
            stream = container.streams.audio[[one.index for one in container.streams.audio].index(audio.index)]
            codec, context = codec_name(stream), stream.codec_context
            is_pcm = codec.startswith("pcm_")
            is_exact = is_pcm or not (context.codec.lossless or _is_long(context.frame_size, audio))
        is_placed = format.container.has_speakers or not is_pcm or _is_plain(audio)
        if codec in format.audio_copy and is_placed and (is_exact or not _is_cut_at_end(audio, window)):
            return CopiedTrack(source, audio, window, output, format)
    return EncodedTrack(source, audio, window, output, format, encoded.get(audio.index, ""))


def _is_plain(audio: AudioInfo) -> bool:
    """Return whether the number of channels says where they belong, or nothing does; or they are too many for FLAC."""
    return audio.layout in _PLAIN or audio.layout == f"{audio.channels} channels" or audio.channels > 8


def _is_long(samples: int, audio: AudioInfo) -> bool:
    return samples > OVERHANG * audio.rate


def _is_cut_at_start(audio: AudioInfo, window: Window) -> bool:
    return window.start is not None and window.start > audio.start


def _is_cut_at_end(audio: AudioInfo, window: Window) -> bool:
    return window.end is not None and (audio.duration is None or audio.start + audio.duration > window.end)

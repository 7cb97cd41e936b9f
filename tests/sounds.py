"""Clips whose sound is known to the sample, and where in an output it is heard."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias, cast

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from clips import write_clip
from numpy.typing import NDArray

from birefvideo.media.reading.channel_order import settled_layout

Sound = NDArray[np.float32]
"""Samples, (channels, count), in [-1, 1]."""
Packets: TypeAlias = "list[Packet[Any]]"

RATE = 48000


def noise(seconds: float, layout: str = "mono", rate: int = RATE, seed: int = 1) -> Sound:
    """Noise below 2 kHz, of which every channel and every moment is another one."""
    count = av.AudioLayout(layout).nb_channels
    base = np.random.default_rng(seed).normal(size=(count, round(seconds * 4000) + 9))
    moments = np.arange(round(seconds * rate)) / rate * 4000
    return np.stack([0.15 * np.interp(moments, np.arange(base.shape[1]), row) for row in base]).astype(np.float32)


def write_sound_clip(
    path: Path,
    codec: str,
    *,
    layout: str = "mono",
    rate: int = RATE,
    seconds: float = 2,
    frames: int = 48,
    edit: Callable[[Packets], Packets] = lambda packets: packets,
    block: int = 1024,
    starts: float = 0,
    seed: int = 1,
    tracks: int = 1,
) -> Path:
    """Write pictures of 24 a second and `noise` beside them, from `starts` on; `edit` may change its packets."""
    silent = write_clip(
        path.with_name(f"silent{frames}.mp4"), size=(32, 32), frames=frames, audio_tracks=0, options={"bf": "0"}
    )
    options = {"mpegts_copyts": "1", "output_ts_offset": str(starts)} if path.suffix == ".ts" else {}
    begin = 0 if options else round(starts * rate)
    with av.open(str(silent)) as source, av.open(str(path), "w", container_options=options) as out:
        video = out.add_stream_from_template(source.streams.video[0])
        packets: Packets = []
        for track in range(tracks):
            stream = cast(av.AudioStream, out.add_stream(codec, rate=rate, layout=layout))
            stream.codec_context.open()
            packets += edit(_encoded(stream, noise(seconds, layout, rate, seed + track), begin, layout, block))
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = video
                packets.append(packet)
        for packet in sorted(packets, key=lambda packet: cast(int, packet.dts) * packet.time_base):
            out.mux(packet)
    return path


def _encoded(stream: av.AudioStream, sound: Sound, begin: int, layout: str, block: int) -> Packets:
    context = stream.codec_context
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.T.reshape(1, -1)), "flt", layout)
    frame.sample_rate, frame.pts, frame.time_base = context.sample_rate, begin, Fraction(1, context.sample_rate)
    resampler = av.AudioResampler(context.format, layout, context.sample_rate, frame_size=context.frame_size or block)
    return [p for f in [*resampler.resample(frame), *resampler.resample(None), None] for p in stream.encode(f)]


def joined(path: Path, *parts: Path) -> Path:
    """Transport streams one after another in one file."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def set_edits(path: Path, edits: Sequence[tuple[float, float]], *, kind: bytes = b"soun", rate: int = RATE) -> None:
    """Give the sound, or `kind`, of an mp4, whose index is last, an edit list.

    Its entries are (seconds, from which second on; -1 is silence); `rate` is the track's ticks a second.
    """
    data = bytearray(path.read_bytes())
    moov, end = next((start, end) for name, start, end in _boxes(data, 0, len(data)) if name == b"moov")
    assert end == len(data)
    scale = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
    trak, until = next((s, e) for k, s, e in _boxes(data, moov + 8, end) if k == b"trak" and kind in data[s:e])
    entries = [struct.pack(">IiI", round(s * scale), -1 if m < 0 else round(m * rate), 1 << 16) for s, m in edits]
    elst = struct.pack(">I4sII", 16 + 12 * len(edits), b"elst", 0, len(edits)) + b"".join(entries)
    children = {name: (start, stop) for name, start, stop in _boxes(data, trak + 8, until)}
    start, stop = children.get(b"edts", (children[b"tkhd"][1],) * 2)
    data[start:stop] = struct.pack(">I4s", len(elst) + 8, b"edts") + elst
    for box in (trak, moov):
        (size,) = struct.unpack_from(">I", data, box)
        struct.pack_into(">I", data, box, size + len(elst) + 8 - (stop - start))
    path.write_bytes(data)


def set_speakers(path: Path, tag: int) -> None:
    """Say of the PCM of a QuickTime film in which order its channels are, by the number of Apple's layout tag."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        count = container.streams.audio[0].codec_context.channels
    struct.pack_into(">III", data, data.index(b"chan") + 8, tag << 16 | count, 0, 0)
    path.write_bytes(data)


def _boxes(data: bytes | bytearray, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        yield kind, start, start + size
        start += size


def heard(path: Path, track: int = 0) -> Sound:
    """What a player that goes by the clock plays from the file's 0 on; of an overlap, the earlier sound."""
    runs: list[tuple[int, Sound]] = []
    with av.open(str(path)) as container:
        for frame in _decoded(container, track):
            assert frame.pts is not None and frame.time_base is not None
            runs.append((round(frame.pts * frame.time_base * frame.sample_rate), _plain(frame)))
            rate = frame.sample_rate
    sound = np.zeros((runs[0][1].shape[0], sum(len(run[0]) for _, run in runs) + max(at for at, _ in runs)), np.float32)
    reached = 0
    for at, run in runs:
        at = reached if reached and abs(at - reached) < rate // 500 else at  # a clock of milliseconds
        new = run[:, max(0, reached - at) :] if at < reached else run
        at = max(at, reached)
        new, at = (new[:, -at:], 0) if at < 0 else (new, at)
        sound[:, at : at + new.shape[1]] = new
        reached = max(reached, at + new.shape[1])
    return sound[:, :reached]


def _decoded(container: InputContainer, track: int) -> Iterator[av.AudioFrame]:
    """The frames of a track, but for those of damaged packets."""
    settled_layout(container.streams.audio[track])
    for packet in container.demux(audio=track):
        with suppress(av.FFmpegError):
            yield from packet.decode()


def _plain(frame: av.AudioFrame) -> Sound:
    """A frame's samples; by way of interleaved ones, since PyAV's planes of eight and more channels end in a fault."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(
        sample_rate=frame.sample_rate, format=frame.format.name, layout=frame.layout.name, time_base=frame.time_base
    )
    graph.link_nodes(source, graph.add("aformat", "sample_fmts=flt"), graph.add("abuffersink")).configure()
    graph.push(frame)
    packed = cast(av.AudioFrame, graph.pull())
    return np.ascontiguousarray(packed.to_ndarray().reshape(-1, packed.layout.nb_channels).T)


def late_by(sound: Sound, wanted: Sound, at: float, moment: float, channel: int = 0, rate: int = RATE) -> float:
    """Milliseconds by which `wanted` from `moment` on is later than `at` in one channel of `sound`; 999 if nowhere."""
    length, reach = rate // 5, rate // 20
    part = wanted[0, round(moment * rate) :][:length]
    first = round(at * rate) - reach
    around = np.pad(sound[channel, max(0, first) : first + length + 2 * reach], (max(0, -first), 0))
    around = np.pad(around, (0, length + 2 * reach - len(around)))
    products = np.correlate(around, part, "valid")
    energy = np.convolve(around**2, np.ones(length), "valid") * (part**2).sum()
    likeness = products / np.sqrt(np.maximum(energy, 1e-9))
    best = int(np.argmax(likeness))
    return (best - reach) / rate * 1000 if likeness[best] > 0.8 else 999

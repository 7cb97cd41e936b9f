"""Whether two files sound alike at the same moments, to a fraction of a millisecond."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from birefvideo.media.reading.channel_order import settled_layout
from birefvideo.media.reading.open_input import open_input
from birefvideo.media.reading.packets import demuxed
from birefvideo.timeline import Timeline

RATE = 8000
"""Samples a second that sounds are compared at: 1/8 ms each, and an hour in 58 MB."""
REACH = Fraction(1, 4)
"""Seconds that a sound is looked for before and after its place."""

_WINDOWS = 9
_WINDOW_SECONDS = Fraction(1)
_SILENCE = 1e-3
"""Standard deviation, of 1 at full scale, under which a window holds nothing to find."""
_LOUD = 0.01
"""Standard deviation from which on a window is heard, even if a codec coded it badly."""
_JITTER = RATE // 100
"""Samples that a frame may be off its place: the rounding of a container's clock."""
_MOST_SILENCE = 12 * 3600 * RATE
"""Samples of holes that are worth filling: a gigabyte."""
_FINER = 8
"""Places that are tried in a sample."""
_LEAST_ENERGY = 0.05
"""Share of the energy looked for that a place has at least, for its likeness: a coder may make a sound quieter."""
_TIE = 0.005
"""Correlation that a nearer place may lack: a steady tone fits at every period."""
_ALIKE = 0.5
"""Correlation from which on two sounds are the same one, coded twice."""

Samples = NDArray[np.int16]
"""Mono sound at RATE."""


@dataclass(frozen=True)
class MonoAudio:
    """A whole audio stream as a player lets it be heard."""

    start: Fraction
    """Time of the first sample, in seconds on the file's clock."""
    samples: Samples
    """The sound."""
    covered: Fraction = Fraction(0)
    """Seconds that the decoder gave for moments that had their sound already, and that no one hears."""

    @property
    def end(self) -> Fraction:
        """Time after the last sample."""
        return self.start + Fraction(len(self.samples), RATE)

    def until(self, time: Fraction) -> MonoAudio:
        """Return what is heard before a time, in seconds."""
        return replace(self, samples=self.samples[: max(0, round((time - self.start) * RATE))])


@dataclass(frozen=True)
class Offset:
    """How far one sound lies after another."""

    windows: int
    """Stretches compared; 0 where all are silent."""
    worst: Fraction
    """Largest distance, in seconds."""
    different: int
    """Stretches that do not sound alike anywhere near."""


def read_mono_audio(
    path: Path,
    index: int,
    timeline: Timeline = Timeline(),  # noqa: B008 - frozen
    begin: Fraction = Fraction(0),
) -> MonoAudio | None:
    """Decode stream `index` of a file, or return None where nothing of it can be heard.

    Every frame is where the file's clock, made one by `timeline`, has it: holes are silence, and of an overlap the
    earlier sound is heard. What lies behind a hole of many hours is left out, and so is what lies before `begin`.
    """
    start: Fraction | None = None
    blocks: list[Samples] = []
    length = covered = silence = 0
    is_covered = False
    with open_input(path) as container:
        for time, block in _blocks(container, index, timeline):
            if start is None:
                start = time
            missing = round((time - start) * RATE) - length
            if missing > _JITTER:
                silence += missing
                if silence > _MOST_SILENCE:
                    break
                blocks.append(np.zeros(missing, np.int16))
                length += missing
            elif missing < -_JITTER or (is_covered and missing < 0):
                is_covered = -missing > len(block)
                covered += min(-missing, len(block))
                block = block[-missing:]
            else:
                is_covered = False
            blocks.append(block)
            length += len(block)
    if start is None:
        return None
    samples: Samples = np.concatenate(blocks)
    if start < begin:  # what a decoder needs before the first sample heard
        samples, start = samples[round((begin - start) * RATE) :], begin
    return MonoAudio(start, samples, Fraction(covered, RATE))


def _blocks(
    container: av.container.InputContainer, index: int, timeline: Timeline
) -> Iterator[tuple[Fraction, Samples]]:
    """Yield (time, mono samples at RATE) in the order of frames, without what cannot be decoded."""
    stream: Any = container.streams[index]
    settled_layout(stream)
    resampler: av.AudioResampler | None = None
    kind: tuple[object, ...] = ()
    held = following = Fraction(0)  # seconds of sound in the resampler; when the next frame should begin
    for packet in timeline.closed(demuxed(container, stream)):
        try:
            frames: list[Any] = packet.decode()
        except av.FFmpegError:
            continue
        for frame in frames:
            begin = following if frame.pts is None else frame.pts * frame.time_base
            is_step = abs(begin - following) * RATE > _JITTER
            if resampler is None or is_step or kind != (frame.sample_rate, frame.format.name, frame.layout.name):
                if resampler is not None:  # what it still holds belongs before the step
                    yield following - held, _mono(resampler.resample(None))
                resampler, held = av.AudioResampler("s16", frame.layout.name, RATE), Fraction(0)
                kind = (frame.sample_rate, frame.format.name, frame.layout.name)
            length = Fraction(frame.samples, frame.sample_rate)
            following = begin + length
            frame.pts = None
            samples = _mono(resampler.resample(frame))
            yield begin - held, samples
            held += length - Fraction(len(samples), RATE)
    if resampler is not None:
        yield following - held, _mono(resampler.resample(None))


def _mono(frames: Iterable[av.AudioFrame]) -> Samples:
    """Return the mean of all channels, wherever their speakers are."""
    blocks = [
        np.rint(frame.to_ndarray().reshape(-1, frame.layout.nb_channels).mean(axis=1)).astype(np.int16)
        for frame in frames
    ]
    return np.concatenate([np.zeros(0, np.int16), *blocks])


def offset(source: MonoAudio, output: MonoAudio, shift: Fraction) -> Offset:
    """Measure how far an output's sound is from where the source's is, at places spread over the whole.

    A moment t of the output is t + `shift` of the source. Correlation is normalised; of places that fit as well, the
    nearest counts.
    """
    begin = max(output.start, source.start - shift, Fraction(0))
    end = min(output.end, source.end - shift)
    span = min(_WINDOW_SECONDS, (end - begin) / 2)
    if span * RATE < RATE // 50:
        return Offset(0, Fraction(0), 0)
    worst, windows, different = Fraction(0), 0, 0
    for step in range(_WINDOWS):
        time = begin + (end - begin - span) * Fraction(step, _WINDOWS - 1)
        wanted = _cut(source, time + shift, time + shift + span)
        if wanted.std() < _SILENCE:
            continue
        windows += 1
        lag, likeness = _lag(wanted, _cut(output, time - REACH, time + span + REACH))
        if likeness < _ALIKE:
            different += 1
        else:
            worst = max(worst, abs(lag / RATE - REACH))
    return Offset(windows, worst, different)


def silenced(source: MonoAudio, output: MonoAudio, shift: Fraction) -> Fraction:
    """Return for how many seconds an output is silent where its source, `shift` later, is not."""
    begin, end = max(output.start, source.start - shift, Fraction(0)), min(output.end, source.end - shift)
    size = RATE // 20
    count = max(0, int((end - begin) * RATE) // size)
    until = begin + Fraction(count * size, RATE)
    wanted = _cut(source, begin + shift, until + shift)[: count * size].reshape(count, size).std(axis=1)
    found = _cut(output, begin, until)[: count * size].reshape(count, size).std(axis=1)
    return Fraction(int(((wanted > _LOUD) & (found < _SILENCE)).sum()) * size, RATE)


def _cut(sound: MonoAudio, start: Fraction, end: Fraction) -> NDArray[np.float64]:
    """Return the sound between two times, silent where there is none."""
    first, last = round((start - sound.start) * RATE), round((end - sound.start) * RATE)
    inside = sound.samples[max(0, first) : max(0, last)] / 32768
    return np.pad(inside, (max(0, -first), max(0, last - first - len(inside) - max(0, -first))))


def _lag(wanted: NDArray[np.float64], around: NDArray[np.float64]) -> tuple[Fraction, float]:
    """Return the place in `around` where `wanted` fits best, in samples, and its correlation there.

    It is looked for between samples too: a tone that lies a part of a sample away would else fit better a period later.
    """
    wanted = wanted - wanted.mean()
    size = 1 << (len(around) + len(wanted)).bit_length()
    spectrum = np.fft.rfft(around, size) * np.conj(np.fft.rfft(wanted, size))
    places = len(around) - len(wanted) + 1
    products = np.fft.irfft(spectrum, size * _FINER)[: (places - 1) * _FINER + 1] * _FINER
    sums = np.cumsum(np.pad(around, (1, 0)))
    squares = np.cumsum(np.pad(around**2, (1, 0)))
    count = len(wanted)
    mean = (sums[count:] - sums[:-count]) / count
    energy = (squares[count:] - squares[:-count]) - count * mean**2
    energy = np.interp(np.arange(len(products)) / _FINER, np.arange(places), energy)
    own = (wanted**2).sum()
    # Beside a sound's end, where next to nothing of it is left, products between samples are not those of its energy.
    likeness = products / np.sqrt(np.maximum(energy, _LEAST_ENERGY * own) * own)
    beside = np.pad(likeness, 1, constant_values=-1)
    is_peak = (likeness >= beside[:-2]) & (likeness >= beside[2:])
    good = np.flatnonzero(is_peak & (likeness >= likeness.max() - _TIE))
    best = int(good[np.argmin(np.abs(good - len(products) // 2))])
    return Fraction(best, _FINER), float(likeness[best])

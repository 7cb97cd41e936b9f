"""Speech-like babble from formants, and its loudness, which moves the mouth."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

VOWELS = (
    (750, 1250, 2500),
    (500, 1800, 2550),
    (320, 2250, 2950),
    (480, 950, 2450),
    (340, 850, 2300),
    (560, 1450, 2450),
)
SOUND_RATE = 48000


def speak(seconds: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return speech-like babble: samples in [-1, 1] at 48 kHz, and its loudness in [0, 1] at 200 Hz.

    Harmonics of a gliding voice are weighted by three formants that move from vowel to vowel; noise stands for
    consonants.
    """
    ticks = np.arange(math.ceil(seconds * 200)) / 200
    knots: list[tuple[float, float, tuple[int, ...], float]] = []  # time, loudness, vowel, pitch
    bursts: list[float] = []
    now = 0.25
    while now < seconds - 0.5:
        syllables = int(rng.integers(4, 10))
        for i in range(syllables):
            length = rng.uniform(0.14, 0.24) * (1.4 if i == syllables - 1 else 1)
            vowel = VOWELS[int(rng.integers(len(VOWELS)))]
            pitch = 205 * (1.08 - 0.2 * i / syllables) * rng.uniform(0.94, 1.08)
            knots += [(now, 0.08, vowel, pitch), (now + 0.4 * length, rng.uniform(0.6, 1), vowel, pitch)]
            bursts += [now] if rng.uniform() < 0.6 else []
            now += length
        knots.append((now, 0.0, VOWELS[5], 165))
        now += rng.uniform(0.3, 0.5)
        knots.append((now - 0.1, 0.0, VOWELS[5], 200))
    knots = [
        (0.0, 0.0, VOWELS[5], 200),
        *(k for k in knots if k[0] < seconds - 0.35),
        (seconds - 0.2, 0.0, VOWELS[5], 170),
    ]
    at = [k[0] for k in knots]
    smooth = np.hanning(13) / np.hanning(13).sum()
    loud = np.convolve(np.interp(ticks, at, [k[1] for k in knots]), smooth, "same")
    pitches = np.interp(ticks, at, [k[3] for k in knots]) * (1 + 0.012 * np.sin(2 * math.pi * 5.2 * ticks))
    formants = [np.convolve(np.interp(ticks, at, [k[2][n] for k in knots]), smooth, "same") for n in range(3)]

    times = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    phase = 2 * math.pi * np.cumsum(np.interp(times, ticks, pitches)) / SOUND_RATE
    sound = np.zeros_like(times)
    for harmonic in range(1, 24):
        frequency = harmonic * pitches
        gain = sum(
            level / (1 + ((frequency - formant) / width) ** 2)
            for formant, level, width in zip(formants, (1.0, 0.55, 0.25), (70, 100, 150), strict=True)
        )
        sound += np.interp(times, ticks, gain * loud) * np.sin(harmonic * phase) / harmonic**0.4
    noise = np.diff(rng.normal(0, 1, times.size), prepend=0)
    for moment in bursts:
        sound += 0.10 * noise * np.exp(-(((times - moment) / 0.022) ** 2))
    sound += 0.002 * rng.normal(0, 1, times.size)  # the room's own quiet hiss
    return np.float32(0.5 * sound / np.abs(sound).max()), np.float32(np.clip(loud, 0, 1))

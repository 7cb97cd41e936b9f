"""The audio encoders as data: which arrangements of speakers each one takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class AudioEncoder:
    """What one encoder takes."""

    most: int
    """Channels that it takes at most."""
    layouts: tuple[str, ...] = ()
    """FFmpeg's names of the layouts that it takes and players know; empty for all of up to `most` channels."""


AUDIO_ENCODERS: Mapping[str, AudioEncoder] = MappingProxyType(
    {
        "pcm_s24le": AudioEncoder(64),
        "flac": AudioEncoder(8),
        # 5.0 and 6.1 come out of it with channels in each other's places (FFmpeg 8.1).
        "libopus": AudioEncoder(8, ("mono", "stereo", "3.0", "quad", "5.1", "7.1")),
        # Those with "side" in their names are left out: what has the same speakers at the back is more common. Those
        # without a channel for low frequencies, which loses all others, come first where nothing says what is where.
        "aac": AudioEncoder(
            16,
            (
                *("mono", "stereo", "3.0", "3.0(back)", "2.1", "4.0", "quad", "3.1", "5.0", "4.1", "hexagonal", "6.0"),
                *("6.0(front)", "5.1", "7.0", "7.0(front)", "6.1", "6.1(back)", "6.1(front)", "octagonal", "7.1"),
                *("7.1(wide)", "hexadecagonal"),
            ),
        ),
    }
)
"""Every encoder that a format uses, by FFmpeg's name."""

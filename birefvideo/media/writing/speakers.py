"""How the channels of a sound go into an encoder that does not take every arrangement of speakers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import av

from birefvideo.frames import AudioInfo
from birefvideo.media.audio_encoders import AUDIO_ENCODERS
from birefvideo.media.format_table import Format

_MIXABLE = 8
"""Channels of a known arrangement up to which FFmpeg has a rule for mixing."""
_BACK = {"SL": "BL", "SR": "BR"}  # speakers at the side, which stand in for those at the back


@dataclass(frozen=True)
class Speakers:
    """What becomes of a sound's channels."""

    layout: str
    """The layout that is written, by FFmpeg's name."""
    note: str = ""
    """What the user should know, or ''."""
    mixed_from: int = 0
    """Number of channels that `filters` mixes itself, since FFmpeg has no rule for them; 0 for none."""

    def filters(self, channels: int) -> list[tuple[str, str]]:
        """Return FFmpeg's filters, each with its arguments, that come before resampling frames of so many channels."""
        if channels != self.mixed_from:
            return []
        mix = "+".join(f"c{index}" for index in range(channels))
        return [("pan", f"stereo|FL<{mix}|FR<{mix}")]


def written_speakers(audio: AudioInfo, format: Format) -> Speakers:
    """Return how a sound's channels are written: all of them and in their order where the encoder takes that.

    Else in the smallest layout that has all of the speakers, or else mixed, which is told.
    """
    encoder, count = AUDIO_ENCODERS[format.audio_codec], audio.channels
    layouts = [layout for layout in encoder.layouts if len(_names(layout)) <= encoder.most]
    if not encoder.layouts and count <= encoder.most:
        return Speakers(audio.layout)
    if audio.layout in layouts:
        return Speakers(audio.layout)
    own = _behind(_names(audio.layout))
    is_known = "NONE" not in own and len(set(own)) == count
    for layout in layouts:
        if len(_names(layout)) == count and (not is_known or sorted(_behind(_names(layout))) == sorted(own)):
            return Speakers(layout)
    wider = [layout for layout in layouts if is_known and set(own) <= set(_behind(_names(layout)))]
    if wider:
        layout = min(wider, key=lambda one: len(_names(one)))
        return Speakers(layout, f"{count} channels ({audio.layout}) kept in {layout}, whose other channels are silent")
    layout = _nearest(own, layouts) if is_known and count <= _MIXABLE else "stereo"
    note = f"{count} channels ({audio.layout}) mixed to {layout}: {format.name} has no room for them"
    return Speakers(layout, note, 0 if is_known and count <= _MIXABLE else count)


def _nearest(own: Sequence[str], layouts: Sequence[str]) -> str:
    """Return the layout with the most of a sound's speakers, of those the smallest."""
    return max(layouts or ["stereo"], key=lambda one: (len(set(own) & set(_names(one))), -len(_names(one))))


def _names(layout: str) -> list[str]:
    return [channel.name for channel in av.AudioLayout(layout).channels]


def _behind(names: Sequence[str]) -> list[str]:
    """Return names of speakers with those at the side called by the back, unless both are there."""
    has_both = not set(_BACK.values()).isdisjoint(names)
    return list(names) if has_both else [_BACK.get(name, name) for name in names]

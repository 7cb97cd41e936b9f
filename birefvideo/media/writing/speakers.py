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
    by_number: int = 0
    """Number of channels that go to speakers by their order, or are mixed in equal shares where these are fewer; 0
    where it is for FFmpeg to say which goes where."""

    def filters(self, channels: int) -> list[tuple[str, str]]:
        """Return FFmpeg's filters, each with its arguments, that come before resampling frames of so many channels."""
        if not channels or channels != self.by_number:
            return []
        names = _names(self.layout)
        if len(names) == channels:
            return [("channelmap", f"map={'|'.join(map(str, range(channels)))}:channel_layout={self.layout}")]
        mix = "+".join(f"c{index}" for index in range(channels))
        return [("pan", "|".join([self.layout, *(f"{name}<{mix}" for name in names)]))]


def written_speakers(audio: AudioInfo, format: Format) -> Speakers:
    """Return how a sound's channels are written: all of them and in their order where the encoder takes that.

    Else in the smallest layout that has all of the speakers, with the one at the back on both sides if need be, or else
    mixed; which is told.
    """
    encoder, count = AUDIO_ENCODERS[format.audio_codec], audio.channels
    anywhere = tuple(layout for one in AUDIO_ENCODERS.values() for layout in one.layouts)
    layouts = encoder.layouts or anywhere
    names = _names(audio.layout)
    is_known = set(names) <= {name for layout in anywhere for name in (*_names(layout), *_BACK)}
    if audio.layout in layouts or (not encoder.layouts and count <= encoder.most and (is_known or count > 2)):
        return Speakers(audio.layout)
    layouts = tuple(layout for layout in layouts if len(_names(layout)) <= encoder.most)
    same = (one for one in layouts if len(_names(one)) == count)
    layout = next((one for one in same if not is_known or sorted(_behind(_names(one))) == sorted(_behind(names))), "")
    if layout:
        return Speakers(layout, by_number=0 if is_known else count)
    said = audio.layout if "channels" in audio.layout else f"{count} channels ({audio.layout})"
    return _widened(names, said, layouts, is_known) or _mixed(names, said, layouts, is_known, format)


def _widened(names: Sequence[str], said: str, layouts: Sequence[str], is_known: bool) -> Speakers | None:
    """Return the smallest layout that has room for every speaker, or None."""
    for speakers, how in ((names, "kept in {}, whose other channels are silent"), (_split(names), "spread over {}")):
        wider = [layout for layout in layouts if is_known and set(_behind(speakers)) <= set(_behind(_names(layout)))]
        if wider:
            layout = min(wider, key=lambda one: len(_names(one)))
            return Speakers(layout, f"{said} {how.format(layout)}")
    return None


def _mixed(names: Sequence[str], said: str, layouts: Sequence[str], is_known: bool, format: Format) -> Speakers:
    """Return the layout with the most of the speakers, of those the smallest; stereo where FFmpeg cannot mix them."""
    is_rule = is_known and len(names) <= _MIXABLE
    narrower = [layout for layout in layouts if is_rule and len(_names(layout)) < len(names)]
    shared = {one: len(set(_behind(names)) & set(_behind(_names(one)))) for one in narrower}
    layout = max(narrower, key=lambda one: (shared[one], -len(_names(one))), default="stereo")
    note = f"{said} mixed to {layout}: {format.name} has no room for them"
    return Speakers(layout, note, 0 if is_rule else len(names))


def _names(layout: str) -> list[str]:
    return [channel.name for channel in av.AudioLayout(layout).channels]


def _split(names: Sequence[str]) -> list[str]:
    """Return names of speakers with the two at the back for the one in the middle of it."""
    return [*(name for name in names if name != "BC"), *(_BACK.values() if "BC" in names else ())]


def _behind(names: Sequence[str]) -> list[str]:
    """Return names of speakers with those at the side called by the back, unless both are there."""
    has_both = not set(_BACK.values()).isdisjoint(names)
    return list(names) if has_both else [_BACK.get(name, name) for name in names]

"""How the channels of a sound go into an encoder that does not take every arrangement of speakers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    sources: tuple[tuple[int, ...], ...] = ()
    """Numbers of the sound's channels that go to each channel of `layout`, in equal shares; empty where it is for
    FFmpeg to say which goes where."""
    count: int = 0
    """Number of channels that `sources` is about."""

    def filters(self, channels: int) -> list[tuple[str, str]]:
        """Return FFmpeg's filters, each with its arguments, that come before resampling frames of so many channels."""
        if not self.sources or channels != self.count:
            return []
        mixes = (
            f"c{target}{'=' if len(numbers) == 1 else '<'}{'+'.join(f'c{number}' for number in numbers)}"
            for target, numbers in enumerate(self.sources)
            if numbers
        )
        return [("pan", "|".join([self.layout, *mixes]))]


def written_speakers(audio: AudioInfo, format: Format) -> Speakers:
    """Return how a sound's channels are written: all of them and in their order where the encoder takes that.

    Else in the smallest layout that has all of the speakers, with the one at the back on both sides if need be, or else
    mixed; which is told.
    """
    encoder, count = AUDIO_ENCODERS[format.audio_codec], audio.channels
    anywhere = tuple(layout for one in AUDIO_ENCODERS.values() for layout in one.layouts)
    layouts = tuple(one for one in encoder.layouts or anywhere if len(_names(one)) <= encoder.most)
    names, is_listed = _names(audio.layout), " channels (" in audio.layout
    is_known = set(names) <= {name for layout in anywhere for name in (*_names(layout), *_BACK)}
    is_any = not encoder.layouts and count <= encoder.most
    if audio.layout in layouts or (is_any and not is_listed and (is_known or count > 2)):
        return Speakers(audio.layout)
    said = audio.layout if "channels" in audio.layout else f"{count} channels ({audio.layout})"
    own = _Own(names, said, is_known, is_listed)
    same = (one for one in layouts if len(_names(one)) == count)
    layout = next((one for one in same if not is_known or sorted(_behind(_names(one))) == sorted(_behind(names))), "")
    if layout:
        made = Speakers(layout)
    elif is_any:
        return Speakers(f"{count} channels")
    else:
        made = _widened(own, layouts) or _mixed(own, layouts, format)
    by_name = is_known and (is_listed or (made.layout == "stereo" and count > _MIXABLE))
    return made if is_known and not by_name else replace(made, sources=_sources(own, made.layout), count=count)


@dataclass(frozen=True)
class _Own:
    """The channels of a sound."""

    names: list[str]
    """Where they belong."""
    said: str
    """How the user is told of them."""
    is_known: bool
    """Whether `names` are those of speakers."""
    is_listed: bool
    """Whether their order is of their own, so that FFmpeg does not see what is where."""


def _sources(own: _Own, layout: str) -> tuple[tuple[int, ...], ...]:
    """Return the numbers of a sound's channels for each channel of a layout, by name or by order, or all for each."""
    targets, everything = _names(layout), tuple(range(len(own.names)))
    if not own.is_known and len(targets) == len(own.names):
        return tuple((number,) for number in everything)
    ours, theirs = _behind(_split(own.names) if "BC" not in targets else own.names), _behind(targets)
    if not own.is_known or not set(ours) <= set(theirs):
        return (everything,) * len(targets)
    places = {name: number for number, name in enumerate(_behind(own.names))}
    return tuple((places[name],) if name in places else (places["BC"],) if name in ours else () for name in theirs)


def _widened(own: _Own, layouts: Sequence[str]) -> Speakers | None:
    """Return the smallest layout that has room for every speaker, or None."""
    ways = ((own.names, "kept in {}, whose other channels are silent"), (_split(own.names), "spread over {}"))
    for speakers, how in ways if own.is_known else ():
        wider = [layout for layout in layouts if set(_behind(speakers)) <= set(_behind(_names(layout)))]
        if wider:
            layout = min(wider, key=lambda one: len(_names(one)))
            return Speakers(layout, f"{own.said} {how.format(layout)}")
    return None


def _mixed(own: _Own, layouts: Sequence[str], format: Format) -> Speakers:
    """Return the layout with the most of the speakers, of those the smallest; stereo where FFmpeg cannot mix them."""
    is_rule = own.is_known and not own.is_listed and len(own.names) <= _MIXABLE
    narrower = [layout for layout in layouts if is_rule and len(_names(layout)) < len(own.names)]
    shared = {one: len(set(_behind(own.names)) & set(_behind(_names(one)))) for one in narrower}
    layout = max(narrower, key=lambda one: (shared[one], -len(_names(one))), default="stereo")
    return Speakers(layout, f"{own.said} mixed to {layout}: {format.name} has no room for them")


def _names(layout: str) -> list[str]:
    return [channel.name for channel in av.AudioLayout(layout).channels]


def _split(names: Sequence[str]) -> list[str]:
    """Return names of speakers with the two at the back for the one in the middle of it."""
    return [*(name for name in names if name != "BC"), *(_BACK.values() if "BC" in names else ())]


def _behind(names: Sequence[str]) -> list[str]:
    """Return names of speakers with those at the side called by the back, unless both are there."""
    has_both = not set(_BACK.values()).isdisjoint(names)
    return list(names) if has_both else [_BACK.get(name, name) for name in names]

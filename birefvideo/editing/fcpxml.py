"""FCPXML 1.9, which Final Cut Pro 10.5 and DaVinci Resolve 17 and newer read.

Order of elements and names of attributes follow Apple's document type definition; times are exact fractions of seconds,
and whole frames, since Final Cut Pro refuses others.
"""

from __future__ import annotations

from fractions import Fraction
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from birefvideo.colour import Colour
from birefvideo.editing.cut import Cut, Media

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n'
_SPACES = {
    (1, 1, 1): "1-1-1 (Rec. 709)",
    (5, 1, 6): "5-1-6 (Rec. 601 (PAL))",
    (6, 1, 6): "6-1-6 (Rec. 601 (NTSC))",
    (9, 1, 9): "9-1-9 (Rec. 2020)",
    (9, 16, 9): "9-16-9 (Rec. 2020 PQ)",
    (9, 18, 9): "9-18-9 (Rec. 2020 HLG)",
}
"""Final Cut Pro's names of colour spaces, by primaries, transfer and matrix."""
_BT601, _BT709 = 6, 1  # one curve under two numbers
_HERTZ = {
    32000: "32k",
    44100: "44.1k",
    48000: "48k",
    88200: "88.2k",
    96000: "96k",
    176400: "176.4k",
    192000: "192k",
}
"""What a sequence takes."""


def fcpxml(cut: Cut) -> str:
    """Return the text of a project with one sequence."""
    root = Element("fcpxml", version="1.9")
    resources = SubElement(root, "resources")
    for number, media in ((1, cut.source), (2, cut.alpha)):
        _add_format(resources, cut, media, f"r{number}")
    for number, media in ((1, cut.source), (2, cut.alpha)):
        _add_asset(resources, cut, media, f"r{number + 2}", format=f"r{number}")
    event = SubElement(SubElement(root, "library"), "event", name=cut.name)
    _add_sequence(SubElement(event, "project", name=cut.name), cut)
    ElementTree.indent(root)
    return f"{_HEAD}<!-- {cut.mark} -->\n{ElementTree.tostring(root, encoding='unicode')}\n"


def _add_format(resources: Element, cut: Cut, media: Media, name: str) -> None:
    width, height = media.size
    found = SubElement(resources, "format", id=name, frameDuration=_time(cut, 1), width=str(width), height=str(height))
    if media.aspect != 1:
        found.set("paspH", str(media.aspect.numerator))
        found.set("paspV", str(media.aspect.denominator))
    if space := _space(media.colour):
        found.set("colorSpace", space)


def _add_asset(resources: Element, cut: Cut, media: Media, name: str, *, format: str) -> None:
    asset = SubElement(
        resources,
        "asset",
        id=name,
        name=media.name,
        start=_time(cut, media.start),
        duration=_time(cut, media.length),
        hasVideo="1",
        format=format,
        videoSources="1",
    )
    if media.sound is not None:
        asset.set("hasAudio", "1")
        asset.set("audioSources", str(media.sound.tracks))
        asset.set("audioChannels", str(media.sound.channels))
        asset.set("audioRate", str(media.sound.rate))
    SubElement(asset, "media-rep", kind="original-media", src=media.url)


def _add_sequence(project: Element, cut: Cut) -> None:
    counting = "DF" if cut.is_drop else "NDF"
    sequence = SubElement(
        project,
        "sequence",
        format="r1",
        duration=_time(cut, cut.length),
        tcStart=_time(cut, cut.start),
        tcFormat=counting,
    )
    if cut.source.sound is not None:
        channels = cut.source.sound.channels
        sequence.set("audioLayout", "mono" if channels == 1 else "stereo" if channels == 2 else "surround")
        sequence.set("audioRate", _HERTZ.get(cut.source.sound.rate, "48k"))
    if cut.note:
        SubElement(sequence, "note").text = cut.note
    spine = SubElement(sequence, "spine")
    lower = _add_clip(spine, cut, cut.source, "r3", offset=cut.start)
    upper = _add_clip(lower, cut, cut.alpha, "r4", offset=cut.source.begin)  # on the lower clip's own clock
    upper.set("lane", "1")
    upper.set("srcEnable", "video")
    for mark in cut.marks:
        start = _time(cut, cut.alpha.begin + mark.frame)
        SubElement(upper, "marker", start=start, duration=_time(cut, 1), value=mark.words)


def _add_clip(parent: Element, cut: Cut, media: Media, ref: str, *, offset: int) -> Element:
    return SubElement(
        parent,
        "asset-clip",
        ref=ref,
        name=media.name,
        offset=_time(cut, offset),
        start=_time(cut, media.begin),
        duration=_time(cut, cut.length),
        tcFormat="DF" if cut.is_drop else "NDF",
    )


def _time(cut: Cut, frames: int) -> str:
    """Return so many frames in seconds, such as '1001/30000s'."""
    return f"{Fraction(frames) / cut.rate}s"


def _space(colour: Colour) -> str | None:
    transfer = _BT709 if colour.transfer == _BT601 else colour.transfer
    matrix = 6 if colour.matrix == 5 else colour.matrix
    return _SPACES.get((colour.primaries, transfer, matrix))

"""CMX 3600 edit decision lists: one event for each clip, with its file's name, and the marks as Avid's locators."""

from __future__ import annotations

from collections.abc import Iterator

from birefvideo.editing.cut import Cut, Media


def edl(cut: Cut) -> str:
    """Return the text of the list, in time code of the timeline's rate."""
    return "\n".join([*_lines(cut), ""])


def _lines(cut: Cut) -> Iterator[str]:
    yield f"TITLE: {cut.name}"
    yield f"FCM: {'DROP FRAME' if cut.is_drop else 'NON-DROP FRAME'}"
    yield ""
    sound = cut.source.sound
    yield _event(cut, 1, "V" if sound is None else "B" if sound.channels == 1 else "AA/V", cut.source)
    yield f"* FROM CLIP NAME: {cut.source.name}"
    yield f"* COMMENT: {cut.mark}{f'; {cut.note}' if cut.note else ''}"
    yield _event(cut, 2, "V2", cut.alpha)
    yield f"* FROM CLIP NAME: {cut.alpha.name}"
    for mark in cut.marks:
        yield f"* LOC: {cut.label(cut.start + mark.frame)} {'RED':7} {mark.words}"


def _event(cut: Cut, number: int, channels: str, media: Media) -> str:
    """Return a cut from the beginning of the timeline to its end; AX is a file, not a reel of tape."""
    at = (media.begin, media.begin + cut.length, cut.start, cut.start + cut.length)
    return f"{number:03d}  {'AX':8} {channels:5} {'C':8} {' '.join(map(cut.label, at))}"

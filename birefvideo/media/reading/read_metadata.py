"""What a clip says beside its pictures and sound: descriptions, time code, chapters, and what else is in the file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction

import av
from av.container import InputContainer
from av.stream import Discard, Disposition

from birefvideo.frames import VideoInfo
from birefvideo.media.metadata import Chapter, Metadata
from birefvideo.media.reading.open_input import open_input
from birefvideo.media.timecode import make_timecode, track_rate

# How a file was made, and identities that a copy must not share.
_STRUCTURAL = frozenset(
    [
        *("major_brand", "minor_version", "compatible_brands", "encoder", "encoding_tool", "encoded_by", "software"),
        *("handler_name", "vendor_id", "duration", "timecode", "variant_bitrate", "creation_app", "writing_app"),
        # MXF (SMPTE ST 377-1): who wrote it, and the identities of file and material
        *("uid", "generation_uid", "company_name", "product_name", "product_version", "product_version_num"),
        *("product_uid", "toolkit_version", "toolkit_version_num", "application_platform", "modification_date"),
        *("operational_pattern_ul", "material_package_umid", "material_package_name", "file_package_umid"),
    ]
)
_STRUCTURAL_PREFIXES = ("_statistics", "bps", "number_of_", "com.", "itun", "isvbr")
_QUICKTIME = "com.apple.quicktime."
_FROM_QUICKTIME = {
    **{name: name for name in ("title", "artist", "album", "comment", "copyright", "description", "genre", "keywords")},
    **{name: name for name in ("make", "model", "author", "director", "producer", "publisher")},
    "displayname": "title",
    "creationdate": "date",
    "location.iso6709": "location",
}
"""Apple's names after their prefix, and the plain ones, which the muxers know."""
_ANIMATED = "avis"  # brand of animated AVIF, whose first picture is there as a photo too
_WITH_LANGUAGE = re.compile(r"(.+)-[a-z]{3}")


def read_metadata(info: VideoInfo) -> Metadata:
    """Read what a clip says beside its pictures and sound.

    Raises:
        InputError: it cannot be opened any more.
    """
    with open_input(info.path) as container:
        chapters = tuple(
            Chapter(chapter["metadata"].get("title", ""), *(chapter[at] * _unit(chapter) for at in ("start", "end")))
            for chapter in container.chapters()
        )
        others = _others(container, info)
        found = _timecode(container, info)
        timecode = found and make_timecode(*found)
        if found and not timecode:
            others["unreadable time code"] = 1
        return Metadata(_texts(container.metadata), timecode, chapters, others)


def _texts(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the descriptions among a container's tags, with plain names."""
    plain: dict[str, str] = {}
    apple: dict[str, str] = {}
    for name, value in metadata.items():
        name = name.lower()
        in_language = _WITH_LANGUAGE.fullmatch(name)
        if name.startswith(_QUICKTIME):
            known = _FROM_QUICKTIME.get(name.removeprefix(_QUICKTIME))
            apple |= {known: value} if known else {}
        elif in_language and metadata.get(in_language[1]) == value:
            continue  # FFmpeg gives a mov's tags twice
        elif name not in _STRUCTURAL and not name.startswith(_STRUCTURAL_PREFIXES):
            plain[name] = value
    return {name: value for name, value in {**apple, **plain}.items() if value}


def _timecode(container: InputContainer, info: VideoInfo) -> tuple[str, Fraction, Fraction] | None:
    """Return the time code of a track, of the pictures, or of the file as a whole, as `make_timecode` takes it."""
    begin = info.start * info.time_base
    for stream in container.streams:
        label = stream.metadata.get("timecode")
        if stream.type == "data" and label:
            start = (stream.start_time or 0) * (stream.time_base or Fraction(1))
            return label, track_rate(info.path) or info.rate, start
    for metadata in (container.streams[info.stream_index].metadata, container.metadata):
        for name, label in metadata.items():
            if name.lower() == "timecode":
                return label, info.rate, begin
    return None


def _others(container: InputContainer, info: VideoInfo) -> dict[str, int]:
    """Count the tracks that never go along; cover pictures and time code are not worth a word."""
    counts: Counter[str] = Counter()
    for stream in container.streams:
        # The text track that holds a mov's chapters is read as chapters, and marked as not to be read.
        if stream.index in (info.stream_index, info.alpha_index) or stream.discard == Discard.all:
            continue
        if stream.type == "video":
            is_cover = stream.frames == 1 and container.metadata.get("major_brand") == _ANIMATED
            is_beside = bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))
            counts["video track"] += not (is_cover or is_beside)
        elif stream.type == "audio":
            counts["undecodable audio track"] += getattr(stream, "codec_context", None) is None
        elif stream.type == "data":
            counts["data track"] += "timecode" not in stream.metadata
        elif stream.type in ("subtitle", "attachment"):
            counts[f"{stream.type} track" if stream.type == "subtitle" else stream.type] += 1
    return {kind: count for kind, count in counts.items() if count}


def _unit(chapter: av.container.core.Chapter) -> Fraction:
    return chapter["time_base"] or Fraction(1, 1000)

"""What a file says beside its pictures and sound, and where that goes: descriptions, time code, chapters.

Descriptions (title, artist, date, place, camera …) go from the source into every output; what says how a file was
made (brands, encoders, statistics) does not. FFmpeg's muxers keep what they know a place for: Matroska and WebM keep
all; mov keeps title, artist, album, date, creation_time, comment, copyright, genre, make, model and location; mp4 the
same without make and model, but with album_artist, composer, description, synopsis, grouping, keywords, lyrics, show,
episode_id and network. Everything else is dropped by them. `sequence.json` of a folder of pictures holds all.

A time code becomes a time code track in mov and mp4, which editors read, and a tag in Matroska and WebM. Chapters are
kept in these two alone: in mov and mp4 they would need a text track, which editors show as a track of the clip.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from birefvideo.frames import VideoInfo
from birefvideo.media.formats import Format
from birefvideo.media.reading.decode import open_input
from birefvideo.media.timecode import Timecode, make_timecode, track_rate

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
_WITH_LANGUAGE = re.compile(r"(.+)-[a-z]{3}")
# FFmpeg's mov muxer takes the names that QuickTime numbers languages by, some of which are not ISO 639's.
_QUICKTIME_LANGUAGES = {
    **{"sqi": "alb", "hye": "arm", "eus": "baq", "mya": "bur", "zho": "chi", "cze": "ces", "nld": "dut", "fre": "fra"},
    **{"kat": "geo", "deu": "ger", "ell": "gre", "isl": "ice", "mkd": "mac", "msa": "may", "fas": "per", "rum": "ron"},
    **{"slo": "slk", "bod": "tib", "cym": "wel", "swe": "sve", "gle": "iri", "nob": "nor"},
}


@dataclass(frozen=True)
class Chapter:
    """A named stretch of a clip."""

    title: str
    """What it is called, or ''."""
    start: Fraction
    """Where it begins, in seconds on the source's clock."""
    end: Fraction
    """Where it ends."""


@dataclass(frozen=True)
class Tags:
    """What goes from a clip into its outputs beside pictures and sound, and what does not."""

    texts: Mapping[str, str] = field(default_factory=dict)
    """Descriptions by FFmpeg's names, in lower case."""
    timecode: Timecode | None = None
    """The time code."""
    chapters: tuple[Chapter, ...] = ()
    """The chapters, in order."""
    others: Mapping[str, int] = field(default_factory=dict)
    """Numbers of tracks of each kind that no output has."""

    def left_out(self, formats: Sequence[Format]) -> str:
        """One line about what outputs of these formats do not have, or ''."""
        parts = [counted(count, kind) for kind, count in self.others.items()]
        without = [format for format in formats if not format.container.keeps_chapters]
        if self.chapters and without:
            only = "" if len(without) == len(formats) else f" (in {' and '.join(f.suffix for f in without)})"
            parts.append(counted(len(self.chapters), "chapter") + only)
        if not parts:
            return ""
        is_one = parts[0].startswith("1 ") and len(parts) == 1
        return f"{', '.join(parts[:-1])}{' and ' if parts[:-1] else ''}{parts[-1]} {'is' if is_one else 'are'} left out"

    def muxer_options(self, format: Format, time_base: Fraction) -> dict[str, str]:
        """Options for the muxer of an output whose pictures' times are in ticks of `time_base`.

        A time code track counts on the pictures' clock, so that this has to divide into its labels without remainder.
        """
        if self.timecode is None or not format.container.has_timecode_track:
            return {}
        ticks = math.lcm(time_base.denominator, self.timecode.rate.numerator)
        ticks *= -(-10_000 // ticks)  # FFmpeg's least
        return {"video_track_timescale": str(ticks)} if ticks < 1 << 31 else {}

    def describe(
        self,
        output: OutputContainer,
        format: Format,
        pictures: VideoStream,
        begin: Fraction,
        first: Fraction,
        end: Fraction | None,
    ) -> None:
        """Writes everything that an output's container takes, before its first packet.

        Args:
            output: where to.
            format: what it is written as.
            pictures: its video stream.
            begin: the source's time, in seconds, that is the output's 0.
            first: the source's time of the output's first picture.
            end: the source's time at which the output is cut off, or None.
        """
        output.metadata.update(self.texts)
        if format.container.keeps_chapters:
            output.set_chapters(self._moved_chapters(begin, end))
        if self.timecode is None:
            return
        if format.container.has_timecode_track:
            # The muxer makes the track, at the rate that the stream claims; the track begins at the output's 0.
            pictures.codec_context.framerate = self.timecode.rate
            pictures.metadata["timecode"] = self.timecode.at(begin)
        else:
            pictures.metadata["timecode"] = self.timecode.at(first)

    def as_json(self, first: Fraction) -> dict[str, Any]:
        """What a sidecar says, for pictures that begin at the source's time `first`."""
        timecode = {"timecode": self.timecode.at(first)} if self.timecode else {}
        return {**timecode, **({"metadata": dict(self.texts)} if self.texts else {})}

    def _moved_chapters(self, begin: Fraction, end: Fraction | None) -> list[Any]:
        """The chapters that an output shows some of, on its clock, in milliseconds."""
        moved = []
        for chapter in self.chapters:
            start, stop = chapter.start, chapter.end if end is None else min(chapter.end, end)
            if stop > max(start, begin):
                times = [round(max(Fraction(0), time - begin) * 1000) for time in (start, stop)]
                title = {"title": chapter.title} if chapter.title else {}
                moved.append((*times, title))
        return [
            {"id": number, "start": start, "end": stop, "time_base": Fraction(1, 1000), "metadata": title}
            for number, (start, stop, title) in enumerate(moved, 1)
        ]


def read_tags(info: VideoInfo) -> Tags:
    """Reads what a clip says beside its pictures and sound.

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
        return Tags(_texts(container.metadata), timecode, chapters, others)


def copy_track_tags(source: Stream, out: Stream, format: Format) -> None:
    """Gives an output's track the language, the title and the default flag of the source's, before the header."""
    tags = {name.lower(): value for name, value in source.metadata.items()}
    language = tags.get("language")
    if language:
        is_apple = format.container.has_apple_languages
        out.metadata["language"] = _QUICKTIME_LANGUAGES.get(language, language) if is_apple else language
    title = tags.get("title") or tags.get("name")  # as mov has it
    if title:
        out.metadata["title"] = title
    out.disposition = source.disposition & Disposition.default


def _texts(metadata: Mapping[str, str]) -> dict[str, str]:
    """The descriptions among a container's tags, with plain names."""
    plain: dict[str, str] = {}
    apple: dict[str, str] = {}
    for name, value in metadata.items():
        name = name.lower()
        in_language = _WITH_LANGUAGE.fullmatch(name)
        if name.startswith(_QUICKTIME):
            known = _FROM_QUICKTIME.get(name.removeprefix(_QUICKTIME))
            apple |= {known: value} if known else {}
        elif in_language and metadata.get(in_language[1]) == value:
            continue  # FFmpeg tells a mov's tags twice
        elif name not in _STRUCTURAL and not name.startswith(_STRUCTURAL_PREFIXES):
            plain[name] = value
    return {name: value for name, value in {**apple, **plain}.items() if value}


def _timecode(container: InputContainer, info: VideoInfo) -> tuple[str, Fraction, Fraction] | None:
    """The time code of a track, of the pictures, or of the file as a whole, as `make_timecode` takes it."""
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
    """Counts the tracks that never go along; cover pictures and time code are not worth a word."""
    counts: Counter[str] = Counter()
    for stream in container.streams:
        # The text track that holds a mov's chapters is read as chapters, and marked as not to be read.
        if stream.index == info.stream_index or stream.discard == Discard.all:
            continue
        if stream.type == "video":
            counts["video track"] += not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)
        elif stream.type == "audio":
            counts["undecodable audio track"] += getattr(stream, "codec_context", None) is None
        elif stream.type == "data":
            counts["data track"] += "timecode" not in stream.metadata
        elif stream.type in ("subtitle", "attachment"):
            counts[f"{stream.type} track" if stream.type == "subtitle" else stream.type] += 1
    return {kind: count for kind, count in counts.items() if count}


def _unit(chapter: av.container.core.Chapter) -> Fraction:
    return chapter["time_base"] or Fraction(1, 1000)


def counted(count: int, kind: str) -> str:
    """'1 chapter', '3 chapters'."""
    return f"{count} {kind}{'s' if count > 1 else ''}"

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from av.container import OutputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from birefvideo.media.format_table import Format
from birefvideo.media.timecode import Timecode

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
class Metadata:
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
        """Return options for the muxer of an output whose pictures' times are in ticks of `time_base`.

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
        """Write everything that an output's container takes, before its first packet.

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
        """Return what a sidecar says, for pictures that begin at the source's time `first`."""
        timecode = {"timecode": self.timecode.at(first)} if self.timecode else {}
        return {**timecode, **({"metadata": dict(self.texts)} if self.texts else {})}

    def _moved_chapters(self, begin: Fraction, end: Fraction | None) -> list[Any]:
        """Return the chapters that an output shows some of, on its clock, in milliseconds."""
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


def copy_track_tags(source: Stream, out: Stream, format: Format) -> None:
    """Give an output's track the language, the title and the default flag of the source's, before the header."""
    tags = {name.lower(): value for name, value in source.metadata.items()}
    language = tags.get("language")
    if language:
        is_apple = format.container.has_apple_languages
        out.metadata["language"] = _QUICKTIME_LANGUAGES.get(language, language) if is_apple else language
    title = tags.get("title") or tags.get("name")  # as mov has it
    if title:
        out.metadata["title"] = title
    out.disposition = source.disposition & Disposition.default


def counted(count: int, kind: str) -> str:
    """Return a count in words, such as '1 chapter' and '3 chapters'."""
    return f"{count} {kind}{'s' if count > 1 else ''}"

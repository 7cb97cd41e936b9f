"""Pictures as input: a numbered series, named by a pattern such as frames/%05d.png or by its folder, or single ones."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from birefvideo.errors import InputError, OptionError, named
from birefvideo.frames import VideoInfo
from birefvideo.media.forms import SHEETS, STILLS

PICTURE_SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".dpx"])
"""Kinds of pictures that a folder is searched for; OpenEXR, which holds linear light, is not among them."""
_ALWAYS_SINGLE = frozenset([".heic", ".heif", ".hif", ".avif", ".jxl"])
"""Kinds that only photos are in, which cameras number as well."""
DEFAULT_RATE = Fraction(25)
"""Pictures a second where the user does not say."""

_BEFORE_NUMBER = "_-. "
"""What stands between a series' name and its numbers."""
_PATTERN = re.compile(r"%(?:0(\d{1,2}))?d")
_HIGHEST = 2**31 - 1  # FFmpeg counts pictures in 32 bits


@dataclass(frozen=True)
class Series:
    """Pictures whose names differ by a number that goes up by one."""

    folder: Path
    """Where they lie."""
    prefix: str
    """What comes before the number."""
    digits: int
    """Length of a number padded with zeros; 0 where it is not padded."""
    suffix: str
    """What comes after it."""
    first: int
    """The lowest number."""
    count: int
    """How many there are."""

    @property
    def pattern(self) -> str:
        """The pictures' path as FFmpeg's image2 wants it."""
        before, after = (text.replace("%", "%%") for text in (f"{self.folder / 'x'}"[:-1] + self.prefix, self.suffix))
        return f"{before}%{f'0{self.digits}' if self.digits else ''}d{after}"

    @property
    def files(self) -> list[Path]:
        """The pictures, in order."""
        numbers = range(self.first, self.first + self.count)
        return [self.folder / f"{self.prefix}{number:0{self.digits}d}{self.suffix}" for number in numbers]


def series_of(path: Path) -> Series | None:
    """Return the series that a pattern or a folder names; None for the name of a file.

    Raises:
        InputError: there are no such pictures, or their numbers have a gap.
    """
    if path.is_dir():
        files = pictures_in(path)
        if not files:
            raise InputError(f"{path} is a folder without pictures; name a video file or a folder of pictures")
        parsed = [parts for parts in map(_parsed, files) if parts]
        if len(parsed) < len(files):
            name = next(file.name for file in files if not _parsed(file))
            raise InputError(f"{name} in {path} has no number; number the pictures, or name them one by one")
        return _series(path, parsed)
    found = None if path.exists() else _PATTERN.search(path.name)
    if found is None:
        return None
    before, after = (text.replace("%%", "%") for text in (path.name[: found.start()], path.name[found.end() :]))
    digits = found[1] and int(found[1])
    number = rf"\d{{{digits},}}" if digits else r"0|[1-9]\d*"
    wanted = re.compile(f"{re.escape(before)}({number}){re.escape(after)}")
    names = [wanted.fullmatch(file.name) for file in path.parent.iterdir()] if path.parent.is_dir() else []
    parsed = [(before, name[1], after) for name in names if name]
    if not parsed:
        raise InputError(f"there are no pictures {path}; check the name and the folder")
    return _series(path, parsed)


def pictures_in(folder: Path, kinds: Collection[str] = PICTURE_SUFFIXES) -> list[Path]:
    """Return the pictures of a folder; hidden files are left out, and what we have made of one beside it."""
    files = [path for path in folder.iterdir() if path.suffix.lower() in kinds and path.is_file()]
    files = [path for path in files if not path.name.startswith(".")]
    stems = {path.stem for path in files} | {folder.resolve().name}
    stems |= {parts[0].rstrip(_BEFORE_NUMBER) for parts in map(_parsed, files) if parts}
    ours = [*(form.suffix for form in STILLS.values()), *SHEETS]
    made = {f"{stem}{suffix}" for stem in stems for suffix in ours}
    return sorted(path for path in files if path.name not in made)


def photos_in(folder: Path) -> list[Path]:
    """Return the pictures of a folder, numbered or not, as `pictures_in`; those that only photos are in, too."""
    return pictures_in(folder, PICTURE_SUFFIXES | _ALWAYS_SINGLE)


def single_pictures_in(folder: Path) -> list[Path]:
    """Return the pictures of a folder that each stand alone; none where they are one numbered series, or several.

    Pictures whose numbers have a gap are a series that lacks one, which `series_of` tells.
    """
    files = photos_in(folder)
    numbers: dict[tuple[str, str], list[int]] = {}
    for file in files:
        parsed = None if file.suffix.lower() in _ALWAYS_SINGLE else _parsed(file)
        if parsed is None:
            return files
        numbers.setdefault((parsed[0], parsed[2]), []).append(int(parsed[1]))
    if len(files) > 1 and len(numbers) == 1:
        return []
    are_series = all(1 < len(found) == max(found) - min(found) + 1 for found in numbers.values())
    return [] if are_series else files


def members(path: Path) -> list[Path]:
    """Return the files that an input consists of, in order."""
    series = series_of(path)
    return [path] if series is None else series.files


def at_rate(info: VideoInfo, fps: Fraction | None) -> VideoInfo:
    """Return what a clip is when its pictures are shown at `fps` a second; a single one has no rate.

    Raises:
        OptionError: the clip is a video, which has its own times.
    """
    if info.still:  # in 10 bits every code of 8-bit R'G'B' comes back
        return replace(info, pix_fmt="yuv444p10le", bit_depth=10) if info.still.is_rgb else info
    if series_of(info.path) is None:
        if fps is not None:
            raise OptionError(f"{named('fps')} is for pictures, and {info.path.name} is a video with times of its own")
        return info
    rate = fps or DEFAULT_RATE
    count = len(members(info.path))
    return replace(info, time_base=1 / rate, rate=rate, duration=count / rate, frame_count=count)


def stem_of(source: Path) -> str:
    """Return what the outputs of an input are called: of a series what its names share, or else its folder's name."""
    if source.is_dir():
        return source.resolve().name
    found = None if source.exists() else _PATTERN.search(source.name)
    if found is None:
        return source.stem
    return source.name[: found.start()].replace("%%", "%").rstrip(_BEFORE_NUMBER) or source.parent.resolve().name


def _parsed(file: Path) -> tuple[str, str, str] | None:
    """Return a file name's (prefix, number, suffix), the number being its last; None where it has no number."""
    found = re.fullmatch(r"(.*?)(\d+)(\D*)", file.name.removesuffix(file.suffix), re.DOTALL)
    return (found[1], found[2], found[3] + file.suffix) if found else None


def _series(path: Path, parsed: list[tuple[str, str, str]]) -> Series:
    kinds = sorted({(prefix, suffix) for prefix, _, suffix in parsed})
    folder = path if path.is_dir() else path.parent
    if len(kinds) > 1:
        names = " and ".join(f"{prefix}…{suffix}" for prefix, suffix in kinds[:2])
        raise InputError(f"{folder} holds several series, {names}; name one by a pattern such as %05d.png")
    (prefix, suffix), texts = kinds[0], [number for _, number, _ in parsed]
    is_padded = len(set(map(len, texts))) == 1 or any(text.startswith("0") and len(text) > 1 for text in texts)
    numbers = sorted(map(int, texts))
    if numbers[-1] > _HIGHEST:
        raise InputError(f"{path}: picture {numbers[-1]} has a number above {_HIGHEST}; number them anew")
    for index, number in enumerate(numbers):
        if number != numbers[0] + index:
            missing = numbers[0] + index
            raise InputError(
                f"{path}: picture {missing} is missing between {numbers[0]} and {numbers[-1]}; add it, "
                "or name the pictures one by one if they are no film"
            )
    return Series(folder, prefix, min(map(len, texts)) if is_padded else 0, suffix, numbers[0], len(numbers))

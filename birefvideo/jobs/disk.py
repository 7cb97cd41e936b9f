"""How much of the disk a job takes, and whether there is as much."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from birefvideo.errors import OutputError, named
from birefvideo.frames import AudioInfo
from birefvideo.jobs.alpha_cache import cache_plan, has_two_passes
from birefvideo.jobs.folder import JobFolder
from birefvideo.jobs.kept_mattes import SUFFIX
from birefvideo.jobs.plan import Plan
from birefvideo.jobs.progress import total_frames
from birefvideo.jobs.segment_file import read_report
from birefvideo.media.format_table import Format
from birefvideo.media.usual_sizes import usual_bytes
from birefvideo.own_files import size_of

_DOUBTFUL = 50
"""By how much outputs may be smaller than is usual: those of a picture that is nearly empty are."""
_NO_PARTS = (".json", Path(SUFFIX).suffix)
_COPIED = 16_000
"""Bytes a second of one channel of packed sound that is copied, about."""


_ALPHA = 0.12
"""Bytes a pixel and frame of the network's alpha as a job in two passes keeps it, about."""


@dataclass(frozen=True)
class Disk:
    """What a job takes where its outputs go."""

    outputs: tuple[int, ...]
    """Bytes of each target, with its sound, about."""
    there: int
    """Bytes of parts that an earlier run has left."""
    free: int
    """Bytes that are free."""
    alpha: int = 0
    """Bytes of the network's alpha that a job in two passes still has to keep, about."""
    stays: int = 0
    """Bytes that stay beside the outputs for the next run, about: the network's alpha, and the parts."""

    @property
    def needed(self) -> int:
        """Bytes that are still to be written: all parts stay until the outputs that are joined of them are whole."""
        return max(0, 2 * sum(self.outputs) + self.alpha - self.there)

    @property
    def is_short(self) -> bool:
        """Whether it will probably not suffice."""
        return self.needed > self.free

    def as_dict(self) -> dict[str, int | bool]:
        """Return what programs ask for."""
        return {
            "needed": self.needed,
            "free": self.free,
            "short": self.is_short,
            "alpha": self.alpha,
            "stays": self.stays,
        }

    def line(self) -> str:
        """Return what to say where it is short."""
        return (
            f"the run needs about {size_in_words(self.needed)} on the disk, parts and joined outputs together, and "
            f"{size_in_words(self.free)} are free: make room, or choose another {named('out')}"
        )


def disk_of(plan: Plan, pictures: Sequence[int], there: int = 0, *, keeps_cache: bool = False) -> Disk:
    """Return what a job takes whose outputs have so many bytes of pictures each."""
    length = _seconds(plan)
    sounds = (_sound_bytes(target.format, plan.source.audio, length) for target in plan.targets)
    sizes = tuple(picture + sound for picture, sound in zip(pictures, sounds, strict=True))
    frames = (total_frames(plan) or 0) if has_two_passes(plan) else 0
    all_alpha = round(_ALPHA * plan.source.width * plan.source.height * frames)
    alpha = all_alpha * max(0, frames - alpha_frames_kept(plan)) // max(1, frames)
    return Disk(sizes, there, free_at(plan.folder), alpha, all_alpha + sum(sizes) if keeps_cache else 0)


def free_at(path: Path) -> int:
    """Return the bytes that are free where a file or folder is to lie, whose parents may be missing."""
    nearest = next(folder for folder in path.absolute().parents if folder.exists())
    return shutil.disk_usage(nearest).free


def usual_disk(plan: Plan, there: int = 0) -> Disk:
    """Return what a job takes by what its formats usually take; nothing is tried."""
    frames = total_frames(plan) or 0
    shown = [(target.format, plan.shown(target)) for target in plan.targets]
    return disk_of(plan, [usual_bytes(format, info.width, info.height, frames) for format, info in shown], there)


def check_disk(plan: Plan, there: int = 0) -> list[str]:
    """Return a line where the disk is probably too small for a job.

    Raises:
        OutputError: it is too small even for outputs of a fraction of the usual size.
    """
    disk = usual_disk(plan, there)
    if not disk.is_short:
        return []
    if disk.needed > _DOUBTFUL * disk.free:
        raise OutputError(disk.line())
    return [f"{disk.line()}; it may do, if the pictures are simple"]


def size_in_words(size: int) -> str:
    """Return a number of bytes as a user reads it."""
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"


def _seconds(plan: Plan) -> Fraction:
    return Fraction(total_frames(plan) or 0) / plan.source.rate if plan.source.rate else Fraction(0)


def _sound_bytes(format: Format, tracks: Sequence[AudioInfo], length: Fraction) -> int:
    """Return about how many bytes the sound of an output takes."""
    if format.is_sequence or format.is_animation or format.is_still:
        return 0
    return round(sum(_rate(format, track) for track in tracks) * length)


def _rate(format: Format, track: AudioInfo) -> int:
    """Return about how many bytes a second a track takes."""
    plain = track.rate * track.channels
    if track.codec in format.audio_copy:
        return plain * (3 if track.is_deep else 2) if track.codec.startswith("pcm") else _COPIED * track.channels
    if format.bit_rate:
        return format.bit_rate * track.channels // 8
    return plain * 3


def alpha_frames_kept(plan: Plan) -> int:
    """Return of how many frames an earlier run has kept the network's alpha; nothing is read but what tells of it."""
    if not has_two_passes(plan):
        return 0
    kept = JobFolder(cache_plan(plan), overwrite=True)
    found = [read_report(kept.report(segment)) for segment in plan.segments] if kept.resumes() else []
    return sum(len(report.pts) for one in found if one for report, _ in [one])


def bytes_there(folder: Path) -> int:
    """Return the bytes of the finished parts in a job's folder."""
    return (
        sum(size_of(part) for part in folder.glob("part_*") if part.suffix not in _NO_PARTS) if folder.is_dir() else 0
    )

"""The options of a job as keywords of the Python API, for type checkers: one line an option."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from os import PathLike
from typing import TYPE_CHECKING, TypedDict

from birefvideo.directing.marks import Marks
from birefvideo.directing.wishes import Subject
from birefvideo.jobs.mark_values import Box, Boxes
from birefvideo.jobs.model_in_memory import KeptModel, NetworkInMemory
from birefvideo.jobs.option_values import RGB, Time

if TYPE_CHECKING:
    import torch

    from birefvideo.family.modeling import BiRefNetForImageSegmentation
    from birefvideo.jobs.options import Options
    from birefvideo.jobs.progress import OnFrame


class EdgeArguments(TypedDict, total=False):
    """The options that shape the edge of mattes, as keywords: the types that each takes."""

    grow: float | str
    shrink: float | str
    feather: float | str
    levels: tuple[float, ...] | str
    fill_holes: float | str
    drop_islands: float | str


EDGE = tuple(EdgeArguments.__annotations__)
"""Their names."""
DIRECTIONS = ("subject", "people", "marks", "keep", "remove", "garbage", "mend")
"""The names of options that direct a clip's matte."""


class FrameArguments(EdgeArguments, total=False):
    """The options of `birefvideo.mattes`, as keywords: the types that each takes."""

    model: str | PathLike[str] | KeptModel | NetworkInMemory | BiRefNetForImageSegmentation
    size: int | tuple[int, int] | str | None
    mirror: bool
    smooth: int
    despill: str | RGB | None
    fps: int | float | Fraction | str | None
    deinterlace: bool
    ignore_alpha: bool
    start: Time | None
    end: Time | None
    device: str | torch.device
    dtype: str | torch.dtype
    batch: int | None


class JobArguments(FrameArguments, total=False):
    """The options of `birefvideo.matte`, as keywords: those of `mattes`, and those of files."""

    background: str | PathLike[str] | RGB
    fit: str
    premultiplied: bool | str
    audio: str
    subject: str | tuple[float, float] | Subject | None
    people: int | None
    marks: str | PathLike[str] | Mapping[str, object] | Marks | None
    keep: Boxes
    remove: Boxes
    garbage: str | Box | Marks | None
    mend: str | PathLike[str] | Marks | None


class MatteArguments(JobArguments, total=False):
    """All keywords of `birefvideo.matte`: its own, and the options."""

    options: Options | None
    review: bool
    timeline: str | Sequence[str]
    receipts: bool
    overwrite: bool
    strict: bool
    keep_cache: bool
    engine: str
    address: str | None
    workers: int | None
    progress: OnFrame | None

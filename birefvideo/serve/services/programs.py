"""What can be run through Replicate's interface and Cog's: each program's inputs as rows, and what they ask for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from birefvideo import __version__
from birefvideo.serve.openapi import option_schemas
from birefvideo.serve.order import Order
from birefvideo.serve.services import bria
from birefvideo.serve.services.fields import Field, FieldError, colour, read, schema
from birefvideo.serve.services.names import model

Values = dict[str, Any]

MATTE = "birefvideo/matte"
"""Our own program: every option of `birefvideo matte` by its name."""


@dataclass(frozen=True)
class Program:
    """One of them."""

    name: str
    """owner/name."""
    help: str
    """One line."""
    fields: Sequence[Field]
    """Its inputs; of our own the clip alone, the others being the options."""
    options: Callable[[Values], Values]
    """Options of `matte`, and formats to write, for inputs that were given.

    Raises:
        BirefvideoError: one may not be what it is.
    """
    is_list: bool
    """Whether its output is a list of addresses instead of one."""

    @property
    def source(self) -> str:
        """Name of the input that is the clip."""
        return next(field.name for field in self.fields if field.is_needed)

    @property
    def version(self) -> str:
        """What the interface takes for its version."""
        return hashlib.sha256(f"{self.name} {__version__}".encode()).hexdigest()

    @property
    def schemas(self) -> Values:
        """Its Input and Output as JSON Schema."""
        inputs = schema(self.fields)
        if self.name == MATTE:
            inputs["properties"] |= option_schemas()
        address = {"type": "string", "format": "uri"}
        output = {"type": "array", "items": address} if self.is_list else address
        return {"Input": {"title": "Input", **inputs}, "Output": {"title": "Output", **output}}


def is_place(value: Any) -> bool:
    """Return whether a value is the address of a file, or a file itself, instead of what an option takes."""
    return isinstance(value, str) and value.startswith(("http:", "https:", "data:"))


def _of_matte(given: Values) -> Values:
    values = {name: value for name, value in given.items() if name != "video"}
    Order.of({name: value for name, value in values.items() if not is_place(value)})
    if not given.get("video"):
        raise FieldError("video", "video is missing: the clip or picture to cut out", "missing")
    return values


_SPRITED = (
    Field("video", "The clip to cut out.", is_file=True, is_needed=True),
    Field("variant", "Model: a name of `birefvideo models`; left out: the best one that is here."),
    Field("output_format", "The cut-out, or its mask.", default="cutout", choices=("cutout", "mask")),
    Field("video_output_type", "Kind of file.", choices=("webm", "mov", "mp4", "gif")),
    Field("background_color", "Under an MP4, which has no transparency.", default="#000000"),
    Field("resolution", "Side of what the network sees; 0: the model's own.", "integer", 0, between=(0, 2048)),
    Field(
        *("refine_fg", "Whether colours at the edge are the subject's own.", "boolean", True),
        only=(True,),
        instead="leave it true; the mask has no colours",
    ),
    Field("mask_blur", "Blur of the edge, in pixels.", "number", 0, between=(0, 64)),
    Field("mask_offset", "Pixels by which the subject grows, or shrinks.", "number", 0, between=(-64, 64)),
    Field(
        *("video_quality", "Quality of the encoding.", "string", "high", ("low", "medium", "high", "maximum")),
        only=("high",),
    ),
    Field(
        *("video_write_mode", "Effort of the encoder.", "string", "balanced", ("fast", "balanced", "small")),
        only=("balanced",),
    ),
    Field("precision", "What the network computes in.", default="auto", choices=("auto", "fp32", "fp16", "bf16")),
)
_PRECISIONS = {"auto": "auto", "fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_CUTOUTS = {"webm": "webm", "mov": "prores", "mp4": "green", "gif": "gif"}


def _of_sprited(given: Values) -> Values:
    values = read(_SPRITED, given)
    is_mask = values["output_format"] == "mask"
    kind = values["video_output_type"] or ("mp4" if is_mask else "webm")
    if is_mask and kind != "mp4":
        raise FieldError("video_output_type", f"video_output_type is {kind!r}: this server makes masks as mp4")
    under = colour("background_color", values["background_color"])
    if kind != "mp4" and under != "#000000":
        raise FieldError("background_color", f"background_color is for mp4, and {kind} is transparent: leave it out")
    offset = values["mask_offset"]
    wanted = {
        "model": model("replicate", "variant", values["variant"]),
        "to": "matte" if is_mask else _CUTOUTS[kind],
        "background": under if kind == "mp4" and not is_mask else None,
        "size": values["resolution"] or None,
        "feather": values["mask_blur"] or None,
        "grow": offset if offset > 0 else None,
        "shrink": -offset if offset < 0 else None,
        "dtype": _PRECISIONS[values["precision"]],
    }
    return {name: value for name, value in wanted.items() if value is not None}


_BRIA = bria.fields(background="Transparent")
_ROWS = (
    Program(
        MATTE,
        "Cut people out of video: every option of `birefvideo matte`, and the formats to write in `to`.",
        (Field("video", "The clip or picture to cut out.", is_file=True, is_needed=True),),
        _of_matte,
        is_list=True,
    ),
    Program(
        "sprited/birefnet-video",
        "The inputs of the published endpoint of this name.",
        _SPRITED,
        _of_sprited,
        is_list=False,
    ),
    Program(
        "bria/video-remove-background",
        "The inputs of the published endpoint of this name, with the models that are here.",
        _BRIA,
        lambda given: bria.options(read(_BRIA, given)),
        is_list=False,
    ),
)
PROGRAMS: Mapping[str, Program] = MappingProxyType({row.name: row for row in _ROWS})
"""Every program by its name."""

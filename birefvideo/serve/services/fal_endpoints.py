"""fal's endpoints: their inputs as rows, and what each asks of the queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from birefvideo.serve.services import bria
from birefvideo.serve.services.fields import Field, FieldError, colour_of_codes
from birefvideo.serve.services.names import model

Values = dict[str, Any]


@dataclass(frozen=True)
class Wish:
    """What a request asks for."""

    options: Values
    """Options of `matte`, and formats."""
    roles: dict[str, int]
    """What each output is called in the answer, by its number."""
    finish: Values | None = None
    """What is done to a picture: see `results.results`."""
    more: Values = field(default_factory=dict)
    """What else is in the answer."""


@dataclass(frozen=True)
class Endpoint:
    """One of them."""

    app: str
    """owner/alias, by which clients ask again for requests of whatever path below it."""
    source: str
    """Input that is the clip or picture."""
    fields: Sequence[Field]
    """Its inputs."""
    wish: Callable[[Values], Wish]
    """What inputs ask for.

    Raises:
        FieldError: they do not go together, or one is not done here.
    """


_VIDEO = Field("video_url", "Address of the clip, or a data URI.", is_file=True, is_needed=True)
_IMAGE = Field("image_url", "Address of the picture, or a data URI.", is_file=True, is_needed=True)
_MODEL = (
    Field("model", "Model; left out: the best one that is here."),
    Field(
        *("operating_resolution", "What the network sees.", "string", None),
        choices=("1024x1024", "2048x2048", "2304x2304"),
    ),
)
_MASK = Field("output_mask", "Whether the mask is made too.", "boolean", False)
_REFINE = Field(
    *("refine_foreground", "Whether colours at the edge are the subject's own.", "boolean", True),
    only=(True,),
    instead="leave it true",
)
_SYNC = Field("sync_mode", "Whether files are in the answer, as data URIs.", "boolean", False)
_QUALITIES = ("low", "medium", "high", "maximum")
_VIDEO_OUTPUTS = {
    ("X264 (.mp4)", "high"): "green",
    ("VP9 (.webm)", "high"): "webm",
    ("PRORES4444 (.mov)", "high"): "prores",
    ("PRORES4444 (.mov)", "maximum"): "prores-xq",
    ("GIF (.gif)", "high"): "gif",
}
"""Our format for a kind of file and a quality."""


def _network(values: Values) -> Values:
    name = model("fal", "model", values["model"])
    size = values["operating_resolution"]
    if size == "2304x2304" and name != "dynamic":
        raise FieldError("operating_resolution", "operating_resolution 2304x2304 is for General Use (Dynamic) alone")
    return {"model": name, **({"size": size} if size else {})}


def _birefnet_video(values: Values) -> Wish:
    kind, quality = values["video_output_type"], values["video_quality"]
    if (kind, quality) not in _VIDEO_OUTPUTS:
        allowed = " or ".join(one for named, one in _VIDEO_OUTPUTS if named == kind)
        raise FieldError(
            "video_quality", f"video_quality {quality!r} is not done for {kind}: give {allowed}", "not_here"
        )
    formats = [_VIDEO_OUTPUTS[kind, quality], *(["matte"] if values["output_mask"] else [])]
    roles = {"video": 0, **({"mask_video": 1} if values["output_mask"] else {})}
    under = {"background": "#000000"} if kind.startswith("X264") else {}
    return Wish({**_network(values), "to": formats, **under}, roles)


def _birefnet_image(values: Values) -> Wish:
    if values["mask_only"]:
        formats, roles = ["matte"], {"image": 0}
    else:
        with_mask = values["output_mask"]
        formats = ["png", "matte"] if with_mask else ["png"]
        roles = {"image": 0, **({"mask_image": 1} if with_mask else {})}
    kind = values["output_format"]
    finish = None if kind == "png" else {"name": f"result.{kind}", "of": 0}
    return Wish({**_network(values), "to": formats}, roles, finish)


def _ben_video(values: Values) -> Wish:
    under = values["background_color"]
    options = {"to": "webm"} if under is None else {"to": "green", "background": colour_of_codes(_UNDER.name, under)}
    return Wish(options, {"video": 0}, more={"seed": values["seed"] or 0})


_UNDER = Field("background_color", "[red, green, blue] under the subject; left out: transparent.", "array")
_ROWS = {
    "fal-ai/birefnet/v2/video": Endpoint(
        "fal-ai/birefnet",
        "video_url",
        (
            *(_VIDEO, *_MODEL, _MASK, _REFINE, _SYNC),
            Field(
                *("video_output_type", "Kind of file.", "string", "X264 (.mp4)"),
                choices=tuple(dict.fromkeys(kind for kind, _ in _VIDEO_OUTPUTS)),
            ),
            Field("video_quality", "Quality of the encoding.", "string", "high", _QUALITIES),
            Field(
                *("video_write_mode", "Effort of the encoder.", "string", "balanced"),
                choices=("fast", "balanced", "small"),
                only=("balanced",),
            ),
        ),
        _birefnet_video,
    ),
    "fal-ai/birefnet/v2": Endpoint(
        "fal-ai/birefnet",
        "image_url",
        (
            *(_IMAGE, *_MODEL, _MASK, _REFINE, _SYNC),
            Field("output_format", "Kind of file.", "string", "png", ("png", "webp", "gif")),
            Field("mask_only", "Whether the mask is made instead.", "boolean", False),
        ),
        _birefnet_image,
    ),
    "fal-ai/ben/v2/video": Endpoint(
        "fal-ai/ben",
        "video_url",
        (
            _VIDEO,
            Field("seed", "Given back: the same clip has the same result anyway.", "integer"),
            _UNDER,
            _SYNC,
        ),
        _ben_video,
    ),
    "bria/video/background-removal": Endpoint(
        "bria/video",
        "video_url",
        (*bria.fields(background="Black"), _SYNC),
        lambda values: Wish(bria.options(values), {"video": 0}),
    ),
}
ENDPOINTS: Mapping[str, Endpoint] = MappingProxyType(_ROWS)
"""Every endpoint by its path."""

"""Runware's tasks: their inputs as rows, and what each asks of the queue."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from birefvideo.serve.services.bria import COLOURS
from birefvideo.serve.services.fields import Field, FieldError, colour, colour_of_codes, read, shown
from birefvideo.serve.services.names import model

Values = dict[str, Any]
BACKGROUND, IMAGE_BACKGROUND = "removeBackground", "imageBackgroundRemoval"

_COMMON = (
    Field("taskType", "What is to be done."),
    Field("taskUUID", "The client's own id.", is_needed=True),
    Field("model", "Model; left out: the best one that is here."),
    Field("includeCost", "Whether the answer says what it cost: nothing.", "boolean", False),
    Field("webhookURL", "Address that is told of the end."),
    Field("settings", "What else.", "object", {}),
    Field("outputQuality", "Quality of JPG and WEBP.", "integer", 95, between=(20, 99)),
    Field("numberResults", "Results.", "integer", 1, only=(1,)),
)
_VIDEO = (
    *_COMMON,
    Field("inputs", "The clip or picture.", "object", is_needed=True),
    Field(
        "deliveryMethod", "Whether the result is waited for, or asked for.", default="async", choices=("sync", "async")
    ),
    Field("outputFormat", "Kind of file.", choices=("MP4", "WEBM", "MOV", "GIF", "PNG", "JPG", "WEBP")),
    Field("outputType", "How a picture is sent back.", default="URL", choices=("URL", "dataURI", "base64Data")),
)
_SETTINGS = (
    Field("rgba", "[red, green, blue, alpha] under the subject.", "array"),
    Field("background_color", "Colour under the subject, by name.", choices=COLOURS),
    Field("returnOnlyMask", "Whether the mask is made instead.", "boolean", False),
    *(
        Field(name, "Not done here: edges are soft anyway.", "boolean", False, only=(False,))
        for name in ("alphaMatting", "postProcessMask")
    ),
)
_FLAT = (
    *_COMMON,
    Field("inputImage", "The picture.", is_needed=True),
    Field("outputFormat", "Kind of file.", choices=("PNG", "JPG", "WEBP")),
    Field("outputType", "How it is sent back.", default="URL", choices=("URL", "dataURI", "base64Data")),
    *_SETTINGS,
)
_MOVING = {"WEBM": "webm", "MOV": "prores", "GIF": "gif"}


@dataclass(frozen=True)
class Task:
    """A task that can be done."""

    key: str
    """The client's id of it."""
    type: str
    source: str
    """Name of the input that is the clip or picture."""
    value: Any
    """What it names."""
    is_video: bool
    options: Values
    """Options of `matte`, and formats."""
    finish: Values | None
    """What is done to a picture: see `results.results`."""
    delivery: str
    """How a picture is sent back."""
    is_waited_for: bool
    """Whether the answer is the result."""
    webhook: str | None


def task_of(given: Values) -> Task:
    """Return what a request asks for.

    Raises:
        FieldError: an input is unknown, or not done here.
    """
    is_flat = given["taskType"] == IMAGE_BACKGROUND
    values = read(_FLAT if is_flat else _VIDEO, given)
    key = values["taskUUID"]
    if not re.fullmatch(r"[\w-]{1,64}", key):
        raise FieldError("taskUUID", f"taskUUID is {shown(key)}: give a UUID", "invalidTaskUUID")
    if is_flat:
        source, value, settings, is_video = "inputImage", values["inputImage"], values, False
    else:
        settings = read(_SETTINGS, values["settings"])
        source, value = _input(values["inputs"])
        is_video = source == "inputs.video"
    under = _under(settings)
    formats, finish = (_moving if is_video else _still)(values, settings, under)
    background = {"background": under} if under and "green" in formats else {}
    return Task(
        *(key, given["taskType"], source, value, is_video),
        options={"model": model("runware", "model", values["model"]), "to": formats, **background},
        finish=finish,
        delivery=values["outputType"],
        is_waited_for=not values["webhookURL"] and (is_flat or values["deliveryMethod"] == "sync"),
        webhook=values["webhookURL"],
    )


def _input(inputs: Values) -> tuple[str, Any]:
    names = [name for name in ("video", "image") if inputs.get(name)]
    if len(names) != 1 or len(inputs) != 1:
        raise FieldError("inputs", "inputs has to hold either video or image, and nothing else", "invalidInputs")
    return f"inputs.{names[0]}", inputs[names[0]]


def _under(settings: Values) -> str | None:
    """Return the colour that settings put under the subject, or None."""
    codes, name = settings["rgba"], settings["background_color"]
    if codes is not None and name is not None:
        raise FieldError("settings.rgba", "settings has rgba and background_color: give one of them")
    if name is not None:
        return None if name == "Transparent" else colour("settings.background_color", name)
    if codes is None:
        return None
    if len(codes) != 4 or codes[3] not in (0, 255, 1.0):
        raise FieldError(
            "settings.rgba",
            "settings.rgba is [red, green, blue, alpha], whose alpha here is 0 or 255: others are not done",
        )
    return None if codes[3] == 0 else colour_of_codes("settings.rgba", codes[:3])


def _moving(values: Values, settings: Values, under: str | None) -> tuple[list[str], Values | None]:
    kind = values["outputFormat"] or ("MP4" if under or settings["returnOnlyMask"] else "WEBM")
    if values["outputType"] != "URL":
        raise FieldError("outputType", "outputType is for pictures: a clip has an address")
    if kind in ("PNG", "JPG", "WEBP"):
        raise FieldError("outputFormat", f"outputFormat {kind} is for pictures: give MP4, WEBM, MOV or GIF for a clip")
    if settings["returnOnlyMask"]:
        if kind != "MP4" or under:
            raise FieldError("outputFormat", "a mask is an MP4 without a background here: give outputFormat MP4")
        return ["matte"], None
    if kind == "MP4":
        if not under:
            raise FieldError(
                "outputFormat", "an MP4 has no transparency: give WEBM or MOV, or settings.rgba of the background"
            )
        return ["green"], None
    if under:
        raise FieldError("outputFormat", f"{kind} is transparent here: give MP4 for a background, or no background")
    return [_MOVING[kind]], None


def _still(values: Values, settings: Values, under: str | None) -> tuple[list[str], Values | None]:
    kind = values["outputFormat"] or "PNG"
    if kind not in ("PNG", "JPG", "WEBP"):
        raise FieldError("outputFormat", f"outputFormat {kind} is for clips: give PNG, JPG or WEBP for a picture")
    if settings["returnOnlyMask"]:
        formats = ["matte"]
    elif under:
        formats = ["green"]
    elif kind == "JPG":
        raise FieldError(
            "outputFormat", "a JPG has no transparency: give PNG or WEBP, or settings.rgba of the background"
        )
    else:
        formats = ["png"]
    if kind == "PNG":
        return formats, None
    return formats, {"name": f"result.{kind.lower()}", "of": 0, "quality": values["outputQuality"]}

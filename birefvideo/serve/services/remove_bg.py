"""remove.bg's interface, v1.0: a picture in, the picture without its background as the answer."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from birefvideo.errors import BirefvideoError
from birefvideo.serve.bodies import MOST_JSON, read_form
from birefvideo.serve.faults import RefusedError, refusal
from birefvideo.serve.files import file_answer, zip_of
from birefvideo.serve.order import UPLOAD, Order
from birefvideo.serve.services.fields import Field, FieldError, colour, from_text, read, shown
from birefvideo.serve.services.names import NAMES, model
from birefvideo.serve.services.places import InlineBodies, decoded, take
from birefvideo.serve.services.results import results, warnings_of, why_failed
from birefvideo.serve.services.unscreen import refused
from birefvideo.serve.store import SUCCEEDED, Job, Upload
from birefvideo.serve.studio import Studio

SERVICE = "remove.bg"
_SIZES = {
    "preview": 250_000,
    "small": 250_000,
    "regular": 250_000,
    "medium": 1_500_000,
    "hd": 4_000_000,
    "4k": 10_000_000,
    "50MP": 50_000_000,
    "full": None,
    "auto": None,
}
"""Pixels at most; full and auto are as large as the picture. Larger pictures are made smaller."""
_ORIGINAL = {"scale": "original", "position": "original", "roi": "0% 0% 100% 100%"}
_FIELDS = (
    Field("image_file_b64", "The picture as base64."),
    Field("image_url", "Address of the picture.", is_file=True),
    Field("size", "Size of the result.", default="preview", choices=tuple(_SIZES)),
    Field("type", "What the subject is.", default="auto", choices=tuple(NAMES[SERVICE])),
    Field("type_level", "How exactly the answer says what the subject is.", default="1", only=("none", "1")),
    Field("format", "Kind of file.", default="auto", choices=("auto", "png", "jpg", "webp", "zip")),
    Field("channels", "The picture, or its alpha alone.", default="rgba", choices=("rgba", "alpha")),
    Field("crop", "Whether it is cut to its subject.", "boolean", False),
    Field("crop_margin", "Room around the subject: pixels or %, one to four values.", default="0"),
    Field("bg_color", "Colour under the subject."),
    Field("bg_image_url", "Address of a picture under the subject.", is_file=True),
    Field("add_shadow", "Whether a shadow is added.", "boolean", False, only=(False,)),
    Field("shadow_type", "Kind of shadow.", default="none", only=("none",)),
    Field("semitransparency", "Whether windows shine through.", "boolean", True, only=(True,)),
    *(Field(name, "Not done here.", default=value, only=(value,)) for name, value in _ORIGINAL.items()),
)


def routes(studio: Studio) -> list[BaseRoute]:
    """Return where it answers."""
    it = _RemoveBg(studio)
    return [Route("/v1.0/removebg", it.remove, methods=["POST"])]


class _RemoveBg:
    """Answers requests."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._bodies = InlineBodies()

    async def remove(self, request: Request) -> Response:
        try:
            return await self._remove(request)
        except BirefvideoError as error:
            return refused(refusal(error))

    async def _remove(self, request: Request) -> Response:
        files: dict[str, Upload] = {}
        if request.headers.get("content-type", "").startswith("application/json"):
            given = await self._bodies.read(request)
        else:
            form = await read_form(self._studio, request, most_texts=4 * MOST_JSON)
            files, given = form.files, from_text(_FIELDS, form.texts)
        values = read(_FIELDS, given)
        for name in files:
            if name not in ("image_file", "bg_image_file"):
                raise FieldError(name, f"there is no file {shown(name)}: send the picture as image_file")
        options, finish = _wish(values)
        options |= await self._under(request, values, files)
        Order.of(options)
        picture = await self._picture(request, values, files)
        if not picture.facts.get("is_picture", True):
            raise FieldError("image_file", "that is a clip: send it to /v1.0/videos, or give a picture")
        kind = values["format"]
        notes = {"finish": finish, "kind": kind}
        job = await self._studio.submit(picture.id, Order.of(options), service=SERVICE, notes=notes)
        job = await self._studio.wait(job.id)
        if job.state != SUCCEEDED:
            raise RefusedError(422, "failed", why_failed(job))
        return await self._answer(request, job)

    async def _picture(self, request: Request, values: dict[str, Any], files: dict[str, Upload]) -> Upload:
        sources = [name for name in ("image_file_b64", "image_url") if values[name]]
        if len(sources) + ("image_file" in files) != 1:
            raise FieldError("image_file", "give one of image_file, image_file_b64 and image_url", "missing_source")
        if "image_file" in files:
            return files["image_file"]
        if sources == ["image_url"]:
            return await take(self._studio, request, "image_url", values["image_url"])
        text = re.sub(r"^data:[\w/+.-]*;base64,|\s", "", values["image_file_b64"])
        return await self._studio.receive("image", decoded("image_file_b64", text))

    async def _under(self, request: Request, values: dict[str, Any], files: dict[str, Upload]) -> dict[str, Any]:
        """Return the option that puts a picture under the subject, if there is one."""
        if "bg_image_file" in files:
            under = files["bg_image_file"]
        elif values["bg_image_url"]:
            under = await take(self._studio, request, "bg_image_url", values["bg_image_url"])
        else:
            return {}
        if values["bg_color"] or values["channels"] == "alpha" or values["format"] == "zip":
            raise FieldError(
                "bg_image_url", "a picture under the subject goes with rgba and without bg_color: give one"
            )
        return {"background": f"{UPLOAD}{under.id}", "to": ["green", "png"]}

    async def _answer(self, request: Request, job: Job) -> Response:
        paths = await results(self._studio, job)
        headers = {"x-credits-charged": "0"}
        if warnings := warnings_of(job):
            headers["x-warnings"] = "; ".join(warnings).encode("ascii", "backslashreplace").decode()
        if job.notes["kind"] == "zip":
            answer = zip_of("no-bg.zip", {"color.jpg": paths[0], "alpha.png": paths[1]})
        else:
            answer = file_answer(paths[0], as_download=True)
            facts = await self._studio.ask("probe", path=str(paths[0]), most_pixels=self._studio.settings.most_pixels)
            headers |= {"x-width": str(facts["width"]), "x-height": str(facts["height"])}
            if "application/json" in request.headers.get("accept", ""):
                return JSONResponse({"data": {"result_b64": _base64(paths[0])}}, headers=headers)
        answer.headers.update(headers)
        return answer


def _wish(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return options of `matte` with formats, and what is done to the picture afterwards."""
    kind, under = values["format"], values["bg_color"]
    options: dict[str, Any] = {"model": model(SERVICE, "type", values["type"])}
    most, margin = _SIZES[values["size"]], _margin(values["crop_margin"])
    if values["channels"] == "alpha":
        if under:
            raise FieldError("bg_color", "bg_color is for channels=rgba: leave it out")
        options["to"] = ["matte", "png"]
    elif kind == "zip":
        if under or values["crop"] or most is not None:
            raise FieldError("format", "a zip is the whole picture: give size=full without bg_color and crop")
        return {**options, "to": ["fill", "matte"]}, {"name": "color.jpg", "of": 0}
    elif under or kind == "jpg":
        options |= {"to": ["green", "png"], "background": colour("bg_color", under or "white")}
    else:
        options["to"] = ["png"]
    ending = {"auto": "png"}.get(kind, kind)
    finish: dict[str, Any] = {"name": f"result.{ending}", "of": 0, "most_pixels": most}
    if values["crop"]:
        room, is_relative = margin
        finish |= {"margin": room, "is_margin_relative": is_relative}
        finish |= {} if options["to"] == ["png"] else {"alpha": 1}
    is_as_made = ending == "png" and most is None and not values["crop"]
    return options, None if is_as_made else finish


def _margin(text: str) -> tuple[list[float], bool]:
    """Return the room above, right, below and left, and whether it is a part of the subject's size."""
    words = text.split()
    found = [re.fullmatch(r"(\d{1,5}(?:\.\d{1,5})?)(px|%)?", word) for word in words]
    parts = [one for one in found if one]
    if len(parts) not in (1, 2, 4) or len(parts) != len(words) or len({one[2] == "%" for one in parts}) != 1:
        raise FieldError("crop_margin", f"crop_margin is {shown(text)}: give 30px, 10% or four values of one kind")
    is_relative = parts[0][2] == "%"
    values = [float(one[1]) / (100 if is_relative else 1) for one in parts]
    return (values * 4)[:4], is_relative


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()

"""The description of our interface as OpenAPI 3.1, made from the options themselves."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from birefvideo import __version__
from birefvideo.jobs.options import Options
from birefvideo.serve.order import CHOICES, is_flag, takes_file
from birefvideo.serve.store import STATES

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_NUMBER: Schema = {"type": "number"}
_MAYBE_TEXT: Schema = {"type": ["string", "null"]}


def description() -> Schema:
    """Return the document at /openapi.json."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "birefvideo",
            "version": __version__,
            "description": "Cut people out of video on this machine. Send a clip, wait, get the files.",
        },
        "paths": _paths(),
        "components": {
            "schemas": {"Job": _job(), "Upload": _upload(), "Output": _output(), "Error": _error()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            },
        },
        "security": [{}, {"bearer": []}, {"key": []}],
    }


def _paths() -> Schema:
    job, upload = _ref("Job"), _ref("Upload")
    key = _parameter("id", "path", _TEXT)
    files = {"200": _binary("The file; ranges work."), "206": _binary("A part of it.")}
    same = {"description": "What the client has, by the tag in If-None-Match, is the newest."}
    return {
        "/v1/jobs": {
            "get": _does(
                "List jobs, the newest first",
                {"200": _json(_object({"jobs": _list(job), "before": {"type": ["integer", "null"]}})), "304": same},
                _parameter("limit", "query", {**_WHOLE, "minimum": 0, "maximum": 500}),
                _parameter("before", "query", {**_WHOLE, "minimum": 0}),
            ),
            "post": _does("Send a clip and cut it out", {"201": _json(job)}, body=_clip_body(with_options=True)),
        },
        "/v1/jobs/{id}": {
            "get": _does("How a job is", {"200": _json(job), "304": same}, key),
            "delete": _does("Remove a job and its files", {"204": _nothing()}, key),
        },
        "/v1/jobs/{id}/cancel": {"post": _does("Stop a job", {"200": _json(job)}, key)},
        "/v1/jobs/{id}/events": {"get": _does("Follow a job", {"200": _stream()}, key)},
        "/v1/jobs/{id}/log": {
            "get": _does("What a job has said", {"200": _json(_object({"lines": _list(_TEXT)}))}, key)
        },
        "/v1/jobs/{id}/open": {"post": _does("Show its folder on this machine", {"204": _nothing()}, key)},
        "/v1/jobs/{id}/outputs": {
            "get": _does("What a job has made", {"200": _json(_object({"outputs": _list(_ref("Output"))}))}, key)
        },
        "/v1/jobs/{id}/outputs/{name}": {
            "get": _does(
                "Get an output",
                files,
                key,
                _parameter("name", "path", _TEXT),
                _parameter("download", "query", _TEXT),
            )
        },
        "/v1/uploads": {
            "post": _does("Send a clip without a job", {"201": _json(upload)}, body=_clip_body(with_options=False))
        },
        "/v1/uploads/{id}": {
            "get": _does("What an upload is", {"200": _json(upload)}, key),
            "delete": _does("Remove an upload that no job has", {"204": _nothing()}, key),
        },
        "/v1/uploads/{id}/file": {"get": _does("The file itself", files, key)},
        "/v1/uploads/{id}/frame": {
            "get": _does(
                "One frame cut out at once, as PNG with alpha",
                {"200": _binary("The frame.", "image/png")},
                key,
                _parameter("time", "query", _TEXT),
            ),
            "post": _does(
                "The same with marks, of which those act that one frame can show",
                {"200": _binary("The frame.", "image/png")},
                key,
                body=_marked_look(),
            ),
        },
        "/v1/uploads/{id}/picture": {
            "get": _does(
                "One frame as it is",
                {"200": _binary("The frame.", "image/jpeg")},
                key,
                _parameter("time", "query", _TEXT),
            )
        },
        "/v1/uploads/{id}/advice": {
            "get": _does(
                "Which model the clip asks for, and why",
                {"200": _json({"type": "object"})},
                key,
                _parameter("start", "query", _TEXT),
                _parameter("end", "query", _TEXT),
            )
        },
        "/v1/options": {"get": _does("Every option of a job", {"200": _json({"type": "object"})})},
        "/v1/formats": {"get": _does("What can be written", {"200": _json({"type": "object"})})},
        "/v1/models": {"get": _does("Models, and which are here", {"200": _json({"type": "object"})})},
        "/v1/health": {"get": _does("Whether the server is there", {"200": _json({"type": "object"})})},
    }


def _does(summary: str, answers: Schema, *parameters: Schema, body: Schema | None = None) -> Schema:
    error = {"description": "What was wrong, and what to do.", "content": _content(_ref("Error"))}
    found: Schema = {"summary": summary, "responses": {**answers, "4XX": error, "5XX": error}}
    if parameters:
        found["parameters"] = list(parameters)
    if body:
        found["requestBody"] = body
    return found


def _clip_body(*, with_options: bool) -> Schema:
    options = option_schemas() if with_options else {}
    video = {"type": "string", "contentMediaType": "application/octet-stream", "description": "The clip."}
    files = {
        option.name: {"type": "string", "contentMediaType": "application/octet-stream"}
        for option in fields(Options)
        if with_options and takes_file(option.name)
    }
    by_name = {
        "upload": {**_TEXT, "description": "Id of an upload."},
        "video_url": {**_TEXT, "description": "Address of a clip, if the server may fetch it."},
    }
    form = {**options, **{name: {"anyOf": [options[name], file]} for name, file in files.items()}}
    return {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _object({"video": video, **form})},
            "application/json": {"schema": _object({**by_name, **options})},
            "application/octet-stream": {
                "schema": {"type": "string", "description": "The clip; name and options go into the query."}
            },
        },
    }


def _marked_look() -> Schema:
    marks = {"type": "object", "description": "What a file of marks holds."}
    wanted = _object({"time": {"type": ["number", "string"]}, "marks": marks})
    return {"required": True, "content": {"application/json": {"schema": wanted}}}


def option_schemas() -> Schema:
    """Return the schema of every option of a job by its name."""
    found: Schema = {}
    for option in fields(Options):
        kind = "boolean" if is_flag(option.name) else ["string", "number", "array"]
        found[option.name] = {"type": kind, "description": option.metadata["help"]}
        if takes_file(option.name):
            found[option.name]["description"] += " A file is uploaded, and named as upload:ID."
    for name, text in CHOICES.items():
        found[name] = {"type": ["string", "array"] if name == "to" else "boolean", "description": text}
    return found


def _job() -> Schema:
    progress = {"done": _WHOLE, "total": {"type": ["integer", "null"]}, "fps": _NUMBER, "eta": _NUMBER}
    return _object(
        {
            "id": _TEXT,
            "status": {"enum": list(STATES)},
            "name": _TEXT,
            "position": {**_WHOLE, "description": "Jobs that end before this one begins."},
            "progress": {"type": "object", "description": f"{', '.join(progress)}, as far as they are known."},
            "outputs": _list(_ref("Output")),
            "warnings": _list(_TEXT),
            "losses": {**_list(_TEXT), "description": "What the clip lacks, where it was damaged."},
            "error": {"type": ["object", "null"]},
            "created": _TEXT,
            "started": _MAYBE_TEXT,
            "ended": _MAYBE_TEXT,
        }
    )


def _upload() -> Schema:
    facts = {"width": _WHOLE, "height": _WHOLE, "fps": _NUMBER, "seconds": _NUMBER, "frames": _WHOLE}
    return _object({"id": _TEXT, "name": _TEXT, "bytes": _WHOLE, **facts, "is_picture": {"type": "boolean"}})


def _output() -> Schema:
    return _object({"name": _TEXT, "bytes": _WHOLE, "kind": {"enum": ["output", "extra"]}, "url": _TEXT})


def _error() -> Schema:
    return _object({"error": _object({"kind": _TEXT, "message": _TEXT})})


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _parameter(name: str, place: str, schema: Schema) -> Schema:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _content(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _json(schema: Schema) -> Schema:
    return {"description": "Done.", "content": _content(schema)}


def _binary(text: str, kind: str = "application/octet-stream") -> Schema:
    return {"description": text, "content": {kind: {"schema": {"type": "string"}}}}


def _stream() -> Schema:
    return {"description": "Events named job.", "content": {"text/event-stream": {"schema": _TEXT}}}


def _nothing() -> Schema:
    return {"description": "Done; there is no body."}

"""A process beside the server that reads the files of clients for it: memory that one takes, or a crash, end it alone.

It reads one JSON object a line on stdin, {"do": NAME, …}, and answers each with one on stdout; `desk` asks it.
It runs in an empty folder, so that no text of a client is the name of a file.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import asdict, fields, is_dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birefvideo.errors import BirefvideoError, InputError, OptionError, with_arguments
from birefvideo.jobs.arguments import EDGE
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import as_asked, plan_targets, trimmed_span
from birefvideo.json_files import read_json_object

if TYPE_CHECKING:
    from birefvideo.frames import VideoInfo
    from birefvideo.jobs.look import Looker

Values = dict[str, Any]


def probe_facts(path: str, most_pixels: int) -> Values:
    """Return what a file is: size, rate, length, whether it is one picture."""
    from birefvideo.media.reading.probe import probe

    return _facts(_allowed(probe(Path(path)), most_pixels))


def check(path: str, options: Values, to: list[str], folder: str, uploads: list[str], most_pixels: int) -> Values:
    """Return the outputs of a job and the devices that it runs on, if nothing speaks against it yet."""
    from birefvideo.jobs.loaded_model import check_machine
    from birefvideo.matting.devices import device_names, find_device
    from birefvideo.media.format_table import get_formats
    from birefvideo.media.reading.probe import probe

    get_formats(to)
    _check_marks(_marks_of(options))
    chosen = Options(**options)
    _check_paths(chosen, {Path(upload) for upload in uploads})
    check_machine(chosen)
    targets = plan_targets(Path(path), Path(folder), to, chosen, into=True)
    info = _allowed(as_asked(probe(Path(path)), chosen), most_pixels)
    trimmed_span(info, chosen.start, chosen.end)
    devices = sorted({str(find_device(name)) for name in device_names(chosen.device)})
    return {"device": ",".join(devices), "outputs": [target.path.name for target in targets]}


def frame(path: str, time: str | None, options: Values, marks: Values | None, most_pixels: int) -> Values:
    """Return one frame as PNG, cut out with the built-in model: R'G'B' and alpha, and when it is in the clip.

    Of `marks`, those act that this frame alone can show; see `jobs.look.Looker`.
    """
    import cv2

    from birefvideo.media.reading.probe import probe

    _check_marks(marks or {})
    wanted: Any = {name: value for name, value in options.items() if name in (*EDGE, "despill", "deinterlace")}
    begin: Any = {} if time is None else {"start": time}
    chosen = Options(**begin, **wanted, marks=marks)
    info = _allowed(as_asked(probe(Path(path)), chosen), most_pixels)
    found = _looker().look(info, chosen if info.still is None else chosen.changed(start=None))
    if found is None:
        raise InputError(f"there is no frame at {time} s: give a time before the end")
    rgba = found.rgba()
    _, png = cv2.imencode(".png", rgba[..., [2, 1, 0, 3]], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    seconds = (found.pts - info.start) * info.time_base
    return {"png": base64.b64encode(png.tobytes()).decode(), "time": float(seconds)}


def source(path: str, time: str | None, most_pixels: int) -> Values:
    """Return one frame as it is, as JPEG, and when it is in the clip."""
    import cv2

    from birefvideo.media.reading.decode import read_frames
    from birefvideo.media.reading.probe import probe
    from birefvideo.planes import to_444
    from birefvideo.rgb import rgb_codes

    info = _allowed(probe(Path(path)), most_pixels)
    start = None if info.still or time is None else Options(start=time).start
    with closing(read_frames(info, trimmed_span(info, start, None))) as frames:
        found = next(frames, None)
    if found is None:
        raise InputError(f"there is no frame at {time} s: give a time before the end")
    _, jpeg = cv2.imencode(".jpg", rgb_codes(to_444(found.picture))[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    seconds = (found.pts - info.start) * info.time_base
    return {"jpeg": base64.b64encode(jpeg.tobytes()).decode(), "time": float(seconds)}


def advise(path: str, start: str | None, end: str | None) -> Values:
    """Return which model a clip asks for, and why."""
    from birefvideo.jobs.advise import advise

    return advise(path, start=start, end=end).as_dict()


def catalogue() -> Values:
    """Return the formats and models that there are."""
    from birefvideo.jobs.catalogue import formats, models

    rows = [{**asdict(row), "weights": row.weights is not None} for row in models()]
    return {"formats": [asdict(row) for row in formats()], "models": rows}


def picture(**values: Any) -> Values:
    """Make of a picture of ours one of another kind, size or cut; return its size."""
    from birefvideo.serve.pictures import finish

    width, height = finish(**values)
    return {"width": width, "height": height}


@lru_cache(maxsize=1)
def _looker() -> Looker:
    from birefvideo.family.variants import EMBEDDED
    from birefvideo.jobs.loaded_model import LoadedModel
    from birefvideo.jobs.look import Looker

    return Looker(LoadedModel(Options(model=EMBEDDED, batch=1)))


def _allowed(info: VideoInfo, most_pixels: int) -> VideoInfo:
    if info.width * info.height > most_pixels:
        raise InputError(
            f"pictures of {info.width}×{info.height} are larger than this server takes ({most_pixels:,} pixels): "
            "make the clip smaller first"
        )
    return info


def _facts(info: VideoInfo) -> Values:
    return {
        "width": info.width,
        "height": info.height,
        "fps": float(info.rate),
        "seconds": float(info.duration),
        "frames": info.frame_count,
        "is_picture": info.still is not None,
        "has_sound": bool(info.audio),
        "doubts": list(info.doubts),
    }


def _marks_of(options: Values) -> Values:
    """Return what the file of marks of a job holds; nothing where it is no such file, which its reader then says."""
    with suppress(OSError, ValueError):
        return read_json_object(Path(str(options["marks"]))) if "marks" in options else {}
    return {}


def _check_marks(marks: Values) -> None:
    """Refuse marks that name files, before one is read or even looked for.

    Raises:
        OptionError: they do.
    """
    if marks.get("mend"):
        raise OptionError(
            "marks has mend, which names files on your own machine: send the picture as a file of the option mend"
        )


def _check_paths(chosen: Options, allowed: set[Path]) -> None:
    """Refuse values that a parser took for the name of a file that the client did not send.

    Raises:
        OptionError: names the option.
    """
    for option in fields(Options):
        if any(path not in allowed for path in _paths_in(getattr(chosen, option.name))):
            raise OptionError(f"{option.name} names a file: upload it, and name it as upload:ID")


def _paths_in(value: object) -> list[Path]:
    if isinstance(value, os.PathLike):
        return [Path(value)]
    if isinstance(value, list | tuple | set | frozenset):
        return [path for one in value for path in _paths_in(one)]
    if is_dataclass(value) and not isinstance(value, type):
        return [path for part in fields(value) for path in _paths_in(getattr(value, part.name))]
    return []


_TASKS: dict[str, Callable[..., Values]] = {
    "probe": probe_facts,
    "check": check,
    "frame": frame,
    "source": source,
    "advise": advise,
    "catalogue": catalogue,
    "picture": picture,
}


def _answer(line: bytes) -> Values:
    asked = json.loads(line)
    task = _TASKS[asked.pop("do")]
    try:
        return {"answer": task(**asked)}
    except BirefvideoError as error:
        return {"error": type(error).__name__, "message": with_arguments(error.message)}
    except Exception as error:
        return {"error": "failed", "message": f"{type(error).__name__}: {error}"}


def _plain(value: object) -> object:
    if isinstance(value, Fraction):
        return float(value)
    return str(value)


def main() -> None:
    """Answer until stdin is closed, which it is when the server is gone."""
    answers = os.dup(1)
    os.dup2(2, 1)  # a library that prints spoils no answer
    for line in sys.stdin.buffer:
        data = json.dumps(_answer(line), default=_plain).encode() + b"\n"
        while data:
            data = data[os.write(answers, data) :]


if __name__ == "__main__":
    main()

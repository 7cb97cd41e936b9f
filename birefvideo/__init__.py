"""Cut people out of video: BiRefNet mattes as ProRes 4444 and WebM alpha.

import birefvideo

birefvideo.cutout("photo.jpg").save("photo.png")
birefvideo.matte("clip.mp4")
for frame in birefvideo.mattes("clip.mp4"):
    frame.rgba(), frame.alpha, frame.pts
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from birefvideo.family.auto_classes import register

if TYPE_CHECKING:
    from birefvideo.advice.advise import Advice
    from birefvideo.api import formats, load_model, matte, mattes, models
    from birefvideo.comparison.compare import Comparison, compare
    from birefvideo.errors import (
        BirefvideoError,
        CancelledError,
        DeviceError,
        InputError,
        ModelError,
        OptionError,
        OutputError,
    )
    from birefvideo.frames import Frame
    from birefvideo.job import Job
    from birefvideo.jobs.advise import advise
    from birefvideo.jobs.options import Options
    from birefvideo.jobs.progress import FrameProgress
    from birefvideo.jobs.receipt import receipt_schema
    from birefvideo.jobs.result import Result
    from birefvideo.session import Session, cutout

__version__ = "0.2.0"

_HOMES = {
    **dict.fromkeys(("formats", "load_model", "matte", "mattes", "models"), "api"),
    **dict.fromkeys(
        ("BirefvideoError", "CancelledError", "DeviceError", "InputError", "ModelError", "OptionError", "OutputError"),
        "errors",
    ),
    "Advice": "advice.advise",
    "advise": "jobs.advise",
    **dict.fromkeys(("Comparison", "compare"), "comparison.compare"),
    "Frame": "frames",
    "FrameProgress": "jobs.progress",
    "Job": "job",
    "Options": "jobs.options",
    "Result": "jobs.result",
    "receipt_schema": "jobs.receipt",
    **dict.fromkeys(("Session", "cutout"), "session"),
}
"""Public names, and the module that each comes from."""

__all__ = [
    "Advice",
    "BirefvideoError",
    "CancelledError",
    "Comparison",
    "DeviceError",
    "Frame",
    "FrameProgress",
    "InputError",
    "Job",
    "ModelError",
    "OptionError",
    "Options",
    "OutputError",
    "Result",
    "Session",
    "advise",
    "compare",
    "cutout",
    "formats",
    "load_model",
    "matte",
    "mattes",
    "models",
    "receipt_schema",
]


def __getattr__(name: str) -> Any:
    # Imported on first use: torch alone takes seconds, and `birefvideo --help` needs none of it.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"birefvideo.{_HOMES[name]}"), name)


register()

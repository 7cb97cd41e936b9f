"""Cut people out of video: BiRefNet mattes as ProRes 4444 and WebM alpha.

import birefvideo

birefvideo.matte("clip.mp4")
for frame in birefvideo.mattes("clip.mp4"):
    frame.alpha, frame.foreground, frame.pts
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from birefvideo.api import load_model, matte, mattes
    from birefvideo.errors import BirefvideoError

__version__ = "0.2.0"
__all__ = ["BirefvideoError", "load_model", "matte", "mattes"]


def __getattr__(name: str) -> Any:
    # Imported on first use: torch alone takes seconds, and `birefvideo --help` needs none of it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from birefvideo import api, errors

    return getattr(errors if name == "BirefvideoError" else api, name)

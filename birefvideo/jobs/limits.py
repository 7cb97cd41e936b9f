"""What a job takes in memory, as far as a clip's header and the options say it."""

from __future__ import annotations

from collections.abc import Sequence

from birefvideo.errors import InputError
from birefvideo.frames import VideoInfo
from birefvideo.jobs.plan import Target
from birefvideo.media.output_format import output_size
from birefvideo.media.reading.open_input import BYTES_A_PIXEL
from birefvideo.memory import check_memory

_FRAMES_AT_ONCE = 3
"""What all frames under way take, in pictures that go their way alone: measured 126 bytes a pixel at most."""


def check_pictures_fit(info: VideoInfo, targets: Sequence[Target] = ()) -> None:
    """Refuse pictures, as they are read or as they are written, that do not fit into memory together.

    Raises:
        InputError: says how much they take, and how much is free.
    """
    sizes = [(info.width, info.height), *(output_size(target.format, info) for target in targets)]
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    needed = width * height * BYTES_A_PIXEL * (1 if info.frame_count == 1 else _FRAMES_AT_ONCE)
    what = f"pictures of {width}×{height} from {info.path.name}"
    check_memory(needed, what, "make the clip smaller first, or close other programs", InputError)

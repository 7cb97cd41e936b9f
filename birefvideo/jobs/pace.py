"""How long a segment may be: about half a minute of work, so that a stop loses no more.

What is measured differs from run to run, and the bytes of H.264 and VP9 depend on where segments begin. So the work is
taken from the network's shape and the sizes of pictures: the same command has the same segments on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable

from birefvideo.frames import VideoInfo
from birefvideo.jobs.engines import JobModel
from birefvideo.media.output_format import Format

_WORK = 30.0
"""Seconds of work in a segment."""
_FEWEST = 48
"""Frames of a segment at least: smoothing reads some on either side of it again. `KeptMattes` covers slow networks."""
_FEWEST_OF_SEVERAL = 12
"""Where several workers share a short clip."""
_FEW = 4
"""Segments of each worker up to which all are to have equally many: of more, one that is left over costs little."""
_SECONDS = {"swin_v1_l": 13.0, "swin_v1_t": 3.8}
_LIGHT = 0.27
"""Seconds for a million pixels that the network sees, in fp32 on two cores: of published backbones, and of ours."""
_REST = 0.022
"""Seconds for a million pixels of the picture: decoding, smoothing, colour and encoding."""


def segment_frames(model: JobModel, info: VideoInfo) -> int | None:
    """Return how many frames a segment may have at most, or None where the network runs on a GPU."""
    if model.kind != "cpu":
        return None
    width, height = model.size.network_size(info.width, info.height, info.sample_aspect_ratio)
    network = _SECONDS.get(model.identity.backbone, _LIGHT) * width * height / 1e6
    return max(_FEWEST, int(_WORK / (network + _REST * info.width * info.height / 1e6)))


def can_share(formats: Iterable[Format]) -> bool:
    """Return whether the bytes of outputs do not depend on where segments begin, so that these may be shorter."""
    return all(format.stands_alone or format.is_in_folder for format in formats)


def shared_frames(most: int, total: int, workers: int) -> int:
    """Return how many frames a segment may have so that all workers have equally many of a short clip.

    Args:
        most: frames of a segment else.
        total: frames of the job, about; 0 where nothing says.
        workers: how many there are.
    """
    each = -(-total // (workers * most))
    if workers == 1 or not 0 < each <= _FEW:
        return most
    return min(most, max(_FEWEST_OF_SEVERAL, -(-total // (workers * each))))

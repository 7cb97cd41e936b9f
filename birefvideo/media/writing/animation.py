"""Short animations as outputs: GIF, APNG and animated WebP with alpha, scaled down, which loop for ever.

A part is a folder of whole single pictures, as of a sequence; joining puts them into one file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.colour import BT709, is_plain, tag
from birefvideo.errors import OutputError
from birefvideo.frames import Alpha, Frame, VideoInfo
from birefvideo.media.animation_files import WRITERS
from birefvideo.media.animation_schedule import LONGEST, schedule, too_long
from birefvideo.media.formats import Format
from birefvideo.media.output_format import output_size
from birefvideo.media.sidecar import part_name
from birefvideo.media.writing import yuv_frames
from birefvideo.media.writing.image_sequence import SequenceWriter, read_part
from birefvideo.media.writing.rgb_frames import to_rgb
from birefvideo.media.writing.writer import cannot_write
from birefvideo.planes import to_444

THRESHOLD = 128
"""Alpha code of 255 from which on a GIF's pixel is there."""

# Ordered dithering stays where it is from picture to picture, error diffusion boils. At scale 4 its pattern hardly
# shows on skin and still breaks the bands that a palette without dithering has.
_DITHER = "bayer:bayer_scale=4"

Codes = NDArray[np.uint8]
"""R'G'B'A codes, uint8 (height, width, 4), straight; transparent pixels are 0."""


class AnimationWriter(SequenceWriter):
    """Encodes the frames of one segment into a folder, each scaled and as a picture file of its own."""

    def write(self, frame: Frame) -> None:
        """Encodes one frame of the segment's core.

        Raises:
            OutputError: as Writer's, or the frame is too far from the output's beginning.
        """
        first = self._info.start if self._settings.first is None else self._settings.first
        if (frame.pts - first) * self._info.time_base >= LONGEST:
            raise OutputError(f"{too_long(self._format)}, and the clip goes on: choose a part with --start and --end")
        super().write(frame)

    def _compose(self, frame: Frame) -> av.VideoFrame:
        assert frame.alpha is not None, "frames are written after prediction"
        foreground, source = frame.foreground or to_444(frame.picture), self._info.colour
        if not is_plain(source):
            foreground, source = yuv_frames.to_sdr(foreground, source), BT709
        rgb = np.clip(to_rgb(foreground, source, 255.0), 0, 255)
        codes = scaled(rgb, frame.alpha, output_size(self._format, self._info))
        if self._format.has_hard_edges:
            codes[codes[..., 3] < THRESHOLD] = 0
            codes[codes[..., 3] > 0, 3] = 255
        self._coverage.append(float(codes[..., 3].mean()) / 255)
        if self._format.is_paletted:
            return _paletted(codes)
        is_bgra = self._format.pix_fmt == "bgra"
        ordered = np.ascontiguousarray(codes[..., [2, 1, 0, 3]]) if is_bgra else codes
        picture = av.VideoFrame.from_ndarray(ordered, format=self._format.pix_fmt)
        tag(picture, self._colour)
        return picture


def scaled(rgb: NDArray[Any], alpha: Alpha, size: tuple[int, int]) -> Codes:
    """Returns colour and alpha at (width, height): averaged as premultiplied, so that no hidden colour bleeds in.

    Args:
        rgb: float32 (height, width, 3) in [0, 255], straight.
        alpha: float32 (height, width) in [0, 1].
        size: width and height of the result; where it is the picture's own, values are only rounded.
    """
    if size != alpha.shape[::-1]:
        whole = cv2.resize(np.dstack([rgb * alpha[..., None], alpha]), size, interpolation=cv2.INTER_AREA)
        alpha = whole[..., 3]
        rgb = np.clip(whole[..., :3] / np.maximum(alpha, 1e-6)[..., None], 0, 255)
    codes: Codes = np.rint(np.dstack([rgb, alpha * np.float32(255)])).astype(np.uint8)
    codes[codes[..., 3] == 0] = 0
    return codes


def _paletted(codes: Codes) -> av.VideoFrame:
    """Returns a picture as pal8 with the best 255 colours for it, and one that is transparent."""
    height, width = codes.shape[:2]
    graph = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgba"), time_base=Fraction(1))
    split, sink = graph.add("split"), graph.add("buffersink")
    palette = graph.add("palettegen", "stats_mode=single:reserve_transparent=1")
    use = graph.add("paletteuse", f"new=1:alpha_threshold={THRESHOLD}:dither={_DITHER}")
    source.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    picture = av.VideoFrame.from_ndarray(codes, format="rgba")
    picture.pts = 0
    graph.push(picture)
    graph.push(None)
    paletted = graph.pull()
    assert isinstance(paletted, av.VideoFrame), "pictures become pictures"
    return paletted


@dataclass(frozen=True)
class Joined:
    """What was put together."""

    frames: int
    """Number of pictures."""
    origin: Fraction
    """The source's time in seconds that became the animation's 0: the first picture's."""
    coverage: tuple[float, ...]
    """Mean alpha of every picture, 0 to 1, as it was handed to the encoder."""


def join_pictures(parts: Sequence[Path], output: Path, format: Format, info: VideoInfo) -> Joined:
    """Puts the pictures of `parts` that are shown into the new file `output`.

    Raises:
        OutputError: a part lacks pictures or is damaged, or the disk refuses.
    """
    told = [(part, read_part(part)) for part in parts]
    pts = [time for _, times in told for time in times.pts]
    files = [part / part_name(index, format) for part, times in told for index in range(len(times.pts))]
    coverage = [share for _, times in told for share in times.coverage]
    end = pts[-1] + told[-1][1].last_duration
    plan = schedule([time * info.time_base for time in pts], end * info.time_base, format)

    def pictures() -> Iterator[tuple[bytes, int]]:
        for index, ticks in zip(plan.indices, plan.durations, strict=True):
            yield files[index].read_bytes(), ticks

    try:
        with output.open("wb") as out:
            WRITERS[format.container.muxer](out, pictures(), output_size(format, info), len(plan.indices))
    except OSError as error:
        raise cannot_write(output, error) from error
    except (ValueError, IndexError, struct.error) as error:
        raise OutputError(f"{parts[0].parent} holds a damaged picture: remove it and run again") from error
    return Joined(len(plan.indices), (info.start + pts[0]) * info.time_base, tuple(coverage[i] for i in plan.indices))

"""One pass over a finished output, beside its source where there is one: everything that a proof goes by."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice

import av
import numpy as np

from birefvideo.colour import Colour, code_scale, is_plain, same_matrix
from birefvideo.frames import Alpha, DecodedFrame, Span, VideoInfo
from birefvideo.media.animation_schedule import is_shown
from birefvideo.media.format_table import Content, Format
from birefvideo.media.output_format import ColourPolicy, output_colour
from birefvideo.media.reading.alpha import alpha_of, luma_matte
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import resolve_colour
from birefvideo.media.verification.finished_output import FinishedOutput
from birefvideo.media.verification.premultiplication import EdgeColour
from birefvideo.media.verification.shown_colour import codes_differ, colour_error
from birefvideo.planes import bit_depth, plane_array

_COMPARED = 24
"""Pictures whose pixels are compared with the source's, or a few more."""
_OPAQUE = 0.995
"""Alpha from which on a pixel counts as solid."""


@dataclass
class Observations:
    """What one pass over an output found."""

    finished: FinishedOutput
    """What was read of it before."""
    decoded: int = 0
    """Pictures that could be decoded."""
    damaged: int = 0
    """Those of them that the decoder marks as damaged."""
    least: float = 1.0
    """Smallest alpha of all pixels; larger than `most` where there is none."""
    most: float = 0.0
    """Largest alpha of all pixels."""
    edges: EdgeColour = field(default_factory=EdgeColour)
    """How dark soft edges are."""
    colours: set[Colour] = field(default_factory=set)
    """Colour tags of all pictures."""
    pix_fmts: set[str] = field(default_factory=set)
    """Pixel formats of all pictures."""
    wrong_luma: list[float] = field(default_factory=list)
    """Of each picture compared, the median difference of solid pixels' luma from the source's, 0 to 1."""
    wrong_colour: list[float] = field(default_factory=list)
    """Of each picture compared whose codes mean other light, the median difference of solid pixels' colour, 0 to 1."""
    source_times: list[Fraction] = field(default_factory=list)
    """When the source's pictures begin that the output shows, in seconds on its clock."""
    source_end: Fraction = Fraction(0)
    """When the last of the source's pictures ends."""


def observe(seen: Observations, format: Format, info: VideoInfo | None, span: Span, *, compared: bool) -> None:
    """Decode every picture of `seen.finished`, beside the source's where there is one, and note what it shows.

    Args:
        seen: is added to; after an error it holds what was seen until then.
        format: what the output was written as.
        info: the source.
        span: the part of the source that the output shows.
        compared: whether solid colour is meant to be the source's, so that pixels can be compared.

    Raises:
        InputError: the output or the source is damaged, or the source cannot be read.
        FFmpegError: the output is damaged.
    """
    with closing(seen.finished.pictures()) as pictures:
        if info is not None:
            step = max(1, len(seen.finished.times) // _COMPARED)
            with closing(read_frames(info, span)) as frames:
                for index, frame in enumerate(frames):
                    seen.source_end = frame.seconds + frame.duration * frame.time_base
                    if format.is_animation and not is_shown(
                        frame.seconds, seen.source_times[-1] if seen.source_times else None, format
                    ):
                        continue
                    seen.source_times.append(frame.seconds)
                    for picture in islice(pictures, 1):
                        alpha = _look(picture, format, seen)
                        if compared and index % step == 0:
                            _compare(picture, alpha, frame, format, info, seen)
        for picture in pictures:
            _look(picture, format, seen)


def _look(picture: av.VideoFrame, format: Format, seen: Observations) -> Alpha | None:
    """Take in one picture; return its alpha."""
    seen.decoded += 1
    seen.damaged += picture.is_corrupt
    seen.colours.add(resolve_colour(picture))
    seen.pix_fmts.add(picture.format.name)
    alpha = luma_matte(picture) if format.content is Content.MATTE else alpha_of(picture)
    if alpha is None:
        return None
    seen.least = min(seen.least, float(alpha.min()))
    seen.most = max(seen.most, float(alpha.max()))
    if format.has_alpha:
        seen.edges.add(picture, alpha)
    return alpha


def _compare(
    picture: av.VideoFrame,
    alpha: Alpha | None,
    frame: DecodedFrame,
    format: Format,
    info: VideoInfo,
    seen: Observations,
) -> None:
    """Note how far solid colour is from the source's: luma where both are in the same codes, else what is shown."""
    colour = output_colour(format, info.colour)
    same_size = (picture.width, picture.height) == (info.width, info.height)
    if alpha is None or not format.has_alpha or not same_size:
        return
    solid = alpha >= _OPAQUE
    if not solid.any():
        return
    if codes_differ(info.colour, colour):
        # Linear light is the scene's and not a display's; a palette and WebP's losses are far off by themselves.
        is_lossy = format.is_paletted or (format.is_rgb and picture.format.name.startswith("yuv"))
        if is_lossy or format.colour_policy is ColourPolicy.RGB_LINEAR:
            return
        error = colour_error(picture, colour, frame.picture, info.colour, solid)
        seen.wrong_colour += [] if error is None else [error]
        return
    is_alike = is_plain(info.colour) and is_plain(colour) and same_matrix(info.colour, colour)
    if not picture.format.name.startswith("yuv") or not (is_alike or info.colour.matrix == colour.matrix):
        return
    lumas = []
    for one, tag in ((picture, colour), (frame.picture, info.colour)):
        scale, offset = code_scale(tag.range, bit_depth(one))
        lumas.append((plane_array(one, 0)[solid].astype(np.float32) - np.float32(offset[0])) / np.float32(scale[0]))
    seen.wrong_luma.append(float(np.median(np.abs(lumas[0] - lumas[1]))))

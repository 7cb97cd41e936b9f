"""The data that travels between stages: what a clip is, and one picture with its time and alpha."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

from birefvideo.colour import Colour
from birefvideo.rgb import rgb_codes
from birefvideo.timeline import Timeline

Alpha = NDArray[np.float32]
"""Opacity of the foreground, float32 (height, width) in [0, 1]: 0 background, 1 foreground."""

ChromaSite: TypeAlias = "tuple[float, float]"
"""Where chroma lies (across, down) within the luma samples that it stands for: 0 on the first, 1 on the last."""
LEFT: ChromaSite = (0.0, 0.5)
"""Where MPEG-2, H.264 and their kin put it, and where it is in every picture that is handed on."""


@dataclass(frozen=True)
class AudioInfo:
    """One audio stream of a clip."""

    index: int
    """Index of the stream in its container."""
    codec: str
    """FFmpeg's codec name, e.g. 'aac'."""
    rate: int
    """Samples per second."""
    channels: int
    """Number of channels."""
    start: Fraction
    """Time of the first sample, in seconds, on the container's clock."""
    duration: Fraction | None
    """Length in seconds, of which some containers count what comes before the first sample too; None where unknown."""
    layout: str = "stereo"
    """FFmpeg's name of the channels' places, e.g. '5.1', or '4 channels' where nothing says."""
    is_deep: bool = False
    """Whether samples are stored without loss and have more than 16 bits."""


@dataclass(frozen=True)
class Still:
    """What there is to say of a clip that is one picture."""

    depth: int
    """Bits a sample as the file has them."""
    is_rgb: bool = False
    """Whether it is R'G'B' or grey rather than YUV."""
    profile: bytes = b""
    """Its ICC profile, or nothing."""


@dataclass(frozen=True)
class Crop:
    """The part of a stored picture that is shown, before it is turned, in pixels."""

    left: int
    """Columns before it."""
    top: int
    """Rows above it."""
    width: int
    """Its columns."""
    height: int
    """Its rows."""
    whole: tuple[int, int]
    """(width, height) of the pictures that it is a part of; those of another size are shown whole."""


@dataclass(frozen=True)
class Loss:
    """Frames that a file once had and has no more."""

    frames: int
    """About how many; 0 where nothing says."""
    at: int
    """pts of the frame before them."""
    is_end: bool = False
    """Whether no frame comes after them."""
    joined_at: int | None = None
    """Where they are those of another file that is joined behind: the byte at which it begins."""


@dataclass(frozen=True)
class VideoInfo:
    """What a clip is, as its pictures are shown: rotation is applied to every size given here."""

    path: Path
    """The file."""
    stream_index: int
    """Index of the video stream in its container."""
    width: int
    """Columns of an upright picture, in pixels."""
    height: int
    """Rows of an upright picture, in pixels."""
    pix_fmt: str
    """The planar YUV format that every Frame's picture has (see normalize.working_format)."""
    bit_depth: int
    """8 or 10: bits a sample in `pix_fmt`."""
    time_base: Fraction
    """Seconds a tick of every pts."""
    rate: Fraction
    """Nominal frames a second (average); a VFR clip's frames do not keep to it."""
    start: int
    """pts of the first frame, in ticks of `time_base`."""
    duration: Fraction
    """Length of the picture in seconds as the container says, or as the packets do where that differs; 0 where
    unknown."""
    frame_count: int
    """Number of packets that hold a picture not before the first one shown; 0 where unknown."""
    colour: Colour
    """Colour tags, resolved."""
    sample_aspect_ratio: Fraction
    """Width to height of one pixel, upright."""
    quarter_turns: int = 0
    """Counter-clockwise quarter turns (np.rot90's k) that bring a decoded picture upright."""
    mirrored: bool = False
    """Whether the picture is flipped left to right after the turns."""
    chroma_site: ChromaSite = LEFT
    """Where chroma lies in a decoded picture, before it is turned."""
    crop: Crop | None = None
    """The part of a decoded picture that the file asks to show, or None for the whole."""
    has_alpha: bool = False
    """Whether pictures come with an opacity of their own, which is to count."""
    alpha_index: int | None = None
    """Index of the stream that holds the opacity of a photo in HEIF or AVIF; None where it is in the pictures."""
    is_premultiplied: bool = False
    """Whether their colour is multiplied by it."""
    interlaced: bool = False
    """Whether the first frame is flagged interlaced."""
    audio: tuple[AudioInfo, ...] = ()
    """The audio streams, in container order."""
    unreadable_audio: tuple[tuple[int, str], ...] = ()
    """(index, why) of audio streams that nothing here can decode, such as those of unknown codecs."""
    deinterlace: bool = True
    """Whether frames that are flagged interlaced are made progressive when they are read."""
    doubts: tuple[str, ...] = ()
    """What its headers say and was not believed, one line each for the user."""
    still: Still | None = None
    """Set where the clip is one picture, which has no time; None for a video and for a numbered series."""
    every_packet_shows: bool = False
    """Whether `frame_count` is the number of frames, unless some are lost: codecs may also hide pictures or cut them
    into fields."""
    stretches: tuple[tuple[int, int], ...] = ()
    """pts of the first and the last frame of each run without a hole of more than ten seconds; empty where unknown."""
    losses: tuple[Loss, ...] = ()
    """What is missing in the file, by what its container says and how it is built; never by times alone."""
    timeline: Timeline = Timeline()  # noqa: RUF009 - frozen
    """How the file's times become one clock; every other time of a clip, its sound's too, is on that clock."""


@dataclass(frozen=True)
class Span:
    """A half-open range of presentation times [start, end) in ticks of a clip's time_base; None is unbounded."""

    start: int | None = None
    """First pts that belongs to the span."""
    end: int | None = None
    """First pts after it."""

    def holds(self, pts: int) -> bool:
        """Whether a frame shown at `pts` belongs to the span."""
        return (self.start is None or pts >= self.start) and (self.end is None or pts < self.end)


@dataclass(frozen=True, eq=False)
class DecodedFrame:
    """One decoded picture, upright, with its time."""

    picture: av.VideoFrame
    """Planar YUV 4:2:0, 4:2:2 or 4:4:4, 8 or 10 bit, in the source's own codes."""
    pts: int
    """Presentation time in ticks of `time_base`."""
    time_base: Fraction
    """Seconds a tick."""
    duration: int
    """How long the picture is shown, in ticks; 0 where unknown."""
    core: bool = True
    """False for a frame of context, decoded for smoothing only and never written."""
    opacity: Alpha | None = None
    """The picture's own opacity, float32 (height, width) in [0, 1]; None where it is opaque."""
    aspect: Fraction = Fraction(1)
    """Width to height of one pixel as it is shown."""

    @property
    def seconds(self) -> Fraction:
        """Presentation time in seconds."""
        return self.pts * self.time_base

    def with_alpha(self, alpha: Alpha) -> AlphaFrame:
        """Return the frame with its matte, float32 (height, width) in [0, 1]."""
        values = (self.picture, self.pts, self.time_base, self.duration, self.core, self.opacity, self.aspect)
        return AlphaFrame(*values, alpha=alpha)


@dataclass(frozen=True, eq=False, kw_only=True)
class AlphaFrame(DecodedFrame):
    """A frame after prediction: with its matte."""

    alpha: Alpha
    """The matte at the picture's size: 0 background, 1 foreground."""

    def with_foreground(self, foreground: av.VideoFrame) -> Frame:
        """Return the frame with its foreground colour; see `Frame.foreground`."""
        values = (self.picture, self.pts, self.time_base, self.duration, self.core, self.opacity, self.aspect)
        return Frame(*values, alpha=self.alpha, foreground=foreground)


@dataclass(frozen=True, eq=False, kw_only=True)
class Frame(AlphaFrame):
    """A finished frame: with its matte and the subject's own colour."""

    foreground: av.VideoFrame
    """Straight foreground colour, planar YUV 4:4:4 in the picture's bit depth and range: the picture's own
    codes where alpha is 1, an estimate where 0 < alpha < 1 and a little beyond, black far outside."""

    def rgb(self) -> NDArray[np.uint8]:
        """Return `foreground` as full-range R'G'B', uint8 (height, width, 3), by the clip's own matrix and range.

        Its primaries and curve stay the clip's: of HDR these are codes of PQ or HLG. More than 8 bits are rounded to 8.
        """
        return rgb_codes(self.foreground)

    def rgba(self) -> NDArray[np.uint8]:
        """Return a new cut-out: `rgb` with alpha from 0 to 255, uint8 (height, width, 4), not multiplied by it."""
        height, width = self.alpha.shape
        codes = np.empty((height, width, 4), np.uint8)
        codes[..., :3] = self.rgb()
        codes[..., 3] = np.rint(self.alpha * np.float32(255))
        return codes

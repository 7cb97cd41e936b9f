"""What an encoder takes for a frame: one composer for each kind of picture."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from birefvideo.colour import BT709, SRGB, Colour, rgb_to_yuv, sdr_colour, shows_alike, tag
from birefvideo.errors import OutputError, named
from birefvideo.frames import Frame, VideoInfo
from birefvideo.media.animation_schedule import LONGEST, too_long
from birefvideo.media.colour_names import NAMED_COLOURS
from birefvideo.media.output_format import (
    ColourPolicy,
    Content,
    Format,
    output_colour,
    output_pix_fmt,
    output_size,
)
from birefvideo.media.writing import still_frames, yuv_frames
from birefvideo.media.writing.animation_pixels import harden, paletted, scaled
from birefvideo.media.writing.background import Background, BackgroundFile, Blur
from birefvideo.media.writing.conversion import converted
from birefvideo.media.writing.out_of_focus import out_of_focus
from birefvideo.media.writing.rgb_frames import linear, packed
from birefvideo.planes import plane_array
from birefvideo.rgb import to_rgb

_WEB = replace(BT709, transfer=SRGB.transfer)
"""What YUV is in that becomes sRGB."""


@dataclass(frozen=True)
class EncodeSettings:
    """What the user and the plan decide about encoding, the same for every segment of a job."""

    background: Background = NAMED_COLOURS["green"]
    """What is behind a composite: R'G'B' codes, a picture or video, or the clip's own background."""
    fit: str = "cover"
    """How a picture or video comes to the frame's size: one of `background.FITS`."""
    first: int | None = None
    """pts with which a background video begins; None is the source's first."""
    premultiplied: bool = False
    """Multiply colour by alpha in outputs with alpha; straight is the default."""
    despilled: bool = False
    """Take opaque chroma of 4:2:0 from the foreground, since the picture still has a wall's light on the subject."""
    threads: int = 4
    """Threads of each encoder: a number, never 0, because libx264's bytes depend on it."""


def chosen_background(format: Format, settings: EncodeSettings) -> Background:
    """Return what is under a composite: the format's own colour, or the user's."""
    return NAMED_COLOURS[format.background] if format.background else settings.background


class Composer:
    """Makes of each frame the picture that an encoder takes; subclasses say how. To be closed after use."""

    def __init__(self, format: Format, info: VideoInfo, settings: EncodeSettings) -> None:
        self.coverage: list[float] = []
        """Mean alpha of every picture so far, 0 to 1, where it is not the matte's own."""
        self._format, self._info, self._settings = format, info, settings
        self._colour = output_colour(format, info.colour)
        self._premultiplied = settings.premultiplied if format.premultiplied is None else format.premultiplied

    def compose(self, frame: Frame) -> av.VideoFrame:
        """Return the picture of a frame that has its alpha."""
        raise NotImplementedError

    def close(self) -> None:
        """Close what pictures are made with."""

    def _picture(self, frame: Frame) -> av.VideoFrame:
        """Return where 4:2:0 takes opaque chroma from."""
        return frame.foreground if self._settings.despilled else frame.picture


class MatteComposer(Composer):
    """Alpha as a grey picture."""

    def compose(self, frame: Frame) -> av.VideoFrame:
        """Return a frame's matte."""
        return yuv_frames.matte_420(frame.alpha, self._colour)


class OpaqueComposer(Composer):
    """The foreground over a background, or extended over all of the picture where the format is a fill."""

    def __init__(self, format: Format, info: VideoInfo, settings: EncodeSettings) -> None:
        super().__init__(format, info, settings)
        self._background: yuv_frames.BackgroundCodes | BackgroundFile | Blur | None = None
        if format.content is Content.COMPOSITE:
            chosen = chosen_background(format, settings)
            if isinstance(chosen, Path):
                self._background = _opened(chosen, info, settings, self._colour)
            else:
                self._background = chosen if isinstance(chosen, Blur) else rgb_to_yuv(chosen, self._colour)

    def compose(self, frame: Frame) -> av.VideoFrame:
        """Return a frame's composite."""
        return yuv_frames.composite_420(
            self._picture(frame),
            frame.foreground,
            frame.alpha,
            self._below(frame),
            self._info.colour,
            self._colour,
        )

    def close(self) -> None:
        """Close the background's file."""
        if isinstance(self._background, BackgroundFile):
            self._background.close()

    def _below(self, frame: Frame) -> yuv_frames.BackgroundCodes | None:
        """Return what is under a composite at a frame's time."""
        if isinstance(self._background, BackgroundFile):
            return self._background.at(max(Fraction(0), _since_start(frame, self._info, self._settings)))
        if isinstance(self._background, Blur):
            return _blurred(self._background, frame, self._info.colour, self._colour)
        return self._background


class StillMatteComposer(Composer):
    """Alpha as a grey picture of full range."""

    def compose(self, frame: Frame) -> av.VideoFrame:
        """Return a frame's matte."""
        return still_frames.matte(frame.alpha, self._colour, output_pix_fmt(self._format, self._info))


class StillOpaqueComposer(Composer):
    """The foreground in R'G'B' over a background, or extended over all of the picture where the format is a fill."""

    def compose(self, frame: Frame) -> av.VideoFrame:
        """Return a frame's composite."""
        pix_fmt, source = output_pix_fmt(self._format, self._info), self._info.colour
        return still_frames.opaque(frame.foreground, frame.alpha, self._below(frame), source, pix_fmt)

    def _below(self, frame: Frame) -> still_frames.RGB | None:
        """Return what is under a composite."""
        if self._format.content is Content.FILL:
            return None
        chosen = chosen_background(self._format, self._settings)
        if isinstance(chosen, Blur):
            return still_frames.rgb_of(_blurred(chosen, frame, self._info.colour, BT709), BT709)
        if not isinstance(chosen, Path):
            return np.array(chosen, np.float32) / 255
        with closing(_opened(chosen, self._info, self._settings, BT709)) as file:
            return still_frames.rgb_of(file.at(Fraction(0)), BT709)


class Alpha420Composer(Composer):
    """8-bit 4:2:0 with an alpha plane."""

    def compose(self, frame: Frame) -> av.VideoFrame:
        """Return a frame's colour and alpha."""
        return yuv_frames.with_alpha_420(
            self._picture(frame),
            frame.foreground,
            frame.alpha,
            self._info.colour,
            self._colour,
            premultiplied=self._premultiplied,
        )


class Alpha444Composer(Composer):
    """4:4:4 with an alpha plane, in the source's own codes."""

    def compose(self, frame: Frame) -> av.VideoFrame:
        """Return a frame's colour and alpha."""
        return yuv_frames.with_alpha_444(
            frame.foreground,
            frame.alpha,
            self._info.colour,
            self._colour,
            premultiplied=self._premultiplied,
            pix_fmt=output_pix_fmt(self._format, self._info),
        )


class RGBComposer(Composer):
    """R'G'B' with alpha; of BT.709 or BT.601 where the format has no room for HDR."""

    def compose(self, frame: Frame) -> av.VideoFrame:
        """Return a frame's colour and alpha."""
        foreground, source = frame.foreground, self._info.colour
        pix_fmt = output_pix_fmt(self._format, self._info)
        policy = self._format.colour_policy
        if policy is not ColourPolicy.RGB:
            target = _WEB if policy is ColourPolicy.WEB else sdr_colour(source)
            foreground, source = _shown_in(target, foreground, source)
        return packed(foreground, frame.alpha, source, pix_fmt, premultiplied=self._premultiplied)


class LinearComposer(Composer):
    """Linear light, multiplied by alpha."""

    def compose(self, frame: Frame) -> av.VideoFrame:
        """Return a frame's colour and alpha."""
        return linear(frame.foreground, frame.alpha, self._info.colour)


class AnimationComposer(Composer):
    """8-bit R'G'B' with alpha, or a palette, at the animation's size; coverage is of what is left of the matte."""

    def compose(self, frame: Frame) -> av.VideoFrame:
        """Return a frame's colour and alpha.

        Raises:
            OutputError: the frame is too far from the output's beginning.
        """
        if _since_start(frame, self._info, self._settings) >= LONGEST:
            part = f"choose a part with {named('start')} and {named('end')}"
            raise OutputError(f"{too_long(self._format)}, and the clip goes on: {part}")
        rgb = np.clip(to_rgb(*_shown_in(_WEB, frame.foreground, self._info.colour), 255.0), 0, 255)
        codes = scaled(rgb, frame.alpha, output_size(self._format, self._info))
        if self._format.has_hard_edges:
            harden(codes)
        self.coverage.append(float(codes[..., 3].mean()) / 255)
        if self._format.is_paletted:
            return paletted(codes)
        is_bgra = self._format.pix_fmt == "bgra"
        ordered = np.ascontiguousarray(codes[..., [2, 1, 0, 3]]) if is_bgra else codes
        picture = av.VideoFrame.from_ndarray(ordered, format=self._format.pix_fmt)
        tag(picture, self._colour)
        return picture


class StretchedComposer(Composer):
    """Another composer's pictures in square pixels."""

    def __init__(self, inner: Composer, format: Format, info: VideoInfo, settings: EncodeSettings) -> None:
        super().__init__(format, info, settings)
        self._inner = inner
        self.coverage = inner.coverage

    def compose(self, frame: Frame) -> av.VideoFrame:
        """Return the other's picture at the output's size."""
        return yuv_frames.stretched(self._inner.compose(frame), *output_size(self._format, self._info))

    def close(self) -> None:
        """Close the other."""
        self._inner.close()


def make_composer(format: Format, info: VideoInfo, settings: EncodeSettings) -> Composer:
    """Return what makes the pictures of an output.

    Raises:
        InputError: the background cannot be read.
    """
    composer = _kind(format)(format, info, settings)
    if format.square_pixels and not format.is_animation:  # which is scaled as a whole
        return StretchedComposer(composer, format, info, settings)
    return composer


def _kind(format: Format) -> type[Composer]:
    if format.is_animation:
        return AnimationComposer
    if format.content is Content.MATTE:
        return StillMatteComposer if format.is_still else MatteComposer
    if format.content in (Content.COMPOSITE, Content.FILL):
        return StillOpaqueComposer if format.is_still else OpaqueComposer
    if format.colour_policy is ColourPolicy.RGB_LINEAR:
        return LinearComposer
    if format.is_rgb:
        return RGBComposer
    return Alpha420Composer if format.is_subsampled else Alpha444Composer


def _opened(path: Path, info: VideoInfo, settings: EncodeSettings, colour: Colour) -> BackgroundFile:
    """Return a background file, fitted to a clip."""
    return BackgroundFile(path, (info.width, info.height), info.sample_aspect_ratio, colour, settings.fit)


def _blurred(blur: Blur, frame: Frame, source: Colour, target: Colour) -> list[yuv_frames.Plane]:
    """Return the 8-bit 4:2:0 planes of a frame's own background out of focus, in the codes of `target`."""
    height, width = frame.alpha.shape
    whole = yuv_frames.composite_420(frame.picture, None, np.ones_like(frame.alpha), None, source, target)
    planes = [plane_array(whole, 0)[:height, :width], plane_array(whole, 1), plane_array(whole, 2)]
    radius = max(height, width) / 60 if blur.radius is None else blur.radius
    return out_of_focus(planes, frame.alpha, radius, target)


def _shown_in(target: Colour, foreground: av.VideoFrame, source: Colour) -> tuple[av.VideoFrame, Colour]:
    """Return a foreground and its colour: themselves where the target's codes mean the same light, else converted."""
    return (foreground, source) if shows_alike(source, target) else (converted(foreground, source, target), target)


def _since_start(frame: Frame, info: VideoInfo, settings: EncodeSettings) -> Fraction:
    """Return a frame's time in seconds from the output's first."""
    return (frame.pts - (info.start if settings.first is None else settings.first)) * info.time_base

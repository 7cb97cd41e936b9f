"""What a row of the table of output formats says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from pathlib import Path


class Content(Enum):
    """What the pixels of an output mean."""

    STRAIGHT = "straight alpha"
    """Foreground colour with an alpha plane that it is not multiplied by."""
    COMPOSITE = "composite"
    """The foreground over one colour, opaque."""
    MATTE = "luma matte"
    """Alpha as a grey picture."""
    FILL = "opaque colour"
    """The foreground colour, extended beyond its edges: what a luma matte is laid on."""


@dataclass(frozen=True)
class Format:
    """One kind of output file."""

    name: str
    """What the user asks for it by."""
    suffix: str
    """What is appended to the input's stem, file extension included."""
    description: str
    """One line for the user."""
    container: str
    """FFmpeg's muxer."""
    codec: str
    """FFmpeg's video encoder."""
    pix_fmt: str
    """Pixel format handed to the encoder."""
    content: Content
    """What the pixels mean."""
    opens_in: str
    """Programs that read it, for the user."""
    audio_codec: str = ""
    """Audio encoder for streams that cannot be copied; '' where there is no sound."""
    audio_copy: frozenset[str] = frozenset()
    """Audio codecs whose packets the container takes as they are."""
    deep_pix_fmt: str | None = None
    """Pixel format for sources of more than 8 bits, or None for `pix_fmt` again."""
    picture_suffix: str = ""
    """Extension of the single pictures, for an output that is a folder of them."""
    clock: int | None = None
    """Ticks a second in which a short animation counts; None for what is no such."""
    shortest: Fraction = Fraction(0)
    """Seconds after which the next picture of an animation may begin; what comes before is left out."""
    long_side: int | None = None
    """Pixels that the longer side has at most, or None for any."""
    premultiplied: bool | None = None
    """Whether colour is multiplied by alpha, where the kind of file settles it; None where the user does."""
    background: str | None = None
    """Colour that is always under a composite, or None for what the user asks for."""
    codec_tag: str | None = None
    """Sample-entry tag to set on packet copies, where FFmpeg's stream template drops it."""
    compressor: str | None = None
    """The compressor's name that editors show, for QuickTime."""
    quantiser: int | None = None
    """Fixed quantiser, for encoders that take it by the qscale flag and not by an option."""
    bit_rate: int | None = None
    """Bit rate in bits a second a channel of re-encoded audio; None for uncompressed."""
    audio_rate: int | None = None
    """Sample rate that the audio encoder insists on, or None for the source's."""
    codec_options: Mapping[str, str] = field(default_factory=dict)
    """Private options of the encoder."""
    container_options: Mapping[str, str] = field(default_factory=dict)
    """Options of the muxer for the finished file."""
    square_pixels: bool = False
    """Whether pictures of other pixels are stretched: FFmpeg's muxer is not told a pixel's shape through PyAV."""
    hides_priming: bool = True
    """Whether the container has edit lists, so that copied audio may begin before the first sample shown."""

    @property
    def extension(self) -> str:
        """File extension with its dot."""
        return Path(self.suffix).suffix

    @property
    def is_sequence(self) -> bool:
        """Whether the output is a folder of pictures."""
        return bool(self.picture_suffix)

    @property
    def is_animation(self) -> bool:
        """Whether the output is a short animation for the web."""
        return self.clock is not None

    @property
    def is_deep(self) -> bool:
        """Whether R'G'B' has more than 8 bits, and so room for HDR."""
        return "64" in self.pix_fmt or "f32" in self.pix_fmt

    @property
    def has_alpha(self) -> bool:
        """Whether the pixels carry an alpha plane."""
        return self.content is Content.STRAIGHT

    @property
    def is_rgb(self) -> bool:
        """Whether the encoder takes R'G'B' instead of YUV."""
        return not self.pix_fmt.startswith("yuv")

    @property
    def needs_even_size(self) -> bool:
        """Whether the encoder refuses odd widths and heights (4:2:0 in libx264)."""
        return self.codec == "libx264"

"""What a row of the table of output formats says, and what that makes of a given clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction
from pathlib import Path

from birefvideo.colour import BT709, LIMITED_RANGE, LINEAR, SRGB, Colour, rgb_colour, sdr_colour
from birefvideo.frames import VideoInfo


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


class ColourPolicy(Enum):
    """What becomes of the source's colour in an output."""

    KEEP = "the source's own"
    """Matrix, range, primaries and curve as they are, HDR included."""
    KEEP_LIMITED = "the source's own, in limited range and in names that QuickTime has"
    """BT.470BG is written as SMPTE 170M, its equal, and SMPTE 170M's curve as BT.709's."""
    KEEP_SDR = "the source's own where it is BT.709 or BT.601, else BT.709"
    """HDR and BT.2020 become BT.709."""
    ALWAYS_BT709 = "BT.709 in limited range"
    """For players that misread every other, and for mattes, which are grey in every matrix."""
    RGB = "R'G'B' of the source's primaries and curve"
    """For more than 8 bits."""
    RGB_SDR = "R'G'B' of the source's primaries and curve where it is BT.709 or BT.601, else of BT.709"
    """For 8 bits, which have no room for HDR."""
    RGB_LINEAR = "linear light of the source's primaries"
    """For compositors."""
    WEB = "sRGB"
    """As browsers take video for."""


@dataclass(frozen=True)
class Container:
    """What a kind of file can hold, and how it is written."""

    muxer: str
    """FFmpeg's name of it."""
    hides_priming: bool = True
    """Whether it has edit lists, so that copied audio may begin before the first sample shown."""
    has_movie_clock: bool = False
    """Whether the edit list counts in a timescale that the muxer takes as an option."""
    has_timecode_track: bool = False
    """Whether a time code becomes a track, instead of a tag of the pictures."""
    has_apple_languages: bool = False
    """Whether the muxer takes QuickTime's names of languages, some of which are not ISO 639's."""
    has_speakers: bool = True
    """Whether it says of PCM which channel belongs where."""
    keeps_chapters: bool = False
    """Whether chapters go along without becoming a track of the clip."""
    keeps_last_length: bool = True
    """Whether it says how long its last picture is shown, and not only when all is over."""
    is_read_by_us: bool = False
    """Whether FFmpeg shows nothing but the first picture, so that `animation_files` takes the file apart."""


@dataclass(frozen=True)
class Format:
    """One kind of output file."""

    name: str
    """What the user asks for it by."""
    suffix: str
    """What is appended to the input's stem, file extension included."""
    description: str
    """One line for the user."""
    container: Container
    """What the file is."""
    codec: str
    """FFmpeg's video encoder."""
    written_codec: str
    """FFmpeg's name of the codec, as it is read back."""
    pix_fmt: str
    """Pixel format handed to the encoder."""
    content: Content
    """What the pixels mean."""
    colour_policy: ColourPolicy
    """What becomes of the source's colour."""
    opens_in: str
    """Programs that read it, for the user."""
    audio_codec: str = ""
    """Audio encoder for streams that cannot be copied; '' where there is no sound."""
    audio_copy: frozenset[str] = frozenset()
    """Audio codecs whose packets the container takes as they are."""
    deep_pix_fmt: str | None = None
    """Pixel format for sources of more than 8 bits, or None for `pix_fmt` again."""
    decoded_pix_fmts: frozenset[str] = frozenset()
    """Pixel formats that decoders give, where that is not the encoder's alone."""
    has_hard_edges: bool = False
    """Whether a pixel is there or not, without anything between."""
    picture_suffix: str = ""
    """Extension of the single pictures, for an output that is a folder of them, or one."""
    form_of: str = ""
    """Name of the format that this one is a form of, or ''."""
    is_still: bool = False
    """Whether the output is the file of one picture, which has no time."""
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
    stands_alone: bool = False
    """Whether each picture is encoded without regard to others, by an encoder that has no threads of its own."""
    container_options: Mapping[str, str] = field(default_factory=dict)
    """Options of the muxer for the finished file."""
    review_shows_it: bool = False
    """Whether the review page can play it, so that the page needs no copy of the matte."""
    square_pixels: bool = False
    """Whether pictures of other pixels are stretched: PyAV cannot pass a pixel's shape to FFmpeg's muxer."""
    needs_even_size: bool = False
    """Whether the encoder refuses odd widths and heights (4:2:0 in libx264)."""
    tags_alpha: bool = False
    """Whether players look for Matroska's AlphaMode before they show alpha."""

    def __getstate__(self) -> dict[str, object]:
        """Return the fields as another process can be sent them."""
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in vars(self).items()}

    @property
    def asked_by(self) -> str:
        """The name that the user asks for it by, in any of its forms; `name` is the form's own."""
        return self.form_of or self.name

    @property
    def extension(self) -> str:
        """File extension with its dot."""
        return Path(self.suffix).suffix

    @property
    def is_sequence(self) -> bool:
        """Whether the output is a folder of pictures."""
        return bool(self.picture_suffix) and not self.is_still

    @property
    def is_in_folder(self) -> bool:
        """Whether a part is a folder of single pictures."""
        return self.is_sequence or self.is_animation or self.is_still

    @property
    def has_own_pictures(self) -> bool:
        """Whether every picture is a file of its own, which names neither matrix nor range."""
        return bool(self.picture_suffix)

    @property
    def can_have_sound(self) -> bool:
        """Whether sound goes beside the pictures."""
        return not self.is_in_folder

    @property
    def is_animation(self) -> bool:
        """Whether the output is a short animation for the web."""
        return self.clock is not None

    @property
    def is_subsampled(self) -> bool:
        """Whether the encoder takes 4:2:0, a chroma sample for four pixels."""
        return "420" in self.pix_fmt

    @property
    def is_paletted(self) -> bool:
        """Whether every picture has a palette of its own."""
        return self.pix_fmt == "pal8"

    @property
    def has_alpha(self) -> bool:
        """Whether the pixels carry an alpha plane."""
        return self.content is Content.STRAIGHT

    @property
    def is_rgb(self) -> bool:
        """Whether the encoder takes R'G'B' instead of YUV."""
        return not self.pix_fmt.startswith("yuv")


def output_colour(format: Format, source: Colour) -> Colour:
    """Return the colour that an output's pixels are in and are tagged with."""
    policy = format.colour_policy
    if policy is ColourPolicy.KEEP:
        return source
    if policy is ColourPolicy.KEEP_LIMITED:
        matrix = 6 if source.matrix == 5 else source.matrix
        transfer = 1 if source.transfer == 6 else source.transfer  # one curve under two numbers; ProRes knows 1
        return replace(source, matrix=matrix, transfer=transfer, range=LIMITED_RANGE)
    if policy is ColourPolicy.RGB:
        return rgb_colour(source)
    if policy is ColourPolicy.RGB_LINEAR:
        return replace(rgb_colour(source), transfer=LINEAR)
    if policy is ColourPolicy.RGB_SDR:
        return rgb_colour(sdr_colour(source))
    if policy is ColourPolicy.KEEP_SDR:
        return sdr_colour(source)
    return SRGB if policy is ColourPolicy.WEB else BT709


def output_pix_fmt(format: Format, info: VideoInfo) -> str:
    """Return the pixel format of the pictures that an output's encoder is given."""
    depth = info.still.depth if info.still and format.is_still else info.bit_depth
    return format.deep_pix_fmt if format.deep_pix_fmt and depth > 8 else format.pix_fmt


def decoded_pix_fmts(format: Format, info: VideoInfo) -> frozenset[str]:
    """Return the pixel formats that an output's pictures may have when they are decoded."""
    return format.decoded_pix_fmts or frozenset({output_pix_fmt(format, info)})


def output_size(format: Format, info: VideoInfo) -> tuple[int, int]:
    """Return the (width, height) of an output's pictures: the source's, but for what the format cannot express.

    They are padded to even where the encoder insists, enlarged to square pixels where the container has no place for
    another shape, and scaled down where the format has a longest side.
    """
    if format.needs_even_size:
        return info.width + info.width % 2, info.height + info.height % 2
    if format.square_pixels:
        aspect = info.sample_aspect_ratio
        width, height = info.width * max(aspect, Fraction(1)), info.height / min(aspect, Fraction(1))
        scale = min(Fraction(1), format.long_side / max(width, height)) if format.long_side else 1
        return max(1, round(width * scale)), max(1, round(height * scale))
    return info.width, info.height


def output_aspect(format: Format, info: VideoInfo) -> Fraction:
    """Return the width to height of one pixel of an output."""
    return Fraction(1) if format.square_pixels else info.sample_aspect_ratio

"""What the formats of the table become: over the user's background, and as the file of one picture.

`--to green` makes STEM_green.mp4 of a clip, STEM_comp.mp4 over `--background`, and STEM_green.png or STEM_comp.png of a
photo. The user asks for all of them by the format's name; a receipt has a form's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from birefvideo.media.format_table import FORMATS, format_for_suffix, get_format
from birefvideo.media.output_format import ColourPolicy, Content, Format

COMP = replace(
    FORMATS["green"],
    name="comp",
    form_of="green",
    suffix="_comp.mp4",
    description="H.264 over --background",
    opens_in="everything",
)
"""What green becomes over another background than its own."""

_PNG = replace(
    FORMATS["png"],
    name="png-still",
    form_of="png",
    suffix="_alpha.png",
    description="PNG, RGB with straight alpha, 8 or 16 bits as the picture has",
    pix_fmt="rgba",
    deep_pix_fmt="rgba64be",
    is_still=True,
    codec_options=MappingProxyType({"pred": "mixed"}),
)
_OPAQUE = replace(
    _PNG,
    name="green-still",
    form_of="green",
    suffix="_green.png",
    description="PNG over chroma-key green",
    pix_fmt="rgb24",
    deep_pix_fmt="rgb48be",
    content=Content.COMPOSITE,
    premultiplied=None,
    opens_in="everything",
)
_STILLS = {
    "png": _PNG,
    "tiff": replace(
        _PNG,
        name="tiff-still",
        form_of="tiff",
        suffix="_alpha.tif",
        description="TIFF, RGB with straight alpha, 8 or 16 bits as the picture has",
        codec="tiff",
        written_codec="tiff",
        deep_pix_fmt="rgba64le",
        opens_in=FORMATS["tiff"].opens_in,
        picture_suffix=".tif",
        codec_options=FORMATS["tiff"].codec_options,
    ),
    "exr": replace(
        FORMATS["exr"],
        name="exr-still",
        form_of="exr",
        suffix="_alpha.exr",
        description="OpenEXR, half float, linear light, premultiplied",
        is_still=True,
    ),
    "webp": replace(
        _PNG,
        name="webp-still",
        form_of="png",
        suffix="_alpha.webp",
        description="WebP, 8-bit, exact straight alpha",
        codec="libwebp",
        written_codec="webp",
        pix_fmt="bgra",
        deep_pix_fmt=None,
        colour_policy=ColourPolicy.WEB,
        opens_in=FORMATS["webp-anim"].opens_in,
        picture_suffix=".webp",
        decoded_pix_fmts=frozenset({"yuva420p", "yuv420p", "argb"}),
        codec_options=MappingProxyType({"quality": "90"}),
    ),
    "green": _OPAQUE,
    "blue": replace(
        _OPAQUE,
        name="blue-still",
        form_of="blue",
        suffix="_blue.png",
        description="PNG over chroma-key blue",
        background="blue",
    ),
    "comp": replace(
        _OPAQUE, name="comp-still", form_of="green", suffix="_comp.png", description="PNG over --background"
    ),
    "matte": replace(
        _OPAQUE,
        name="matte-still",
        form_of="matte",
        suffix="_matte.png",
        description="PNG of alpha as a grey picture",
        pix_fmt="gray",
        deep_pix_fmt="gray16be",
        content=Content.MATTE,
        opens_in=FORMATS["matte"].opens_in,
    ),
    "fill": replace(
        _OPAQUE,
        name="fill-still",
        form_of="fill",
        suffix="_fill.png",
        description="PNG of the foreground colour, extended beyond its edges",
        content=Content.FILL,
        opens_in=FORMATS["matte"].opens_in,
    ),
}
STILLS: Mapping[str, Format] = MappingProxyType(_STILLS)
"""What formats become for an input that is one picture, by the format's name; the others stay video."""

_FORMS = {COMP.name: COMP, **{form.name: form for form in STILLS.values()}}
ALL_FORMS: Mapping[str, Format] = MappingProxyType({**FORMATS, **_FORMS})
"""Every format and every form by its own name."""
_OTHER_ENDINGS = {".tiff": ".tif"}
STILL_ENDINGS = {form.extension for form in STILLS.values()} | _OTHER_ENDINGS.keys()
"""How names of files of one picture end."""


def form_of(format: Format, *, is_still: bool, over_background: bool) -> Format:
    """Return what a format becomes for an input and a background.

    Args:
        format: a row of the table.
        is_still: whether the input is one picture.
        over_background: whether the user has chosen what is under composites.
    """
    is_comp = over_background and format.name == "green"
    if is_still:
        return STILLS.get("comp" if is_comp else format.name, format)
    return COMP if is_comp else format


def still_for_ending(path: Path) -> Format | None:
    """Return the form of one picture that a file name asks for: by its whole suffix, or else by its extension alone."""
    rows = STILLS.values()
    by_suffix = (row for row in rows if path.name.lower().endswith(row.suffix))
    by_extension = (row for row in rows if has_ending(path, row))
    return next(by_suffix, None) or next(by_extension, None)


def has_ending(path: Path, format: Format) -> bool:
    """Return whether a file name ends as files of a format do."""
    ending = path.suffix.lower()
    return _OTHER_ENDINGS.get(ending, ending) == format.extension


def form_of_file(path: Path, name: str = "", *, is_still: bool) -> Format:
    """Return the format of an output, by the name that the user gives it or else by the file's own.

    Raises:
        OptionError: there is no such format, or no format has this extension.
    """
    if not is_still:
        if not name and path.name.lower().endswith(COMP.suffix):
            return COMP
        return get_format(name) if name else format_for_suffix(path)
    if name:
        return STILLS.get(name) or form_of(get_format(name), is_still=True, over_background=False)
    return still_for_ending(path) or format_for_suffix(path)


COMPARE_SHEET, PREVIEW_SHEET = SHEETS = ("_compare.png", "_preview.png")
"""Endings of the contact sheets that lie beside an input: `compare` makes them, and `matte --preview`."""

"""The BiRefNet family as data: one row a variant, and which one for what.

A cell is empty where no source states it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from birefvideo.errors import OptionError
from birefvideo.hints import meant

README = "README of github.com/ZhengPeng7/BiRefNet, July 2026"
GUIDE = "a published guide to the variants"
_PACKAGE_WEIGHTS = Path(__file__).parent.parent / "weights"
"""Where the package keeps the checkpoints that it carries, a folder each."""


@dataclass(frozen=True)
class Figure:
    """A published measurement."""

    text: str
    """Data set, metrics (S: structure, wF: weighted F, HCE: human correction effort) and values."""
    source: str
    """Who published it."""


@dataclass(frozen=True)
class Variant:
    """One checkpoint: a published one, or the one that the package carries."""

    name: str
    """What the user asks for it by."""
    hub_id: str = ""
    """Repository on the model hub, with a model.safetensors; '' where it is embedded or published elsewhere."""
    backbone: str = ""
    """A name in network.birefnet.BACKBONES; '': read off the weights."""
    size: tuple[int, int] | None = None
    """Native input (width, height), to which every picture is squashed."""
    sides: tuple[int, int] | None = None
    """Shortest and longest side of the input, where it keeps the picture's aspect and size instead."""
    long_side: int | None = None
    """Longer side of the input, where it keeps the picture's aspect only."""
    most_pixels: int | None = None
    """With `long_side`: the most pixels of the input; squarer pictures have a shorter long side."""
    best_for: str = ""
    """One line for the user."""
    avoid: str = ""
    """When another one is better."""
    training: str = ""
    """Data sets it was trained on."""
    figures: tuple[Figure, ...] = ()
    """What its authors or others measured."""
    licence: str = ""
    """Licence of the weights."""
    access: str = ""
    """What must be done before it can be fetched."""
    revision: str = ""
    """Commit on the hub, or the branch, tag or commit that was asked for; '': the first download locks the newest."""
    sha256: str = ""
    """Hash of model.safetensors; '': not pinned, the hub's own is checked and locked."""
    embedded: bool = False
    """Whether the package carries it: config.json, model.safetensors and a README.md, which is its card."""

    @property
    def folder(self) -> Path | None:
        """Where the package keeps it, or None where it is not embedded."""
        return _PACKAGE_WEIGHTS / self.name if self.embedded else None

    @property
    def asked(self) -> str:
        """The revision that the user asked for, or ''."""
        return "" if self.sha256 else self.revision

    @property
    def input(self) -> str:
        """The native input in words; '' where no source states it."""
        if self.long_side:
            most = "" if self.most_pixels is None else f", at most {self.most_pixels // 1000}k pixels"
            return f"long side {self.long_side}{most}"
        if self.sides:
            return f"{self.sides[0]}² to {self.sides[1]}²"
        return f"{self.size[0]}×{self.size[1]}" if self.size else ""

    @property
    def keeps_aspect(self) -> bool:
        """Whether its input has the picture's aspect."""
        return self.sides is not None or self.long_side is not None

    @property
    def page(self) -> str:
        """Its page on the public hub, or ''."""
        return f"https://huggingface.co/{self.hub_id}" if self.hub_id else ""


_L, _T = "swin_v1_l", "swin_v1_t"
_1K, _2K = (1024, 1024), (2048, 2048)
_GENERAL = "DIS5K-TR, DIS-TEs, DUTS, HRSOD, UHRSD, HRS10K, P3M-10k, TE-P3M-500-P/NP, TR-humans"
_MATTING = "P3M-10k (less TE-P3M-500-NP), TR-humans, AM-2k, AIM-500, Human-2k, Distinctions-646, HIM2K, PPM-100"
_RESEARCH = "everyday removal: it is for research, not the first choice"

_ROWS = (
    Variant(
        "talk",
        backbone="conv_m",
        long_side=640,
        most_pixels=640 * 360,
        best_for="people talking to a camera, on any computer and without a connection",
        avoid="other subjects; where a GPU and official weights are at hand, portrait and matting are better",
        training="free portraits and rooms, named in its card",
        licence="MIT",
        embedded=True,
    ),
    Variant(
        "general",
        "ZhengPeng7/BiRefNet",
        _L,
        _1K,
        best_for="the first pass for mixed content: products, objects, people in simple scenes; crisp edges",
        training=_GENERAL,
        figures=(
            Figure("DIS-VD: S 0.911, wF 0.875, HCE 1069", README),
            Figure("DIS-VD at 2048×2048: S 0.898, MAE 0.037", GUIDE),
        ),
        licence="MIT",
    ),
    Variant(
        "lite",
        "ZhengPeng7/BiRefNet_lite",
        _T,
        _1K,
        best_for="what general is for, with a smaller and faster backbone",
        training=_GENERAL,
        figures=(Figure("DIS-VD: S 0.882, wF 0.830, HCE 1175", README),),
        licence="MIT",
    ),
    Variant(
        "lite-2k",
        "ZhengPeng7/BiRefNet_lite-2K",
        _T,
        (2560, 1440),
        best_for="by its name: lite for sources finer than 1080p",
        licence="MIT",
    ),
    Variant(
        "lite-matting",
        "ZhengPeng7/BiRefNet_lite-matting",
        _T,
        best_for="by its name: matting with the smaller and faster backbone",
        licence="MIT",
    ),
    Variant(
        "portrait",
        "ZhengPeng7/BiRefNet-portrait",
        _L,
        _1K,
        best_for="people in ordinary framing, where general clips shoulders, hair, hands or clothing",
        avoid="crowds, occlusion, heavy motion blur, clothes in the background's colour",
        training="P3M-10k, TR-humans",
        figures=(Figure("P3M-500-P: S 0.983, wF 0.989", README), Figure("P3M-500-P: MAE 0.006", GUIDE)),
        licence="MIT",
    ),
    Variant(
        "matting",
        "ZhengPeng7/BiRefNet-matting",
        _L,
        _1K,
        best_for="soft edges: hair, fur, smoke, veils, mesh, glass, motion blur",
        avoid="hard-edged products: general is more decisive there",
        training=_MATTING,
        figures=(Figure("TE-P3M-500-NP: S 0.979, wF 0.988", README), Figure("TE-P3M-500-NP: MSE 0.003", GUIDE)),
        licence="MIT",
    ),
    Variant(
        "hr",
        "ZhengPeng7/BiRefNet_HR",
        _L,
        _2K,
        best_for="sources with real detail above 1024 pixels that will be inspected, printed or zoomed",
        avoid="small or compressed sources: a waste there",
        training=f"those of general and matting: {_GENERAL}; {_MATTING}",
        figures=(
            Figure("DIS-VD at 2048×2048: wF 0.894, HCE 881", README),
            Figure("DIS-VD at 2048×2048: S 0.927, MAE 0.026", GUIDE),
        ),
        licence="MIT",
    ),
    Variant(
        "hr-matting",
        "ZhengPeng7/BiRefNet_HR-matting",
        _L,
        _2K,
        best_for="by its name: matting for sources with real detail above 1024 pixels",
        licence="MIT",
    ),
    Variant(
        "dynamic",
        "ZhengPeng7/BiRefNet_dynamic",
        _L,
        sides=(256, 2304),
        best_for="pictures at their own size and aspect, from 256×256 to 2304×2304",
        licence="MIT",
    ),
    Variant(
        "general-512",
        "ZhengPeng7/BiRefNet_512x512",
        _L,
        (512, 512),
        best_for="by its name: general for small sources",
        licence="MIT",
    ),
    Variant(
        "hrsod",
        "ZhengPeng7/BiRefNet-HRSOD",
        _L,
        _1K,
        best_for="one prominent subject in a busy, highly textured frame",
        avoid="portraits",
        training="combinations of DUTS-TR, HRSOD-TR, UHRSD-TR",
        licence="MIT",
    ),
    Variant(
        "cod",
        "ZhengPeng7/BiRefNet-COD",
        _L,
        _1K,
        best_for="low contrast between subject and background: beige on beige, a pet on its blanket",
        avoid="easy pictures, which it overthinks; never first for clean product shots",
        training="COD10K-TR, CAMO-TR",
        licence="MIT",
    ),
    Variant(
        "dis",
        "ZhengPeng7/BiRefNet-DIS5K",
        _L,
        _1K,
        best_for="research on DIS5K",
        avoid=_RESEARCH,
        training="DIS5K-TR",
        licence="MIT",
    ),
    Variant(
        "dis-tes",
        "ZhengPeng7/BiRefNet-DIS5K-TR_TEs",
        _L,
        _1K,
        best_for="research on DIS5K, its test sets in training",
        avoid=_RESEARCH,
        training="DIS5K-TR, DIS-TEs",
        figures=(Figure("DIS-VD: S 0.907, wF 0.865, HCE 1059", README),),
        licence="MIT",
    ),
    Variant(
        "massive",
        "",
        _L,
        _1K,
        best_for="research on large training sets",
        avoid=_RESEARCH,
        access="not on the hub: providers list it (rembg as birefnet-massive, a GitHub release asset)",
    ),
    Variant(
        "legacy",
        "ZhengPeng7/BiRefNet-legacy",
        _L,
        _1K,
        best_for="results made with the older code",
        licence="MIT",
    ),
    Variant(
        "toonout",
        "",
        _L,
        _1K,
        best_for="anime: a fine-tune by others",
        training="its authors' own anime set",
        access="not under the authors' hub name: see github.com/MatteoKartoon/BiRefNet",
    ),
    Variant(
        "rmbg-2.0",
        "briaai/RMBG-2.0",
        "",
        _1K,
        best_for="pictures whose rights matter: its makers licensed all of its training data",
        avoid="transparency: its masks are binary; commercial use: its licence forbids it",
        training="more than 15,000 manually labelled, fully licensed images: objects, people, animals, text, "
        "non-photorealistic",
        licence="non-commercial",
        access="gated: log in at https://huggingface.co/briaai/RMBG-2.0, accept its terms, and set HF_TOKEN to a token "
        "of that account",
    ),
)

VARIANTS = {row.name: row for row in _ROWS}
"""Every variant by name, the embedded one first."""
EMBEDDED = next(row.name for row in _ROWS if row.embedded)
"""Name of the variant that the package carries, which is what 'auto' comes to where nothing else is at hand."""


def known_names() -> str:
    """Return every name, for messages."""
    return ", ".join(VARIANTS)


def is_hub_id(text: str) -> bool:
    """Return whether a text is a possible owner/name on the hub, by the hub's own rules."""
    word = r"[A-Za-z0-9](?:[\w.-]{0,94}\w)?"
    return bool(re.fullmatch(f"{word}/{word}", text)) and not re.search(r"--|\.\.|\.git$", text)


def named_row(text: str) -> Variant | None:
    """Return the row of a name or hub id, which '@' and a revision may follow; None where it is neither.

    For a hub id that is in no row, the row has nothing else in it.

    Raises:
        OptionError: there can be no such revision.
    """
    name, at, revision = text.partition("@")
    row = VARIANTS.get(name)
    if row is None and is_hub_id(name):
        rows = [row for row in _ROWS if row.hub_id.lower() == name.lower()]
        row = rows[0] if rows else Variant(name, name)
    if row is None or not at:
        return row
    if not row.hub_id:
        raise OptionError(f"{name} has no revisions, since it is not on the hub: leave out @{revision}")
    if not re.fullmatch(r"[\w][\w./+-]{0,254}", revision) or ".." in revision or revision.endswith("/"):
        raise OptionError(f"{text!r} names no revision: after @ give a branch, a tag or a commit")
    return replace(row, name=f"{row.name}@{revision}", revision=revision, sha256="")


def variant(name: str) -> Variant:
    """Return the row of a name or hub id, as `named_row` does.

    Raises:
        OptionError: it is neither; the message lists the names.
    """
    row = named_row(name)
    if row is not None:
        return row
    raise OptionError(
        f"unknown model {name!r}{meant(name, VARIANTS)}: name one of {known_names()}, or a hub id (owner/name)"
    )

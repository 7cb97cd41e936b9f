"""The BiRefNet family as data: one row a variant, and which one for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """One published checkpoint."""

    name: str
    """What the user asks for it by."""
    hub_id: str
    """Repository on the model hub; '' where it is published elsewhere."""
    backbone: str
    """A name in network.birefnet.BACKBONES."""
    size: tuple[int, int] | None
    """Native input (width, height), or None where no source states it."""
    best_for: str
    """One line for the user."""
    licence: str = "MIT"
    """Licence of the weights."""


_L, _T = "swin_v1_large", "swin_v1_tiny"
_BACKBONES = {_L: "swin_v1_l", _T: "swin_v1_t"}


def _row(
    name: str, repository: str, backbone: str, size: tuple[int, int] | None, best_for: str, licence: str = "MIT"
) -> Variant:
    hub_id = repository if "/" in repository or not repository else f"ZhengPeng7/{repository}"
    return Variant(name, hub_id, _BACKBONES[backbone], size, best_for, licence)


_1K, _2K = (1024, 1024), (2048, 2048)
_ROWS = (
    _row("general", "BiRefNet", _L, _1K, "the first pass for mixed content, crisp edges"),
    _row("lite", "BiRefNet_lite", _T, _1K, "speed, on mixed content"),
    _row("lite-2k", "BiRefNet_lite-2K", _T, (2560, 1440), "speed, on sources finer than 1080p"),
    _row("lite-matting", "BiRefNet_lite-matting", _T, None, "speed, with soft edges"),
    _row("portrait", "BiRefNet-portrait", _L, _1K, "people in ordinary framing: hair, hands, clothing"),
    _row("matting", "BiRefNet-matting", _L, _1K, "soft edges: hair, fur, veils, glass, motion blur"),
    _row("hr", "BiRefNet_HR", _L, _2K, "sources with real detail above 1024 pixels"),
    _row("hr-matting", "BiRefNet_HR-matting", _L, _2K, "soft edges in sources with real detail above 1024 pixels"),
    _row("dynamic", "BiRefNet_dynamic", _L, None, "any input size from 256² to 2304²"),
    _row("general-512", "BiRefNet_512x512", _L, (512, 512), "small sources and previews"),
    _row("hrsod", "BiRefNet-HRSOD", _L, _1K, "one prominent subject in a busy frame"),
    _row("cod", "BiRefNet-COD", _L, _1K, "low contrast between subject and background"),
    _row("dis", "BiRefNet-DIS5K", _L, _1K, "research: the DIS5K benchmark"),
    _row("dis-tes", "BiRefNet-DIS5K-TR_TEs", _L, _1K, "research: DIS5K with its test sets"),
    _row("massive", "", _L, _1K, "research: the large training variant"),
    _row("legacy", "BiRefNet-legacy", _L, _1K, "results made with the first release"),
    _row("rmbg-2.0", "briaai/RMBG-2.0", _L, _1K, "licensed training data (gated download)", "non-commercial"),
)

VARIANTS = {row.name: row for row in _ROWS}
"""Every published variant by name; the embedded `talk` is not among them."""

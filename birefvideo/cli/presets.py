"""Presets: what `matte --preset` sets, as rows of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from birefvideo.family.variants import EMBEDDED


@dataclass(frozen=True)
class Preset:
    """Options that go together."""

    purpose: str
    """What it is for, in one line."""
    sets: Mapping[str, Any]
    """The options that it sets, as a config file would."""


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "youtube": Preset(
            "a finished film to upload: people before their own background, out of focus",
            MappingProxyType({"to": ["green"], "background": "blur", "audio": "first"}),
        ),
        "reels": Preset(
            "a green screen for editors on phones, whose keyers want firm edges",
            MappingProxyType({"to": ["green"], "levels": "0.05,0.95", "despill": "auto", "audio": "first"}),
        ),
        "archive": Preset(
            "lossless alpha in the clip's own codes, alpha for editors, and a page to review it",
            MappingProxyType({"to": ["ffv1", "prores"], "audio": "all", "review": True}),
        ),
        "web": Preset(
            "alpha for web pages (Chrome, Edge, Firefox)",
            MappingProxyType({"to": ["webm"], "audio": "first"}),
        ),
        "draft": Preset(
            "a quick look with the built-in model, without smoothing and receipts",
            MappingProxyType({"to": ["green"], "model": EMBEDDED, "smooth": 0, "receipt": False}),
        ),
    }
)
"""The presets by name."""

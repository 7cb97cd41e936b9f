"""What a network is called, and what it is known again by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelIdentity:
    """What a network is, for reports, receipts and the keys by which jobs are known again."""

    name: str
    """The variant's name, the folder's or file's, or `IN_MEMORY`."""
    digest: str
    """SHA-256 in hex: of the weights file, or of the weights that were in memory (see `weights_digest`)."""
    geometry: str
    """The network's shape, as far as it is not read off the weights."""
    reason: str = ""
    """Why this one, where the choice was left to us."""
    backbone: str = ""
    """What it is built on, which says how much work it is."""

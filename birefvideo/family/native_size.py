"""The size at which a variant was trained to see pictures."""

from __future__ import annotations

from birefvideo.family.variants import Variant
from birefvideo.matting.input_size import InputSize

PUBLISHED_SIZE = InputSize(fixed=(1024, 1024))
"""The input of most published variants, taken where no source states another."""


def native_size(row: Variant) -> InputSize:
    """Return the input that a variant was trained with, as far as that is known."""
    if row.sides:
        return InputSize(sides=row.sides)
    if row.long_side:
        return InputSize(long_side=row.long_side, most_pixels=row.most_pixels)
    return InputSize(fixed=row.size) if row.size else PUBLISHED_SIZE

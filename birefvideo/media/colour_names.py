"""Colours that users name."""

from __future__ import annotations

from birefvideo.hints import meant

NAMED_COLOURS = {
    "green": (0, 177, 64),  # the chroma-key paint, not the primary: it keys better against skin and clips no channel
    "blue": (0, 71, 187),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "gray": (128, 128, 128),
    "red": (255, 0, 0),
    "magenta": (255, 0, 255),
    "cyan": (0, 255, 255),
    "yellow": (255, 255, 0),
}
"""R'G'B' codes, 0–255, by name."""


def parse_colour(text: str) -> tuple[int, int, int]:
    """Return the (red, green, blue) codes, 0–255, of a name, '#rgb', '#rrggbb' or 'r,g,b'.

    Raises:
        ValueError: `text` is none of these.
    """
    word = text.strip().lower()
    if word in NAMED_COLOURS:
        return NAMED_COLOURS[word]
    digits = word[1:]
    try:
        if word.startswith("#") and digits.isalnum() and len(digits) in (3, 6):
            step = len(digits) // 3
            red, green, blue = (int(digits[i : i + step] * (3 - step), 16) for i in range(0, len(digits), step))
            return red, green, blue
        red, green, blue = (int(part) for part in word.split(","))
        if all(0 <= code <= 255 for code in (red, green, blue)):
            return red, green, blue
    except ValueError:
        pass
    names = ", ".join(NAMED_COLOURS)
    raise ValueError(f"give #rrggbb, r,g,b (0–255) or one of {names}{meant(word, NAMED_COLOURS)}")

"""`--premultiplied` alone or with its colour: an option whose value may be left out."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

_FLAG = "--premultiplied"
_DEFAULT = "black"


class OptionalValueCommand(TyperCommand):
    """A command that takes `--premultiplied` for `--premultiplied black` where no colour follows."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the command line with the value filled in."""
        return super().parse_args(ctx, with_value(args))


def with_value(args: list[str]) -> list[str]:
    """Returns the words of a command line with 'black' after a `--premultiplied` that no colour follows."""
    words: list[str] = []
    end = args.index("--") if "--" in args else len(args)
    for index, word in enumerate(args):
        words.append(word)
        if word == _FLAG and index < end and not (index + 1 < end and _is_colour(args[index + 1])):
            words.append(_DEFAULT)
    return words


def _is_colour(word: str) -> bool:
    from birefvideo.errors import OptionError
    from birefvideo.media.colour_names import parse_colour

    try:
        parse_colour(word)
    except OptionError:
        return False
    return True

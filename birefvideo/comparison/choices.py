"""Which models are compared, at which sizes, and which are not and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from birefvideo.errors import BirefvideoError, ModelError, OptionError, named
from birefvideo.family import checkpoints
from birefvideo.family.costs import download_of
from birefvideo.family.hub import stored
from birefvideo.family.variants import VARIANTS, Variant
from birefvideo.jobs.option_values import parse_model, parse_size

Size = int | tuple[int, int] | None
"""What the network sees, as `Options.size` has it; None is the model's own."""


@dataclass(frozen=True)
class Wish:
    """One model at one size."""

    label: str
    """What it is called in the comparison."""
    model: str
    """As the user named it."""
    size: Size = None
    """The size, if not its own."""


@dataclass(frozen=True)
class LeftOut:
    """A model that was asked for, or is here, and is not compared."""

    name: str
    """What it was asked for by."""
    why: str
    """One line."""


@dataclass(frozen=True)
class Absent:
    """A model of the family that is not on this machine."""

    name: str
    """What it is asked for by."""
    best_for: str
    """One line."""
    get: str
    """The command that fetches it, or ''."""
    note: str
    """How much that is, and what must be done before; '' where nothing is known."""


def wishes(models: Sequence[str] | None, sizes: Sequence[object] | None) -> tuple[list[Wish], list[LeftOut]]:
    """Return what to compare, and what of it is not possible; without `models` it is all that are on this machine.

    Raises:
        OptionError: a size is not allowed, or no model is known.
        ModelError: none of the models is here.
    """
    wanted = _parsed_sizes(sizes)
    found, left_out, errors = _found(models)
    if not found:
        raise _none_left(errors)
    names = [Path(name).name if name not in VARIANTS else name for name in found]
    shown = [name if names.count(name) == 1 else text for name, text in zip(names, found, strict=True)]
    made = [Wish(_label(name, size), text, size) for name, text in zip(shown, found, strict=True) for size in wanted]
    return made, left_out


def absent(compared: Sequence[str]) -> list[Absent]:
    """Return the models of the family that are not on this machine, in the family's order."""
    return [
        Absent(
            row.name,
            row.best_for,
            f"birefvideo models --download {row.name}" if row.hub_id else "",
            _what_it_takes(row),
        )
        for row in VARIANTS.values()
        if row.name not in compared and not _is_here(row)
    ]


def _what_it_takes(row: Variant) -> str:
    size = download_of(row)
    words = f"{size[0] / 1e9:.1f} to {size[1] / 1e9:.1f} GB" if size else ""
    return "; ".join(filter(None, (words, row.access)))


def _found(models: Sequence[str] | None) -> tuple[list[str], list[LeftOut], list[BirefvideoError]]:
    found: list[str] = []
    left_out: list[LeftOut] = []
    errors: list[BirefvideoError] = []
    if models is None:
        return [row.name for row in VARIANTS.values() if _is_here(row)], left_out, errors
    if isinstance(models, str) or not models:
        raise OptionError(f"{named('models')} is {models!r}: name at least one, in a list")
    for name in dict.fromkeys(map(_named, models)):
        try:
            checkpoints.find(name)
        except (OptionError, ModelError) as error:
            left_out.append(LeftOut(name, error.message))
            errors.append(error)
        else:
            found.append(name)
    return found, left_out, errors


def _named(value: object) -> str:
    try:
        name = str(parse_model(value))
    except ValueError as error:
        raise OptionError(f"{named('models')} holds {value!r}: {error}") from None
    if name in ("", "auto"):
        raise OptionError(
            f"{named('models')} holds {name!r}: name models, or leave it out to compare all that are here"
        )
    return name


def _none_left(errors: Sequence[BirefvideoError]) -> BirefvideoError:
    kind = OptionError if all(isinstance(error, OptionError) for error in errors) else ModelError
    if len(errors) == 1:
        return kind(errors[0].message)
    return kind(f"none of the {len(errors)} models can be compared: {'; '.join(error.message for error in errors)}")


def _is_here(row: Variant) -> bool:
    try:
        return stored(row) is not None
    except ModelError:
        return False


def _parsed_sizes(sizes: Sequence[object] | None) -> list[Size]:
    if sizes is None:
        return [None]
    if isinstance(sizes, str) or not sizes:
        raise OptionError(f"{named('sizes')} is {sizes!r}: name at least one, in a list")
    parsed: list[Size] = []
    for size in sizes:
        try:
            parsed.append(parse_size(size))
        except ValueError as error:
            raise OptionError(f"{named('sizes')} holds {size!r}: {error}") from None
    return list(dict.fromkeys(parsed))


def _label(name: str, size: Size) -> str:
    if size is None:
        return name
    return f"{name} {'×'.join(map(str, size)) if isinstance(size, tuple) else size}"

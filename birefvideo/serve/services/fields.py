"""Inputs of hosted services as rows: what they may be, and which of that this server does; the rest is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import ImageColor

from birefvideo.hints import meant
from birefvideo.serve.faults import RefusedError

_KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
}
"""Python's types of JSON's kinds."""
_WORDS = {"true": True, "1": True, "false": False, "0": False}


class FieldError(RefusedError):
    """An input that is refused.

    Args:
        field: its name.
        message: what is wrong, and what to do.
        kind: one word for programs.
    """

    def __init__(self, field: str, message: str, kind: str = "bad_input") -> None:
        super().__init__(422, kind, message)
        self.field = field


@dataclass(frozen=True)
class Field:
    """An input of a service."""

    name: str
    help: str
    """One line."""
    kind: str = "string"
    """Its kind in JSON: a key of `_KINDS`."""
    default: Any = None
    """Its value where nothing is given."""
    choices: Sequence[Any] = ()
    """Values that the service documents; none: any."""
    only: Sequence[Any] = ()
    """Those that this server does, where it does not do all."""
    instead: str = ""
    """What to do where one is refused."""
    between: tuple[float, float] | None = None
    """Least and largest number."""
    is_file: bool = False
    """Whether it is the address of a file."""
    is_needed: bool = False
    """Whether it must be given."""

    def parsed(self, given: Any) -> Any:
        """Return a value that may be.

        Raises:
            FieldError: it may not.
        """
        wanted, value = _KINDS[self.kind], given
        is_number = self.kind in ("integer", "number")
        if is_number and isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, wanted) or (is_number and isinstance(value, bool)):
            raise FieldError(self.name, f"{self.name} is {shown(value)}: give {_article(self.kind)}", "type_error")
        if self.between is not None and not self.between[0] <= given <= self.between[1]:
            least, most = self.between
            raise FieldError(self.name, f"{self.name} is {shown(value)}: give {least:g} to {most:g}")
        if self.choices and value not in self.choices:
            likely = meant(value, list(self.choices)) if isinstance(value, str) else ""
            raise FieldError(self.name, f"{self.name} is {shown(value)}{likely}: give {_listed(self.choices)}", "enum")
        if self.only and value not in self.only:
            what = self.instead or f"give {_listed(self.only)}"
            raise FieldError(self.name, f"{self.name} {shown(value)} is not done by this server: {what}", "not_here")
        return value

    @property
    def schema(self) -> dict[str, Any]:
        """It as JSON Schema."""
        found: dict[str, Any] = {"type": self.kind, "title": self.name.replace("_", " "), "description": self.help}
        if self.default is not None:
            found["default"] = self.default
        if allowed := self.only or self.choices:
            found["enum"] = list(allowed)
        if self.between is not None:
            found["minimum"], found["maximum"] = self.between
        if self.is_file:
            found["format"] = "uri"
        return found


def read(rows: Sequence[Field], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all inputs: those given, and defaults for those that are not there or null.

    Raises:
        FieldError: one is unknown, missing, or may not be what it is.
    """
    names = [row.name for row in rows]
    for name in given:
        if name not in names:
            raise FieldError(
                name, f"there is no input {shown(name)}{meant(name, names)}: give {', '.join(names)}", "extra_forbidden"
            )
    found = {}
    for row in rows:
        value = given.get(row.name)
        if value is None or (value == "" and not row.is_needed):
            if row.is_needed:
                raise FieldError(row.name, f"{row.name} is missing: {row.help}", "missing")
            found[row.name] = row.default
        else:
            found[row.name] = row.parsed(value)
    return found


def from_text(rows: Sequence[Field], given: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a form, whose texts stand for numbers and flags, as `read` takes them.

    Raises:
        FieldError: a text stands for none.
    """
    kinds = {row.name: row.kind for row in rows}
    return {name: _of_kind(name, kinds.get(name, "string"), text) for name, text in given.items()}


def _of_kind(name: str, kind: str, text: str) -> Any:
    if kind == "boolean" and text:
        if text.lower() not in _WORDS:
            raise FieldError(name, f"{name} is {shown(text)}: give true or false", "type_error")
        return _WORDS[text.lower()]
    return text


def schema(rows: Sequence[Field]) -> dict[str, Any]:
    """Return the inputs as JSON Schema."""
    return {
        "type": "object",
        "properties": {row.name: {**row.schema, "x-order": number} for number, row in enumerate(rows)},
        "required": [row.name for row in rows if row.is_needed],
        "additionalProperties": False,
    }


def colour(name: str, value: str) -> str:
    """Return a colour as #rrggbb: of one of CSS's names, '#rgb', 'rrggbb', or '#rrggbbaa' that is opaque.

    Raises:
        FieldError: it is none, or shines through.
    """
    word = value.strip().lower()
    digits = word.removeprefix("#")
    if all(letter in "0123456789abcdef" for letter in digits) and len(digits) in (3, 4, 6, 8):
        size = 1 if len(digits) < 6 else 2
        digits, through = digits[: 3 * size], digits[3 * size :]
        if through.strip("f"):
            raise FieldError(name, f"{name} is {shown(value)}: this server has opaque colours only, as #ffffff")
        word = f"#{digits}"
    try:
        red, green, blue = ImageColor.getrgb(word)[:3]
    except ValueError:
        raise FieldError(name, f"{name} is {shown(value)}: give a colour as #00ff00, or a name of CSS's") from None
    return f"#{red:02x}{green:02x}{blue:02x}"


def colour_of_codes(name: str, codes: Sequence[Any]) -> str:
    """Return [red, green, blue] as #rrggbb.

    Raises:
        FieldError: it is no such list.
    """
    is_good = len(codes) == 3 and all(type(code) is int and 0 <= code <= 255 for code in codes)
    if not is_good:
        raise FieldError(name, f"{name} is {shown(codes)}: give three whole numbers from 0 to 255")
    return "#{:02x}{:02x}{:02x}".format(*codes)


def shown(value: object) -> str:
    """Return a client's value as a message quotes it: short, whatever it is."""
    text = repr(value) if isinstance(value, str | int | float | bool | None) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:60]}…"


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aio" else f"a {kind}"


def _listed(values: Sequence[Any]) -> str:
    words = [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"

"""What a client asks for: options of `matte` by name, checked by name here and by value in the helper.

No text of a client ever names a file of this machine: a file for an option is an upload, written `upload:ID`, and a
model is one of the family's names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from birefvideo.errors import OptionError
from birefvideo.family.variants import VARIANTS
from birefvideo.hints import meant
from birefvideo.jobs.options import Options
from birefvideo.serve.names import is_id

UPLOAD = "upload:"
"""What stands before the id of an upload, where an option takes a file."""
CHOICES = {
    "to": "Formats to write, as of /v1/formats: a list, or prores,webm.",
    "review": "Also make a page to judge the matte with.",
    "receipt": "Write the receipts that `birefvideo verify` reads.",
    "strict": "Fail where the input is damaged or cut off.",
}
"""What else than `Options` a client may choose."""
_FLAGS = {"review": False, "receipt": True, "strict": False}
_FILES = re.compile("FILE|PATH|FOLDER")
"""How the help shows the values of options that take a file."""
_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_LONGEST = 10_000

Value = str | bool


@dataclass(frozen=True)
class Order:
    """Options of a job, as the command takes them."""

    options: dict[str, Value] = field(default_factory=dict)
    """Those of `Options` that were given: text, or whether a flag is on."""
    to: tuple[str, ...] = ()
    """Names of formats; none: the defaults."""
    flags: dict[str, bool] = field(default_factory=dict)
    """Of `review`, `receipt` and `strict` those that were given."""

    @classmethod
    def of(cls, given: Mapping[str, object]) -> Order:
        """Return the order of values as JSON or a form has them; '' and None mean that nothing was given.

        Raises:
            OptionError: there is no option of a name, or a value is of a kind that none takes.
        """
        known = [option.name for option in fields(Options)]
        options: dict[str, Value] = {}
        to: tuple[str, ...] = ()
        flags: dict[str, bool] = {}
        for name, value in given.items():
            if value is None or value == "":
                continue
            if name == "to":
                to = _names(value)
            elif name in _FLAGS:
                flags[name] = _flag(name, value)
            elif name in known:
                options[name] = _value(name, value)
            else:
                names = [*known, *CHOICES]
                raise OptionError(
                    f"there is no option {_shown(name)}{meant(name, names)}: choose from {', '.join(names)}"
                )
        return cls(options, to, flags)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Order:
        """Return the order that `as_dict` was made of, be it by an earlier version."""
        return cls(dict(values.get("options", {})), tuple(values.get("to", ())), dict(values.get("flags", {})))

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @property
    def uploads(self) -> list[str]:
        """Ids of the uploads that options name."""
        texts = [value for value in self.options.values() if isinstance(value, str)]
        return [text.removeprefix(UPLOAD) for text in texts if text.startswith(UPLOAD)]

    def values(self, place: Callable[[str], Path]) -> dict[str, Value]:
        """Return the options with the paths of uploads, which `place` tells by their ids."""
        return {
            name: str(place(value.removeprefix(UPLOAD)))
            if isinstance(value, str) and value.startswith(UPLOAD)
            else value
            for name, value in self.options.items()
        }

    def words(self, place: Callable[[str], Path]) -> list[str]:
        """Return the words of the command line that ask for the same."""
        words = []
        for name, value in self.values(place).items():
            flag = name.replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{flag}" if value else f"--no-{flag}")
            else:
                words.append(f"--{flag}={value}")
        words += [f"--to={name}" for name in self.to]
        changed = {name: value for name, value in self.flags.items() if value != _FLAGS.get(name)}
        words += [f"--{name}" if value else f"--no-{name}" for name, value in changed.items()]
        return words


def is_option(name: str) -> bool:
    """Return whether there is an option of `Options` of that name."""
    return any(option.name == name for option in fields(Options))


def is_flag(name: str) -> bool:
    """Return whether an option of `Options` is on or off."""
    (option,) = (option for option in fields(Options) if option.name == name)
    return isinstance(option.default, bool) and option.metadata["bare"] is None


def takes_file(name: str) -> bool:
    """Return whether an option of `Options` takes a file, which a client has to upload."""
    (option,) = (option for option in fields(Options) if option.name == name)
    return bool(_FILES.search(option.metadata["metavar"]))


def file_options() -> list[str]:
    """Return the names of the options that take a file."""
    return [option.name for option in fields(Options) if takes_file(option.name)]


def _value(name: str, value: object) -> Value:
    """Return a value as the command line has it; flags that are as they are by default are left out later."""
    (option,) = (option for option in fields(Options) if option.name == name)
    if is_flag(name):
        return _flag(name, value)
    text = _text(name, value)
    if name == "model":
        return _model(text)
    if text.startswith(UPLOAD):
        if not takes_file(name) or not is_id(text.removeprefix(UPLOAD)):
            raise OptionError(f"{name} is {_shown(text)}: it takes no such upload")
    elif takes_file(name) and re.search(r"[/\\\0]|^[~.]|^[A-Za-z]:", text):
        raise OptionError(f"{name} is {_shown(text)}: upload the file, and name it as {UPLOAD}ID")
    elif option.metadata["bare"] is not None and text.lower() in _WORDS:
        return _WORDS[text.lower()] and str(option.metadata["bare"])
    return text


def _text(name: str, value: object) -> str:
    if isinstance(value, list | tuple) and all(isinstance(one, int | float | str) for one in value):
        value = ",".join(map(str, value))
    if not isinstance(value, str | int | float):
        raise OptionError(f"{name} is a {type(value).__name__}: give text, a number, or a list of them")
    text = str(value).strip()
    if len(text) > _LONGEST or "\0" in text:
        raise OptionError(f"{name} is {_shown(text)}: give a shorter text")
    return text


def _model(text: str) -> str:
    """Return the name of a model: a path would let clients look for files of this machine."""
    by_id = {row.hub_id.lower(): row.name for row in VARIANTS.values() if row.hub_id}
    name = by_id.get(text.lower(), text)
    if name != "auto" and name not in VARIANTS:
        raise OptionError(f"model is {_shown(text)}{meant(text, VARIANTS)}: name auto or one of {', '.join(VARIANTS)}")
    return name


def _flag(name: str, value: object) -> bool:
    found = _WORDS.get(str(value).strip().lower())
    if found is None:
        raise OptionError(f"{name} is {_shown(value)}: give true or false")
    return found


def _names(value: object) -> tuple[str, ...]:
    parts = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(part, str) for part in parts):
        raise OptionError("to is no text: give names of formats, as prores,webm or a list")
    return tuple(word.strip() for part in parts for word in str(part).split(",") if word.strip())


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"

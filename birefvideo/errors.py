"""The errors a user can meet: each message says what was got, what is allowed and what to do.

A message that mentions an option does so with `named`, since the same error reaches people who typed `--start` and
programs that passed `start=`.
"""

from __future__ import annotations

import re

_FLAGS = {"out": "-o", "receipts": "--receipt"}
"""Flags that are not called as the argument is."""
_NAMED = re.compile("\ue000(.*?)\ue001(.*?)\ue002", re.DOTALL)


def named(option: str, value: object = None) -> str:
    """Return the name of an option for a message, which shows as `--start` on the command line and `start` in Python.

    Args:
        option: the argument's name.
        value: what to set it to, as in '--to prores' or 'to='prores''; True and False are flags.
    """
    flag = _FLAGS.get(option, f"--{option.replace('_', '-')}")
    if value is None:
        return f"\ue000{flag}\ue001{option}\ue002"
    if isinstance(value, bool):
        return f"\ue000{flag if value else flag.replace('--', '--no-')}\ue001{option}={value}\ue002"
    return f"\ue000{flag} {value}\ue001{option}={value!r}\ue002"


def with_flags(message: str) -> str:
    """Return a message with the options called as on the command line."""
    return _NAMED.sub(r"\1", message)


def with_arguments(message: str) -> str:
    """Return a message with the options called as in Python."""
    return _NAMED.sub(r"\2", message)


class BirefvideoError(Exception):
    """Base of every error that is the input's or the machine's fault; the command line prints it in one line."""

    def __str__(self) -> str:
        return with_arguments(self.message)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    @property
    def message(self) -> str:
        """The line with its marks of `named`, for messages that quote it."""
        return super().__str__()

    def for_terminal(self) -> str:
        """Return the line with the options called as on the command line."""
        return with_flags(self.message)


class InputError(BirefvideoError):
    """The input file is missing, unreadable or holds no usable video."""


class OutputError(BirefvideoError):
    """An output cannot be written, exists already, or failed verification."""


class ModelError(BirefvideoError):
    """A checkpoint is unknown, missing or does not fit the network."""


class OptionError(BirefvideoError):
    """An option has a value that is not allowed; the command line exits with 2."""


class DeviceError(BirefvideoError):
    """The device asked for is not there or ran out of memory."""


class CancelledError(BirefvideoError):
    """`progress` returned False, or `Job.cancel` was called; the same call goes on from what is finished."""

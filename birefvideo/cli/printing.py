"""The only place that prints: what is said arrives clean, and a terminal that is gone stops no work."""

from __future__ import annotations

import errno
import json
import os
import re
import select
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from birefvideo.remote.places import in_words, worded

# What a terminal obeys or what makes a text look like another one: control characters of both sets, marks that turn
# the direction of writing, line and paragraph separators, letters of no width, tags, and the halves of characters that
# stand for bytes that are no UTF-8. The joiners U+200C and U+200D are left: Persian, Hindi and emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)

_TOO_LONG = re.compile(r"(\S{100})\S{900,}(\S{50})")
"""What is no word nor a path, but fills the screen: its beginning and its end are shown in an error."""

_IN_ASCII = str.maketrans({"…": "...", "×": "x", "–": "-", "²": "^2", "³": "^3", "−": "-"})
"""Signs of our own messages, for terminals that lack them."""

_PATIENCE = 1.0
"""Seconds that a line about work waits for a reader that does not read; then it is kept, and the work goes on."""
_KEPT = 1000
"""Such pieces that are kept at most, the newest ones."""
_PIECE = getattr(select, "PIPE_BUF", 512) // len(r"\U00000000")
"""Characters that a pipe takes at once where it takes any, however they are encoded."""


def printable(text: object) -> str:
    """Return a text in which every character that a terminal would obey, or not show, is a question mark."""
    return _UNSAFE.sub("?", in_words(str(text)))


def tell(line: object = "") -> None:
    """Print a line about work that goes on; where it cannot be printed, the work goes on all the same."""
    _print_line(sys.stdout, printable(line), matters=False)


def answer(line: object = "") -> None:
    """Print a line of what the command is for; `answer_lost` says whether some of it was lost."""
    _print_line(sys.stdout, printable(line), matters=True)


def answer_lines(lines: Iterable[object]) -> None:
    """Print several lines of what the command is for."""
    for line in lines:
        answer(line)


def answer_json(value: object) -> None:
    """Print a value as JSON, clean: what a terminal obeys is escaped, and all but ASCII where stdout is not Unicode."""
    is_unicode = _is_unicode(sys.stdout)
    for line in json.dumps(value, indent=2, ensure_ascii=not is_unicode).split("\n"):
        _print_line(sys.stdout, _escaped(line), matters=True)


def _escaped(text: str) -> str:
    """Return JSON in which what a terminal obeys is written in JSON's own way."""
    return _UNSAFE.sub(lambda found: json.dumps(found[0])[1:-1], text)


def event_line(value: object, stream: TextIO, *, matters: bool, may_drop: bool) -> None:
    """Print a value as JSON in one line, clean, to stdout or stderr, whose reader may be slow or gone.

    Args:
        value: what is printed.
        stream: where to.
        matters: it waits until it is read; else it is kept for a while, and the work goes on.
        may_drop: it is left out where it would have to wait.
    """
    if may_drop and isinstance(stream, _Outlet) and not stream.is_ready():
        return
    text = json.dumps(worded(value), ensure_ascii=not _is_unicode(stream))
    _print_line(stream, _escaped(text), matters=matters)


def answer_bytes(data: bytes) -> None:
    """Write a file to stdout, and nothing else; `answer_lost` says whether some of it was lost."""
    stream = sys.stdout
    (stream if isinstance(stream, _Outlet) else _Outlet(stream, answers=True)).write_bytes(data)


def print_error(error: object) -> None:
    """Print one line on stderr."""
    one_line = _TOO_LONG.sub(r"\1…\2", " ".join(line.strip() for line in str(error).splitlines()))
    if _Errors.taker is not None:
        _Errors.taker(printable(one_line))
        return
    _print_line(sys.stderr, f"birefvideo: {printable(one_line)}", matters=False)


class _Errors:
    """Where lines of errors go."""

    taker: Callable[[str], None] | None = None


def errors_go_to(taker: Callable[[str], None]) -> None:
    """Give the lines of errors to a function instead of stderr, until the block of `outlets` ends."""
    _Errors.taker = taker


def print_traceback(error: Exception) -> None:
    """Print an error with its traceback on stderr."""
    for line in "".join(traceback.format_exception(error)).split("\n")[:-1]:
        _print_line(sys.stderr, printable(line), matters=False)


def answer_lost() -> str:
    """Return why some of a command's answer could not be printed, or ''; a reader that closed its pipe had enough."""
    error = sys.stdout.lost if isinstance(sys.stdout, _Outlet) else None
    return "" if error is None or error.errno == errno.EPIPE else error.strerror or str(error)


@contextmanager
def outlets() -> Iterator[None]:
    """Let no write to stdout or stderr fail inside the block, whoever prints: closed, full or gone, work goes on."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (
        s if isinstance(s, _Outlet) else cast(TextIO, _Outlet(s, answers=not number)) for number, s in enumerate(before)
    )
    try:
        yield
    finally:
        for stream, outer in zip((sys.stdout, sys.stderr), before, strict=True):
            if isinstance(stream, _Outlet) and stream is not outer:
                stream.finish()
        sys.stdout, sys.stderr = before
        _Errors.taker = None


class _Outlet:
    """A standard stream that takes every write; once one fails, what follows goes nowhere.

    What nobody reads, as in a full pipe, is kept and written later if it can be; only an answer waits until it is read.
    """

    def __init__(self, stream: TextIO | None, *, answers: bool) -> None:
        self._stream = stream
        self._kept: deque[str] = deque(maxlen=_KEPT)
        self._writing = threading.RLock()
        self.lost: OSError | None = None
        """The first failure to print what matters."""
        self.matters = answers
        """Whether what is written now does."""

    def write(self, text: str) -> int:
        if not isinstance(text, str):  # typer tries with bytes whether a stream takes them
            raise TypeError(f"write takes str, not {type(text).__name__}")
        with self._writing, self._caught():
            if self._stream is None or self._stream.closed:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            shown = text if _is_unicode(self._stream) else text.translate(_IN_ASCII)
            for at in range(0, len(shown), _PIECE):
                patience = 0 if self._kept else _PATIENCE
                self._kept.append(shown[at : at + _PIECE])
                self._print_kept(None if self.matters else patience)
        return len(text)

    def write_line(self, line: str, *, matters: bool) -> None:
        with self._writing:  # the line and its end, whoever else prints
            before, self.matters = self.matters, matters
            try:
                self.write(f"{line}\n")
            finally:
                self.matters = before

    def write_bytes(self, data: bytes) -> None:
        with self._writing, self._caught():
            if self._stream is None or self._stream.closed:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._print_kept(None)
            self._stream.flush()
            self._stream.buffer.write(data)
            self._stream.buffer.flush()

    def flush(self) -> None:
        with self._caught():
            if self._stream is not None and not self._stream.closed:
                self._stream.flush()

    def is_ready(self) -> bool:
        """Return whether it takes a line at once."""
        if self._stream is None or self._stream.closed:
            return False
        return not self._kept and _is_ready(self._stream, 0)

    def finish(self) -> None:
        """Give what is kept a last chance; the stream takes nothing more."""
        with self._writing, self._caught():
            if self._stream is not None and not self._stream.closed:
                self._print_kept(_PATIENCE)

    def _print_kept(self, patience: float | None) -> None:
        """Write piece by piece while the stream takes them, and wait so many seconds for each, or as long as it takes.

        Raises:
            OSError: the stream is closed, full or gone.
        """
        assert self._stream is not None
        while self._kept and _is_ready(self._stream, patience):
            self._stream.write(self._kept.popleft())
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":  # by which typer would write around this
            raise AttributeError(name)
        return getattr(self._stream, name)

    @contextmanager
    def _caught(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self.matters and self.lost is None:
                self.lost = error
            self._divert()

    def _divert(self) -> None:
        """Lead what is still in the stream's buffer, and all that follows, to nowhere, or Python fails at its exit."""
        try:
            number = -1 if self._stream is None else self._stream.fileno()
        except (OSError, ValueError):  # not a file of the system's
            return
        if number >= 0:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)


def _is_ready(stream: TextIO, patience: float | None) -> bool:
    """Return whether a stream takes a piece now, or within so many seconds, without keeping its writer waiting."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):  # not a file of the system's
        return True
    if patience is None or not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    return bool(poll.poll(patience * 1000))


def _is_unicode(stream: TextIO | None) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "") == "utf8"


def _print_line(stream: TextIO | None, line: str, *, matters: bool) -> None:
    if isinstance(stream, _Outlet):
        stream.write_line(line, matters=matters)
    else:
        print(line, file=stream, flush=True)

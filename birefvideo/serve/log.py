"""What the server's terminal shows of all that its parts log: what whoever runs it is to know.

Every broken request has some part say so, each in words and at a level of its own: Uvicorn of requests that cannot be
read, python-multipart of forms, others of their connections. Who sent it has the answer; the terminal would only fill.
So a part of whom nothing stands here shows nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_SHOWN = {
    "birefvideo": logging.WARNING,
    "uvicorn.error": logging.ERROR,  # an answer of ours that failed, with its traceback
    "asyncio": logging.ERROR,  # a task of ours that failed, or no descriptors left
}
"""Loggers whose messages are shown, with those below them, from which level on."""


@contextmanager
def shown_log() -> Iterator[None]:
    """Show on stderr what is to be shown, while the server runs."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("birefvideo: %(message)s"))
    handler.addFilter(_is_shown)
    root = logging.getLogger()
    root.addHandler(handler)  # also keeps Python from showing every warning that nobody handles
    try:
        yield
    finally:
        root.removeHandler(handler)


def _is_shown(record: logging.LogRecord) -> bool:
    return any(f"{record.name}.".startswith(f"{name}.") and record.levelno >= _SHOWN[name] for name in _SHOWN)

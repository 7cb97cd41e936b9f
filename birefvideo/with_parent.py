"""Commands that another program starts: they stop as by Ctrl-C when that program closes their stdin, or is gone."""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time

STOP_WITH_STDIN = "BIREFVIDEO_STOP_WITH_STDIN"
"""Name of the variable that asks for it, with the value 1."""
_PATIENCE = 30.0
"""Seconds after which a command that does not stop is ended: its finished segments are whole all the same."""


def stop_with_stdin() -> None:
    """Watch stdin from now on, if the program that started this one wants it."""
    if os.environ.pop(STOP_WITH_STDIN, "") == "1":
        threading.Thread(target=_watch, daemon=True, name="stdin").start()


def _watch() -> None:
    while _read():
        pass
    main = threading.main_thread()
    if hasattr(signal, "pthread_kill") and main.ident is not None:
        signal.pthread_kill(main.ident, signal.SIGTERM)  # wakes it also where it waits
    else:
        _thread.interrupt_main(signal.SIGTERM)
    time.sleep(_PATIENCE)
    os._exit(130)


def _read() -> bytes:
    try:
        return os.read(0, 4096)
    except OSError:
        return b""

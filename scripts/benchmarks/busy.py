"""Other work on the machine while something is measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# It ends by itself when the benchmark is gone, however that ended.
_SPIN = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep that many processes busy, each with one thread, for as long as the block runs."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(processes):
            started.append(subprocess.Popen([sys.executable, "-c", _SPIN]))
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()

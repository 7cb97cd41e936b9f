"""How much memory a job may take: asked before anything large is allocated, of what is free. And keeping what it has.

A header of a few bytes can claim pictures of gigabytes, and a system that runs out of memory ends programs without a
word. What can be known beforehand is refused in one line instead.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from birefvideo.errors import BirefvideoError

SHARE = 0.5
"""Share of the free memory that a job may plan with; the rest is for other programs, and for what is only estimated."""

_CGROUPS = (
    ("", "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Versions 2 and 1: controller, root, and files with the limit, what is used, and what of that can be dropped."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Parameters of glibc's mallopt."""
_KEPT, _LARGEST = 1 << 30, 96 << 20
"""Bytes of free memory that are kept for later, and the largest piece that is: a 4K picture in ProRes takes 66 MB."""
_CHOSEN = {"GLIBC_TUNABLES", "MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}
"""Environment variables by which a user chooses what `reuse_memory` would."""


def reuse_memory() -> None:
    """Let this process use the memory of one picture again for the next, unless the user chose; glibc only.

    Otherwise glibc gives the memory of pictures back to the system as soon as they are done, and the system clears it
    anew for the next one, page by page; and each thread has memory of its own that others do not use.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None and not os.environ.keys() & _CHOSEN:
        for parameter, value in ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _LARGEST), (_M_TRIM_THRESHOLD, _KEPT)):
            mallopt(parameter, value)


def return_memory() -> None:
    """Give what is free between pieces in use back to the system; glibc only.

    Otherwise the holes that each segment of a clip leaves add up, and a long clip takes more than a short one.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def free_memory() -> int | None:
    """Return the bytes that this process may still take, or None where the system does not say.

    The least of what the machine has left, what the container's control group allows, and what the shell's limit does.
    """
    known = [size for size in (_of_machine(), _of_cgroup(), _of_shell()) if size is not None]
    return max(0, min(known)) if known else None


def allowed_memory() -> int | None:
    """Return the bytes that a job may plan with, or None where the system does not say how much is free."""
    free = free_memory()
    return None if free is None else int(SHARE * free)


def check_memory(needed: int, what: str, remedy: str, error: type[BirefvideoError]) -> None:
    """Refuse what would take more memory than there is.

    Args:
        needed: bytes that it takes.
        what: what takes them, in the plural: the subject of the message.
        remedy: what to do.
        error: what is raised.

    Raises:
        BirefvideoError: of the kind `error`.
    """
    free = free_memory()
    if free is not None and needed > SHARE * free:
        may = f"{_size(int(SHARE * free))} may be used of the {_size(free)} that are free"
        raise error(f"{what} take about {_size(needed)} of memory, and {may}: {remedy}")


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"


def _of_machine() -> int | None:
    found = _numbers(Path("/proc/meminfo")).get("MemAvailable:")
    if found is not None:
        return found << 10
    try:  # macOS, where nothing simple says how much is free
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _of_cgroup() -> int | None:
    """Return what the control group of this process, and those above it, leave."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    groups = {kind: Path(name) for _, kind, name in (line.split(":", 2) for line in lines)}
    left: list[int] = []
    for kind, root, limit, used, dropped in _CGROUPS:
        group = groups.get(kind, Path("/"))
        for folder in (Path(f"{root}{name}") for name in (group, *group.parents)):
            allowed, taken = _number(folder / limit), _number(folder / used)
            if allowed is not None and taken is not None:
                left.append(allowed - taken + _numbers(folder / "memory.stat").get(dropped, 0))
    return min(left, default=None)


def _of_shell() -> int | None:
    """Return what `ulimit -v` leaves."""
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError, ValueError):  # Windows, macOS
        return None
    return None if limit == resource.RLIM_INFINITY else limit - pages * resource.getpagesize()


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None  # "max" is no limit


def _numbers(path: Path) -> dict[str, int]:
    """Return the second word of each line by its first."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}

"""Forked processes: a child cannot use the threads that its parent has computed with, and would wait for them."""

from __future__ import annotations

import os

from birefvideo.errors import DeviceError


class _Process:
    """What is known of the process that this module is in."""

    has_computed = False
    """Whether a network has been made ready in it, or in the one that it was forked from."""
    is_forked_since = False
    """Whether it was forked from one where that was so."""


def _in_child() -> None:
    _Process.is_forked_since = _Process.has_computed


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def about_to_compute() -> None:
    """Note that this process computes.

    Raises:
        DeviceError: it was forked from one that had, so that OpenMP would hang.
    """
    check_not_forked()
    _Process.has_computed = True


def check_not_forked() -> None:
    """Refuse to compute where it would hang.

    Raises:
        DeviceError: as above.
    """
    if _Process.is_forked_since:
        raise DeviceError(
            "this process was forked from one that had computed already, and OpenMP would hang in it: start "
            "processes with multiprocessing.get_context('spawn')"
        )

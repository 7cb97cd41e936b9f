"""Processes that are forked or spawned after a job."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

import birefvideo
from birefvideo.errors import DeviceError
from birefvideo.matting import forks

CODE = """
import os, sys, birefvideo
from birefvideo.matting.forks import about_to_compute
{before}
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
try:
    about_to_compute()
except birefvideo.BirefvideoError as error:
    print(error, flush=True)
    os._exit(3)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize(("before", "code"), [("", 0), ("about_to_compute()", 3)])
def test_a_child_says_that_it_would_hang_where_its_parent_has_computed(before: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(before=before)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stderr
    assert ("get_context('spawn')" in done.stdout) == bool(code)


def test_every_way_to_a_network_asks_first(monkeypatch: pytest.MonkeyPatch, network: Path, tmp_path: Path) -> None:
    monkeypatch.setattr(forks._Process, "is_forked_since", True)
    for call in (
        lambda: birefvideo.matte(tmp_path / "clip.mp4", model=str(network)),
        lambda: birefvideo.load_model(network),
    ):
        with pytest.raises(DeviceError, match="forked from one that had computed"):
            call()


def _size(text: str) -> int:
    return len(list(birefvideo.load_model(text).parameters()))


@pytest.mark.slow
def test_spawned_processes_work_after_a_network_was_used(network: Path) -> None:
    here = _size(str(network))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_size, [str(network)]) == [here]

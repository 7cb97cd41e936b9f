"""Beside other work: how the command lets OpenMP's threads wait, and the benchmarks' own load."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time

import pytest
from benchmarks.busy import busy

from birefvideo.cli import SPINS

COMMAND = """
import os, sys
from birefvideo.cli import main
assert "torch" not in sys.modules  # OpenMP would have been loaded, and would have read its settings
sys.argv = ["birefvideo", "--version"]
try:
    main()
except SystemExit:
    pass
{then}
"""


def run(then: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    command = [sys.executable, "-c", COMMAND.format(then=then)]
    return subprocess.run(command, env={**kept, **environment}, capture_output=True, text=True, check=True)


def test_the_command_has_openmp_s_threads_sleep_soon() -> None:
    shown = run("import torch", OMP_DISPLAY_ENV="verbose").stderr
    if "GOMP_SPINCOUNT" not in shown:
        pytest.skip("torch is built with another OpenMP than GNU's")
    assert f"GOMP_SPINCOUNT = '{SPINS}'" in shown


@pytest.mark.parametrize("chosen", [{"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "ACTIVE"}])
def test_a_user_s_own_choice_of_how_threads_wait_is_kept(chosen: dict[str, str]) -> None:
    names = ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"]
    shown = run(f"print({{name: os.environ[name] for name in {names} if name in os.environ}})", **chosen).stdout
    assert shown.splitlines()[-1] == str(chosen)


@pytest.mark.parametrize(("chosen", "threads"), [({}, 1), ({"OPENCV_FOR_THREADS_NUM": "2"}, 2)])
def test_opencv_has_one_thread_a_frame_unless_the_user_chose(chosen: dict[str, str], threads: int) -> None:
    assert int(run("import cv2; print(cv2.getNumThreads())", **chosen).stdout.split()[-1]) == threads


FAULTS = """
import resource
from concurrent.futures import ThreadPoolExecutor

def pages(_):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(b"x") * (40 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

for _ in range(2):
    with ThreadPoolExecutor(1) as pool:
        print(*pool.map(pages, range(2)))
"""
"""Prints how many pages the system gives to each of two threads, one after the other, for pieces of 40 MiB."""


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="glibc's memory only")
def test_memory_is_used_again_by_every_thread() -> None:
    first, *later = (int(word) for word in run(FAULTS).stdout.split()[-4:])
    assert first > 1000
    assert max(later) < first // 10


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="glibc's memory only")
def test_a_user_s_own_choice_of_how_memory_is_kept_is_left() -> None:
    counts = [int(word) for word in run(FAULTS, MALLOC_MMAP_THRESHOLD_="131072").stdout.split()[-4:]]
    assert min(counts) > 1000


def test_a_benchmark_s_other_work_takes_time_and_ends_with_it() -> None:
    before = os.times().children_user
    with busy(1):
        time.sleep(0.3)
    assert os.times().children_user > before  # counted once the process has ended

"""The measuring run: steps under a clock, of which none spoils another, and a plain network that is plain."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import bench_gpu
import pytest
import torch
from benchmarks import gpu_job, gpu_steps
from benchmarks.clock import Clock
from benchmarks.gpu_meter import Meter
from stand_in_card import stand_in_card

from birefvideo.matting.devices import Device, find_device
from birefvideo.network.birefnet import BiRefNet

SCRIPTS = Path(bench_gpu.__file__).parent


def test_a_step_that_fails_or_has_no_time_left_loses_nothing(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "out", 100)

    def fails() -> None:
        clock.note("first", "half", ms=1.5)
        raise RuntimeError("CUDA error: an illegal memory access")

    clock.step("first", 1, fails)
    clock.step("second", 4000, fails)
    clock.step("third", 1, lambda: clock.note("third", "whole", ms=2))
    rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    told = [f"{row['step']} {row['what']}" for row in rows]
    assert told == ["first half", "first failed", "first took", "second skipped", "third whole", "third took"]
    assert clock.failed == ["first"] and "illegal memory" in (tmp_path / "out" / "error_first.txt").read_text()
    assert "| third | whole | ms 2 |" in (tmp_path / "out" / "table.md").read_text()


@pytest.mark.parametrize("plain", [False, True])
def test_a_plain_network_is_measured_plain(plain: bool) -> None:
    options = argparse.Namespace(plain=plain, compile=False, size="64x64", picture="64x64", dtype="float32")
    engine = gpu_job.engine_for("talk", options, find_device("cpu"))
    assert (type(engine.network) is BiRefNet) == plain


def test_a_measurement_that_fails_leaves_the_rest_of_its_step(tmp_path: Path) -> None:
    clock = Clock(tmp_path, 100)

    def fails() -> dict[str, object]:
        raise RuntimeError("no C compiler")

    def step() -> None:
        clock.row("parity", "kernels", fails)
        clock.row("parity", "plain", lambda: {"rms": 0.5})

    clock.step("parity", 1, step)
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [row["what"] for row in rows] == ["kernels", "plain", "took"]
    assert rows[0]["error"] == "RuntimeError: no C compiler" and rows[1]["rms"] == 0.5
    assert clock.failed == ["parity: kernels"]


def test_a_step_that_takes_too_long_is_ended_and_the_next_one_goes_on(tmp_path: Path) -> None:
    clock = Clock(tmp_path, 100)
    began = time.monotonic()

    def forever() -> dict[str, object]:
        time.sleep(60)
        return {}

    clock.step("slow", 0.1, lambda: clock.row("slow", "forever", forever))
    clock.step("next", 1, lambda: clock.note("next", "done"))
    assert time.monotonic() - began < 10
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [row["what"] for row in rows] == ["failed", "took", "done", "took"]
    assert rows[0]["error"].startswith("StepTimeoutError") and clock.failed == ["slow"]


def test_a_run_that_hangs_outside_of_python_is_ended_with_its_results_kept(tmp_path: Path) -> None:
    code = """if True:
        import os, signal, sys, time
        from pathlib import Path
        from benchmarks import clock
        clock.GRACE = 0.2
        made = clock.Clock(Path(sys.argv[1]), 0.2)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})  # as a call that never comes back
        with made.running():
            made.note("network", "lite", ms=4)
            made.step("hangs", 0.1, lambda: time.sleep(60))
    """
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, timeout=30, cwd=SCRIPTS)
    assert run.returncode == 1 and b"Timeout" in run.stderr
    assert '"ms": 4' in (tmp_path / "results.jsonl").read_text()


STEPS = ["machine", "tests", "parity", "network", "first", "pictures", "jobs", "batches", "blocks", "kernels", "rivals"]


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_dry_run_does_every_step_on_a_cpu(tmp_path: Path) -> None:
    command = [sys.executable, "scripts/bench_gpu.py", "--dry", "--device", "cpu", "--out", str(tmp_path / "out")]
    command += ["--seconds", "290", "--model", "lite"]  # the test below has the other
    run = subprocess.run(command, capture_output=True, text=True, timeout=290, cwd=SCRIPTS.parent)
    assert run.returncode == 0, run.stdout + run.stderr
    rows = rows_of(tmp_path / "out")
    assert [row["step"] for row in rows if row["what"] == "took"] == STEPS
    assert not any("error" in row for row in rows)
    parity = {row["what"]: row["rms"] for row in rows if row["step"] == "parity" and "rms" in row}
    assert parity["lite fused float32"] < 1e-3 and parity["lite plain float32"] < 1e-6
    assert {row["step"] for row in rows if "rms" in row or "ms" in row or "graph" in row or "job" in row} >= {
        "parity", "network", "pictures", "jobs", "batches", "kernels"
    }  # fmt: skip


class FullMeter(Meter):
    """Measures in fp32 what a card computes in fp16."""

    def __init__(self, device: Device, options: argparse.Namespace) -> None:
        super().__init__(device, options)
        self.half = torch.float32


@pytest.mark.slow
def test_a_dry_run_does_every_step_on_a_stand_in_for_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = stand_in_card(monkeypatch)
    monkeypatch.setattr(bench_gpu, "find_device", lambda name: card)
    monkeypatch.setattr(gpu_steps, "BLOCK", 2**16)
    monkeypatch.setattr(gpu_steps, "SIDE", 32)
    # Without a card, convolutions of groups in fp16 go channel by channel, a minute in all.
    monkeypatch.setattr(gpu_steps, "HALVES", gpu_steps.HALVES[1:])
    monkeypatch.setattr(gpu_steps, "Meter", FullMeter)
    monkeypatch.chdir(SCRIPTS.parent)
    options = ["--dry", "--device", "cpu", "--model", "talk", "--out", str(tmp_path), "--seconds", "200"]
    options += ["--dtype", "float32"]
    monkeypatch.setattr(sys, "argv", ["scripts/bench_gpu.py", *options])
    bench_gpu.main()
    rows = rows_of(tmp_path)
    assert [row["step"] for row in rows if row["what"] == "took"] == STEPS
    assert not any("error" in row for row in rows)
    assert [row["what"] for row in rows if row["step"] == "machine"] == [
        "a stand-in", "card", "memory", "fp16", "bus, GB/s", "took"
    ]  # fmt: skip
    (exact,) = (row["rms"] for row in rows if row["what"] == "talk plain float32")
    assert exact < 1e-6


def measuring_command() -> str:
    """The shell command that the guide gives for a bare machine."""
    text = (SCRIPTS.parent / "docs" / "gpu.md").read_text()
    return text.split("## Measuring")[1].split("```sh\n")[1].split("```")[0]


def test_the_command_for_a_bare_machine_is_one_that_a_shell_and_the_script_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = measuring_command()
    subprocess.run(["sh", "-n"], input=command, text=True, check=True)
    # What the shell makes of it, with stand-ins that only tell what they were called with.
    for name in ("python3", "tee"):
        tool = tmp_path / name
        tool.write_text('#!/bin/sh\necho "$(basename $0) $*" >> "$OUT/called"\ncat >/dev/null\n')
        tool.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "OUT": str(tmp_path)}
    subprocess.run(["sh", "-c", command], env=environment, check=True, stdin=subprocess.DEVNULL, cwd=tmp_path)
    calls = sorted((tmp_path / "called").read_text().splitlines())
    assert calls[-1] == f"tee {tmp_path}/all.txt"
    words = next(call for call in calls if "bench_gpu" in call).split()
    assert words[:2] == ["python3", "scripts/bench_gpu.py"]
    monkeypatch.setattr(sys, "argv", words[1:])
    options = bench_gpu.parsed()
    assert options.out == tmp_path and options.seconds <= 420 and not options.dry

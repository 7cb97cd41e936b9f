"""The measuring run: steps under a clock, of which none spoils another, and a plain network that is plain."""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path

import av
import pytest
from benchmarks import gpu_job
from benchmarks.clock import Clock
from torch import nn

from birefvideo.frames import DecodedFrame
from birefvideo.matting.devices import find_device
from birefvideo.matting.engine import Engine
from birefvideo.network.birefnet import BiRefNet


def test_a_step_that_fails_or_has_no_time_left_loses_nothing(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "out", 100)

    def fails() -> None:
        clock.note("first", "half", ms=1.5)
        raise RuntimeError("CUDA error: an illegal memory access")

    clock.step("first", 1, fails)
    clock.step("second", 1000, fails)
    clock.step("third", 1, lambda: clock.note("third", "whole", ms=2))
    rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    told = [f"{row['step']} {row['what']}" for row in rows]
    assert told == ["first half", "first failed", "first took", "second skipped", "third whole", "third took"]
    assert clock.failed == ["first"] and "illegal memory" in (tmp_path / "out" / "error_first.txt").read_text()
    assert "| third | whole | ms 2 |" in (tmp_path / "out" / "table.md").read_text()


@pytest.mark.parametrize("plain", [False, True])
def test_a_plain_network_is_measured_plain(plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[nn.Module] = []

    class Seen(Exception):  # noqa: N818
        pass

    def stop(engine: Engine, *_: object) -> float:
        seen.append(engine.network)
        raise Seen

    monkeypatch.setattr(gpu_job, "time_network", stop)
    monkeypatch.setattr(gpu_job, "read_frames", lambda *_: iter([DecodedFrame(picture(), 0, Fraction(1), 1)]))
    monkeypatch.setattr(gpu_job, "probe", lambda clip: None)
    options = argparse.Namespace(
        plain=plain, compile=False, size="64x64", picture="64x64", dtype="float32", batch=1, frames=1, device="cpu"
    )
    with pytest.raises(Seen):
        gpu_job.measure("talk", options, find_device("cpu"), Path("clip.mp4"))
    assert (type(seen[0]) is BiRefNet) == plain


def picture() -> av.VideoFrame:
    return av.VideoFrame(64, 64, "yuv420p")

"""Turns of the jobs of `birefvideo serve`: who holds a device, and who waits for it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra birefvideo[serve] is not installed")

from conftest import GetClip

from birefvideo.matting.devices import KINDS
from birefvideo.serve.helper import check
from birefvideo.serve.secret import Secret
from birefvideo.serve.tls import certificate
from birefvideo.serve.turns import Turns


def test_a_job_of_two_devices_holds_both_and_later_ones_do_not_keep_it_waiting() -> None:
    turns = Turns()
    for key, devices in (("a", "0"), ("both", "01"), ("b", "1"), ("c", "0"), ("d", "2"), ("e", "01")):
        turns.add(key, devices)
    assert turns.begin() == ["a", "d"]
    assert [turns.position(key) for key in ("a", "both", "b", "c", "d", "e")] == [0, 1, 2, 2, 0, 4]
    turns.end("a")
    assert turns.begin() == ["both"]
    turns.end("both")
    assert (turns.begin(), turns.position("e"), len(turns)) == (["b", "c"], 2, 4)


def test_a_job_that_no_longer_waits_lets_those_behind_it_begin() -> None:
    turns = Turns()
    for key, devices in (("a", "0"), ("both", "01"), ("b", "1")):
        turns.add(key, devices)
    turns.begin()
    turns.end("both")
    assert (turns.begin(), turns.position("b"), turns.position("both")) == (["b"], 0, 0)


@pytest.mark.parametrize(
    ("device", "held"), [("cuda:1,cuda:0", "cuda:0,cuda:1"), ("cuda", "cuda:0"), ("cpu:2", "cpu"), ("auto", "cuda:0")]
)
def test_a_job_needs_every_device_that_it_names(
    device: str, held: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clip: GetClip
) -> None:
    monkeypatch.setitem(KINDS, "cuda", replace(KINDS["cuda"], count=lambda: 2, level=lambda device: (8, 0)))
    asked = {"device": device, "model": "talk"}
    found = check(str(clip("plain")), asked, ["webm"], str(tmp_path), [], most_pixels=1 << 20)
    assert found["device"] == held


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")
@pytest.mark.parametrize(
    "make", [lambda folder: Secret(folder / "key"), lambda folder: certificate(folder / "tls", "127.0.0.1")]
)
def test_a_secret_is_its_owners_alone_from_its_first_moment(
    make: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    modes, opened = [], os.open

    def open_and_look(path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = opened(path, flags, mode)
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", open_and_look)
    before = os.umask(0)
    try:
        make(tmp_path)
    finally:
        os.umask(before)
    assert set(modes) == {0o600}

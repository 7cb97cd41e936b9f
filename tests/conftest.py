"""Fixtures of all tests, and two rules for every test: no thread left running, nothing logged as an error."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import av.logging
import pytest
import torch
import tqdm
from clips import CLIPS

from birefvideo.family.checkpoints import save_folder
from birefvideo.jobs.warnings import TONE_MAPS_FROM
from birefvideo.network.birefnet import BiRefNet, Geometry

TONE_MAPS = int(av.__version__.split(".")[0]) >= TONE_MAPS_FROM
GetClip = Callable[[str], Path]

os.environ["XDG_CONFIG_HOME"] = os.devnull  # whoever runs the tests may have a config file
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # shells start background commands so; some tests press Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup; some tests hang up
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
tqdm.tqdm.monitor_interval = 0  # the watchdog of transformers' bars is a thread that stays
THREAD_GRACE = 2.0  # seconds that a thread may take to end after its test


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --slow."""
    parser.addoption("--slow", action="store_true", help="run the tests marked slow as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests marked slow, unless --slow is given."""
    if config.getoption("--slow"):
        return
    skipped = pytest.mark.skip(reason="slow; --slow runs it")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skipped)


class _ErrorLog(logging.Handler):
    """Keeps what is logged at ERROR or above."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def no_thread_left_running() -> Iterator[None]:
    """Fail a test after which a Python thread runs that did not run before."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + THREAD_GRACE
    left = [t for t in threading.enumerate() if t not in before]
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))
    left = [t for t in left if t.is_alive()]
    assert not left, f"threads left running: {[t.name for t in left]}"


@pytest.fixture(autouse=True)
def nothing_logged_as_error() -> Iterator[list[str]]:
    """Fail a test during which anything is logged at ERROR or above, unless it takes it out of this list itself."""
    # FFmpeg tells of every damaged byte on its own; what a damaged clip means is for our code to say.
    av.logging.set_level(None)
    handler = _ErrorLog()
    root = logging.getLogger()
    root.addHandler(handler)
    yield handler.messages
    root.removeHandler(handler)
    assert not handler.messages, f"errors logged: {handler.messages}"


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Path of the clip of that name in `clips.CLIPS`, made once a session; treat it as read-only."""
    folder = tmp_path_factory.mktemp("clips")
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name == "hdr" and not TONE_MAPS:
            pytest.skip("BT.2020 needs PyAV 18")
        if name not in made:
            made[name] = CLIPS[name](folder)
        return made[name]

    return get


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with a tiny random network whose alpha is soft everywhere."""
    return random_network(tmp_path_factory.mktemp("network"), seed=4, long_side=64)


@pytest.fixture(scope="session")
def other_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second one, whose alpha differs from that of `network`."""
    return random_network(tmp_path_factory.mktemp("other"), seed=11, long_side=96)


def random_network(folder: Path, *, seed: int, long_side: int) -> Path:
    """Fill `folder` with a checkpoint of the smallest network, and return it."""
    torch.manual_seed(seed)
    geometry = Geometry("conv_t", "", attention=("", "", "", "", ""), head="subpixel", head_width=8)
    save_folder(BiRefNet(geometry).eval(), folder, long_side=long_side)
    return folder


@pytest.fixture
def copy(clip: GetClip, tmp_path: Path) -> GetClip:
    """A clip of tests/clips.py in a folder of this test's own."""
    return lambda name: Path(shutil.copy(clip(name), tmp_path))


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Fails on any connection, and hides this machine's cache; the folder is the hub's home."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    return tmp_path / "home"

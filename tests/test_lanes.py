"""Frames computed at a time on a CPU: the same results in the same order, and threads that are others' business."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from test_checkpoints import SMALL_SWIN
from test_fuse import TALK, filled
from torch import nn

from birefvideo.errors import DeviceError
from birefvideo.frames import Alpha, AlphaFrame, DecodedFrame
from birefvideo.matting.devices import find_device
from birefvideo.matting.engine import Engine
from birefvideo.matting.input_size import InputSize
from birefvideo.matting.lanes import MOST, Lanes
from birefvideo.matting.predict import Predictor
from birefvideo.matting.streams import Stream
from birefvideo.network.birefnet import Geometry
from birefvideo.network.swin import SWIN_SIZES

SIZE = InputSize(long_side=64)


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """Compute with two threads, and as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def frames(count: int) -> list[DecodedFrame]:
    rng = np.random.default_rng(5)
    pictures = (rng.integers(16, 235, (54, 64), np.uint8) for _ in range(count))
    return [
        DecodedFrame(av.VideoFrame.from_ndarray(codes, format="yuv420p"), number, Fraction(1, 25), 1)
        for number, codes in enumerate(pictures)
    ]


def engine(geometry: Geometry = TALK) -> Engine:
    return Engine(filled(geometry), SIZE, find_device("cpu"))


def watched(whole: Engine, watch: Callable[[], object]) -> None:
    """Have the engine call `watch` before it computes a frame, in the thread that does."""
    network = whole._model

    class Watched(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            watch()
            logits: torch.Tensor = network(pixels)
            return logits

    whole._model = Watched()


def alphas(made: Iterator[AlphaFrame]) -> list[Alpha]:
    return [frame.alpha for frame in made]


def test_results_come_in_order_and_are_those_of_one_thread() -> None:
    whole = engine()
    given = list(Predictor(whole).predict(iter(frames(7))))
    assert [frame.pts for frame in given] == list(range(7))
    torch.set_num_threads(1)
    alone = alphas(Predictor(whole, alone=True).predict(iter(frames(7))))
    np.testing.assert_array_equal([frame.alpha for frame in given], alone)


def test_as_many_frames_as_there_are_threads_are_computed_at_a_time_each_with_its_share() -> None:
    whole, met = engine(), threading.Barrier(2, timeout=20)
    seen: list[int] = []

    def two_at_a_time() -> None:
        met.wait()
        seen.append(torch.get_num_threads())

    watched(whole, two_at_a_time)
    assert len(list(Predictor(whole).predict(iter(frames(4))))) == 4
    assert seen == [1] * 4
    torch.set_num_threads(11)
    lanes = engine().backend_for((64, 64), 1)
    assert isinstance(lanes, Lanes)
    assert (lanes.count, lanes._threads.shares) == (MOST, (2, 11))


def test_a_picture_alone_has_all_threads() -> None:
    whole = engine()
    seen: list[int] = []
    watched(whole, lambda: seen.append(torch.get_num_threads()))
    list(Predictor(whole, alone=True).predict(iter(frames(2))))
    assert seen == [2, 2]


def test_threads_of_others_stay_as_many() -> None:
    elsewhere: list[int] = []
    made = Predictor(engine()).predict(iter(frames(3)))
    next(made)
    other = threading.Thread(target=lambda: elsewhere.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert len(list(made)) == 2
    assert (elsewhere, torch.get_num_threads()) == ([2], 2)


def test_one_thread_and_networks_of_long_steps_have_no_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SWIN_SIZES, "swin_v1_t", SMALL_SWIN)
    large = engine(Geometry("swin_v1_t"))
    assert large.backend_for((64, 64), 1) is large.backend
    plain = Engine(filled(TALK), SIZE, find_device("cpu"), fused=False)
    assert plain.backend_for((64, 64), 1) is plain.backend
    torch.set_num_threads(1)
    narrow = engine()
    assert narrow.backend_for((64, 64), 1) is narrow.backend


def test_much_at_a_time_is_computed_one_by_one() -> None:
    whole = engine()
    assert isinstance(whole.backend_for((1024, 1024), 1), Lanes)
    assert isinstance(whole.backend_for((512, 512), 4), Lanes)
    for size, batch in (((1024, 1056), 1), ((512, 512), 5)):
        assert whole.backend_for(size, batch) is whole.backend


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "too little free memory"),
        (RuntimeError("\"conv\" not implemented for 'Half'"), "cannot compute this network"),
    ],
)
def test_errors_of_a_lane_are_those_of_the_job(error: Exception, told: str) -> None:
    whole = engine()
    asked: list[int] = []

    def fail_once() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise error

    watched(whole, fail_once)
    made = Predictor(whole).predict(iter(frames(6)))
    with pytest.raises(DeviceError, match=told):
        list(made)
    assert len(list(Predictor(whole).predict(iter(frames(2))))) == 2


def test_clips_at_a_time_share_the_threads_and_the_last_ends_them() -> None:
    whole = engine()
    one, other = (Predictor(whole).predict(iter(frames(5))) for _ in range(2))
    firsts = next(one).alpha, next(other).alpha
    np.testing.assert_array_equal(*firsts)
    assert sum(thread.name.startswith("lane") for thread in threading.enumerate()) == 2
    one.close()  # type: ignore[attr-defined]
    assert len(list(other)) == 4
    assert not any(thread.name.startswith("lane") for thread in threading.enumerate())


def test_threads_that_cannot_all_start_leave_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    lanes, started = Lanes(torch.device("cpu"), 2, 1), threading.Thread.start

    def only_one(thread: threading.Thread) -> None:
        if thread.name == "lane_1":
            raise RuntimeError("can't start new thread")
        started(thread)

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", only_one)
        with pytest.raises(RuntimeError, match="new thread"), lanes.at_work():
            pass
    assert not any(thread.name.startswith("lane") for thread in threading.enumerate())
    with lanes.at_work():
        lanes.run(Stream.COMPUTE, lambda: None)
        lanes.host_wait(lanes.record(Stream.COMPUTE))


def test_work_that_failed_does_not_keep_others_from_joining() -> None:
    lanes = Lanes(torch.device("cpu"), 2, 1)

    def fail() -> None:
        raise ZeroDivisionError

    with lanes.at_work():
        lanes.run(Stream.COMPUTE, fail)
        event = lanes.record(Stream.COMPUTE)
        lanes.join()
        with pytest.raises(ZeroDivisionError):
            lanes.host_wait(event)

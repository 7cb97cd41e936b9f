"""The order of device work: right under every interleaving of the streams, and held by no wait too many."""

from __future__ import annotations

import copy
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import av
import numpy as np
import pytest
import torch
from deferred import DeferredBackend, Site, addresses
from numpy.typing import NDArray
from predictors import engine_of, predictor_of
from test_fuse import LITE, TALK, filled
from torch import nn

from birefvideo.errors import BirefvideoError
from birefvideo.frames import AlphaFrame, DecodedFrame
from birefvideo.matting.devices import MAX_BATCH, find_device
from birefvideo.matting.engine import Engine
from birefvideo.matting.input_size import InputSize
from birefvideo.matting.predict import Predictor
from birefvideo.matting.slots import PictureKind, Ring, Slot
from birefvideo.matting.streams import Backend, CudaBackend, SerialBackend, Staging, Stream
from birefvideo.network.fast_swin import FastStage
from birefvideo.network.fuse import fuse

SIZE = InputSize(fixed=(8, 8), multiple=8)
CPU = torch.device("cpu")
CUDA = torch.device("cuda", 0)
SITES: list[Site] = [("compute", "upload"), ("download", "compute"), ("host", "download")]

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


class Tint(nn.Module):
    """Logits that depend on nothing but their own pixel, and not on the rest of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.9, -0.4, 0.7]).view(3, 1, 1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return (pixels * self.weight).sum(1, keepdim=True)


def clip(count: int = 12) -> list[DecodedFrame]:
    """Frames of noise, none like another."""
    rng = np.random.default_rng(5)
    frames = []
    for index in range(count):
        rgb = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p", threads=1)
        frames.append(DecodedFrame(picture, index * 40, Fraction(1, 1000), 40))
    return frames


FRAMES = clip()


def mattes(backend: Backend[Any], batch: int, on_device: bool = False) -> list[NDArray[np.float32]]:
    predictor = predictor_of(Tint(), SIZE, CPU, dtype=torch.float32, batch=batch, on_device=on_device, backend=backend)
    frames = list(predictor.predict(FRAMES))
    assert [frame.pts for frame in frames] == [frame.pts for frame in FRAMES]
    return [frame.alpha for frame in frames if frame.alpha is not None]


@pytest.fixture(scope="module", params=[False, True], ids=["host-scales", "device-scales"])
def on_device(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def expected(on_device: bool) -> list[NDArray[np.float32]]:
    return mattes(SerialBackend(CPU), batch=1, on_device=on_device)


def settings(seed: int) -> tuple[int, int]:
    """Batch and depth of a seed: every pair comes up."""
    return (1, 2, 3, 5)[seed % 4], (1, 2, 3)[seed // 4 % 3]


def is_right(backend: DeferredBackend, batch: int, expected: list[NDArray[np.float32]], on_device: bool) -> bool:
    try:
        return np.array_equal(mattes(backend, batch, on_device=on_device), expected)
    except BirefvideoError:
        return False


@pytest.mark.parametrize("captures", [False, True], ids=["launched", "captured"])
def test_every_interleaving_gives_what_serial_work_gives(
    expected: list[NDArray[np.float32]], on_device: bool, captures: bool
) -> None:
    for seed in range(36 if captures else 100):
        batch, depth = settings(seed)
        backend = DeferredBackend(seed, depth, captures=captures)
        assert is_right(backend, batch, expected, on_device), f"seed {seed}, batch {batch}, depth {depth}"
        assert backend.captured == (min(depth, -(-len(FRAMES) // batch)) if captures else 0)
        assert backend.left_over == 0, f"seed {seed}: work was left when all results were out"


def test_the_sites_that_the_next_test_removes_are_all_there_are() -> None:
    backend = DeferredBackend(0)
    mattes(backend, batch=2)
    assert backend.sites == set(SITES)


@pytest.mark.parametrize("site", SITES, ids="-for-".join)
def test_no_wait_can_be_left_out(site: Site, expected: list[NDArray[np.float32]], on_device: bool) -> None:
    wrong = [
        not is_right(DeferredBackend(seed, settings(seed)[1], site), settings(seed)[0], expected, on_device)
        for seed in range(24)
    ]
    assert any(wrong), f"without the wait of {site} nothing fails: either it is not needed or this test is blind"


def test_refilling_a_slot_before_its_download_was_waited_for_is_noticed(
    expected: list[NDArray[np.float32]], on_device: bool
) -> None:
    class Hasty(Predictor):
        """Frees each slot as soon as its work is queued."""

        def _submit(self, frames: list[DecodedFrame], ring: object) -> bool:
            done = super()._submit(frames, ring)  # type: ignore[arg-type]
            ring.give_back(ring.under_way[-1][0])  # type: ignore[attr-defined]
            return done

    def wrong(seed: int) -> bool:
        backend = DeferredBackend(seed)
        engine = engine_of(Tint(), SIZE, CPU, dtype=torch.float32, on_device=on_device, backend=backend)
        predictor = Hasty(engine, 2)
        return not np.array_equal([frame.alpha for frame in predictor.predict(FRAMES)], expected)

    assert any(map(wrong, range(24)))


def test_work_captured_on_another_batchs_buffers_is_noticed(
    expected: list[NDArray[np.float32]], on_device: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Engine._compute

    def confused(engine: Engine, slot: Slot) -> None:
        plain(engine, next(iter(engine._captured), slot))

    monkeypatch.setattr(Engine, "_compute", confused)
    assert not is_right(DeferredBackend(0, captures=True), 2, expected, on_device)


def test_captures_serve_clip_after_clip_and_only_the_last_shape() -> None:
    backend = DeferredBackend(0, captures=True)
    engine = engine_of(Tint(), InputSize(long_side=32, multiple=8), CPU, backend=backend)
    tall = [replace(frame, picture=frame.picture.reformat(12, 16, threads=1)) for frame in FRAMES]
    for frames, captured in ((FRAMES, 3), (FRAMES, 3), (tall, 6), (FRAMES, 9)):
        list(Predictor(engine, 2).predict(frames))
        assert (backend.captured, len(engine._captured)) == (captured, backend.depth)


def test_slots_that_could_not_be_exchanged_are_never_those_of_two_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of(Tint(), SIZE, CPU, dtype=torch.float32, on_device=True, backend=DeferredBackend(0))
    plain, rings = Engine.ring_for, []

    def ring_for(self: Engine, *args: Any) -> Ring:
        rings.append(plain(self, *args))
        if len(rings) == 2:  # as another clip would get it, just before this one's fails
            raise RuntimeError("CUDA error: unspecified launch failure")
        return rings[-1]

    monkeypatch.setattr(Engine, "ring_for", ring_for)
    other = [replace(frame, picture=frame.picture.reformat(format="yuv422p", threads=1)) for frame in FRAMES]
    with pytest.raises(RuntimeError, match="unspecified launch failure"):
        list(Predictor(engine, 2).predict([*FRAMES[:4], *other]))
    again = engine.ring_for(FRAMES[0].picture, (8, 8), 2)
    assert again is not rings[1]


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize(
    "setting",
    [
        partial(torch.autocast, "cpu", torch.bfloat16),
        partial(default_dtype, torch.float16),
        partial(torch.device, "meta"),
    ],
    ids=["autocast", "default-dtype", "default-device"],
)
def test_what_the_caller_has_set_for_a_network_of_his_own_changes_nothing(
    setting: Callable[[], AbstractContextManager[Any]], on_device: bool
) -> None:
    size, model = InputSize(fixed=(64, 64)), filled(TALK)

    def mattes() -> list[NDArray[np.float32] | None]:
        predictor = predictor_of(copy.deepcopy(model), size, CPU, dtype=torch.float32, batch=2, on_device=on_device)
        return [frame.alpha for frame in predictor.predict(FRAMES[:3])]

    expected = mattes()
    with setting():
        np.testing.assert_array_equal(mattes(), expected)


def test_work_that_nobody_waited_for_is_counted_as_left_over() -> None:
    backend = DeferredBackend(seed=1, ignored=("host", "download"))
    backend._eagerness = 0
    mattes(backend, batch=2)
    assert backend.left_over > 0


@pytest.mark.parametrize("batch", [1, 2, 5, 12, 20])
def test_the_host_waits_once_for_each_batch(batch: int) -> None:
    backend = DeferredBackend(seed=3)
    mattes(backend, batch)
    assert backend.host_waits == -(-len(FRAMES) // batch)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_frames_held_are_bounded_by_depth_and_batch(depth: int) -> None:
    batch = 2
    read: list[int] = []

    def source() -> Iterator[DecodedFrame]:
        for frame in FRAMES:
            read.append(frame.pts)
            yield frame

    predictor = predictor_of(Tint(), SIZE, CPU, batch=batch, backend=DeferredBackend(2, depth))
    held = [len(read) - given for given, _ in enumerate(predictor.predict(source()))]
    assert max(held) == depth * batch


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_buffers_are_made_once_for_each_slot_whatever_the_length(depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, ...]] = []
    plain = DeferredBackend.staging

    def noted(self: DeferredBackend, shape: tuple[int, ...], dtype: torch.dtype) -> Staging:
        made.append(shape)
        return plain(self, shape, dtype)

    monkeypatch.setattr(DeferredBackend, "staging", noted)
    mattes(DeferredBackend(0, depth), batch=2)
    assert made == [(2, 8, 8, 3), (2, 8, 8)] * depth
    made.clear()
    mattes(DeferredBackend(0, depth), batch=2, on_device=True)
    assert made == [(2, 16 * 12 * 3 // 2), (2, 3, 4), (2, 12, 16), (2,)] * depth


def test_closing_early_finishes_what_was_under_way() -> None:
    backend = DeferredBackend(seed=4)
    frames: Iterator[AlphaFrame] = predictor_of(Tint(), SIZE, CPU, batch=2, backend=backend).predict(FRAMES)
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    assert backend.left_over > 0
    assert not any(backend._queues.values())


def test_serial_work_is_done_at_once_and_cpu_buffers_are_not_copied() -> None:
    backend = SerialBackend(CPU)
    done: list[int] = []
    backend.run(Stream.COMPUTE, lambda: done.append(1))
    assert done == [1]
    staging = backend.staging((2, 3), torch.float32)
    assert staging.host.data_ptr() == staging.device.data_ptr()


def test_a_cpu_gets_serial_work() -> None:
    assert isinstance(find_device("cpu").backend(), SerialBackend)


class FakeGraph:
    """What torch.cuda.graph is, as far as a test can see it; a capture fails with `error`, if any."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.modes: list[str] = []
        self.pools: list[object] = []
        self.replayed = 0

    def __call__(self, graph: FakeGraph, pool: object, stream: object, capture_error_mode: str) -> FakeGraph:
        self.modes.append(capture_error_mode)
        self.pools.append(pool)
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self.error:
            raise self.error

    def replay(self) -> None:
        self.replayed += 1


def cuda_backend(monkeypatch: pytest.MonkeyPatch, graph: FakeGraph) -> CudaBackend:
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: object())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: graph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(CudaBackend, "_locked", "")
    return CudaBackend(torch.device("cuda", 0))


def test_work_is_warmed_up_before_it_is_captured_and_other_threads_may_allocate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = FakeGraph(None)
    done: list[int] = []
    replay = cuda_backend(monkeypatch, graph).capture(lambda: done.append(len(graph.modes)))
    assert replay is not None and done[0] == 0 and done[-1] == 1 and done.count(1) == 1
    assert graph.modes == ["thread_local"]
    replay()
    assert graph.replayed == 1


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: operation not permitted when stream is capturing\nlong advice"),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB"),
    ],
)
def test_a_capture_that_fails_leaves_the_work_as_it_was_and_says_why(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    backend, done = cuda_backend(monkeypatch, FakeGraph(error)), []
    assert backend.capture(lambda: None) is None
    assert backend.not_captured == str(error).splitlines()[0]
    assert backend.capture(lambda: done.append(1)) is None and not done, "it was tried again"


def test_each_capture_is_warmed_up_in_its_own_thread_and_graphs_that_live_share_their_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = FakeGraph(None)
    backend, done = cuda_backend(monkeypatch, graph), []
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: FakeGraph(None))
    kept = [backend.capture(lambda: done.append(1)) for _ in range(2)]
    assert len(done) == 6, "handles and plans are a thread's own, and another thread may capture the second"
    del kept[0]
    kept.append(backend.capture(lambda: None))
    del kept[:]
    backend.capture(lambda: None)
    first, second, third, after = graph.pools
    assert first is second is third is not after, "memory whose graphs are all gone cannot be asked for again"


def test_a_capture_that_locks_the_allocator_keeps_all_of_the_process_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def locked() -> None:
        raise RuntimeError("captures_underway.empty() INTERNAL ASSERT FAILED")

    backend = cuda_backend(monkeypatch, FakeGraph(RuntimeError("operation not permitted when stream is capturing")))
    other = CudaBackend(CUDA)
    monkeypatch.setattr(torch.cuda, "empty_cache", locked)
    with pytest.raises(RuntimeError, match="INTERNAL ASSERT"):
        other.release()  # nothing was broken off yet
    backend.capture(lambda: None)
    for each in (backend, other, CudaBackend(CUDA)):
        each.release()
        assert each.capture(lambda: None) is None
        assert each.not_captured == "operation not permitted when stream is capturing"


def test_a_capture_that_fails_and_leaves_no_lock_is_no_matter_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = FakeGraph(torch.cuda.OutOfMemoryError("CUDA out of memory"))
    backend = cuda_backend(monkeypatch, graph)
    assert backend.capture(lambda: None) is None
    graph.error = None
    assert CudaBackend(CUDA).capture(lambda: None) is not None


def test_nobody_captures_or_empties_the_cache_while_a_thread_captures(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, other = cuda_backend(monkeypatch, FakeGraph(None)), CudaBackend(CUDA)
    order: list[str] = []
    runs = iter(range(3))

    def first() -> None:
        if next(runs) == 2:  # captured, after two runs to warm up
            for thread in threads:
                thread.start()
            time.sleep(0.05)
            order.append("first")

    def note(name: str, work: Callable[[], object]) -> None:
        work()
        order.append(name)

    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: order.append("emptied"))
    second = partial(note, "second", lambda: other.capture(lambda: None))
    threads = [threading.Thread(target=other.release), threading.Thread(target=second)]
    backend.capture(first)
    for thread in threads:
        thread.join()
    assert order[0] == "first" and set(order[1:]) == {"second", "emptied"}


class Curious(Tint):
    """Asks the device for a value, which a capture must not."""

    asked = 0

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.asked += 1
        return super().forward(pixels) + 0 * pixels.sum().item()


def test_a_network_that_cannot_be_captured_runs_all_the_same_and_is_captured_once(
    expected: list[NDArray[np.float32]], on_device: bool
) -> None:
    model, backend = Curious(), DeferredBackend(0, captures=True)
    engine = engine_of(model, SIZE, CPU, dtype=torch.float32, on_device=on_device, backend=backend)
    for _ in range(2):
        predictor = Predictor(engine, 3)
        np.testing.assert_array_equal([frame.alpha for frame in predictor.predict(FRAMES)], expected)
        assert "capturing" in predictor.report.not_captured
    engine.give_back()
    assert model.asked == 1 + 2 * 4, "one capture, and two clips of four batches"


def test_nothing_that_a_capture_reads_is_dropped_while_it_may_be_repeated() -> None:
    backend = DeferredBackend(0, captures=True)
    network = fuse(filled(LITE)).bb

    class Attentive(nn.Module):
        """A Swin backbone, which keeps tables of a shape, as the logits."""

        def __init__(self) -> None:
            super().__init__()
            self.bb = network

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return nn.functional.interpolate(self.bb(pixels)[0].mean(1, keepdim=True), size=pixels.shape[2:])

    engine = engine_of(Attentive(), InputSize(fixed=(32, 64), multiple=32), CPU, dtype=torch.float32, backend=backend)
    list(Predictor(engine, 2).predict(FRAMES[:6]))
    assert backend.captured == 3
    stages = [part for part in engine.network.modules() if isinstance(part, FastStage)]
    plans = [(weakref.ref(plan.leave), addresses(plan.leave)) for part in stages for plan in part.plans.values()]
    assert all(where <= backend.read for _, where in plans) and len(plans) == 4
    for side in range(96, 256, 32):  # somebody else uses the network
        with torch.inference_mode():
            engine.network(torch.zeros(1, 3, 32, side))
    assert all(plan() is not None for plan, _ in plans)
    engine.give_back()
    assert all(plan() is None for plan, _ in plans), "nothing else holds them, so that this test sees something"


def settings_now() -> dict[str, object]:
    cuda: Any = torch.backends.cuda
    cudnn: Any = torch.backends.cudnn
    return {
        "convolutions": cudnn.conv.fp32_precision,
        "products": cuda.matmul.fp32_precision,
        "benchmark": cudnn.benchmark,
        "cudnn attention": cuda.cudnn_sdp_enabled(),
        "other attention": cuda.mem_efficient_sdp_enabled(),
    }


STEADY = {
    "convolutions": "ieee",
    "products": "ieee",
    "benchmark": False,
    "cudnn attention": False,
    "other attention": True,
}


@pytest.fixture
def newer_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(torch.backends.cudnn, "conv"):
        pytest.skip("an older PyTorch")
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)


@pytest.mark.parametrize("everywhere", ["none", "tf32"])
@pytest.mark.usefixtures("newer_settings")
def test_what_runs_on_cuda_streams_is_full_fp32_and_searches_for_no_plan(
    everywhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends, "fp32_precision", everywhere)
    before, within = settings_now(), []
    cuda_backend(monkeypatch, FakeGraph(None)).run(Stream.COMPUTE, lambda: within.append(settings_now()))
    assert within == [STEADY]
    assert settings_now() == before and before["benchmark"]
    assert before["convolutions"] == "tf32" and before["products"] == everywhere


@pytest.mark.usefixtures("newer_settings")
def test_a_thread_that_ends_its_work_leaves_anothers_settings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, before, within = cuda_backend(monkeypatch, FakeGraph(None)), settings_now(), []
    begun, ended = threading.Event(), threading.Event()

    def longer() -> None:
        begun.set()
        assert ended.wait(10)
        within.append(settings_now())

    def shorter() -> None:
        thread.start()
        assert begun.wait(10)

    thread = threading.Thread(target=backend.run, args=(Stream.COMPUTE, longer))
    backend.run(Stream.COMPUTE, shorter)
    ended.set()
    thread.join()
    assert within == [STEADY] and settings_now() == before


def test_no_stream_reads_weights_that_are_on_their_way(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[object] = []

    class OneStream:
        def wait_stream(self, other: object) -> None:
            waited.append(other)

    backend = cuda_backend(monkeypatch, FakeGraph(None))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "the caller's")
    monkeypatch.setattr(backend, "_streams", {stream: OneStream() for stream in Stream})
    engine_of(Tint(), SIZE, CPU, dtype=torch.float32, backend=backend)
    assert waited == ["the caller's"] * 3


def test_lack_of_memory_in_the_warm_up_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        cuda_backend(monkeypatch, FakeGraph(None)).capture(work)


def test_free_memory_is_the_drivers_and_what_torch_keeps_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = cuda_backend(monkeypatch, FakeGraph(None))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 8000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 500)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 200)
    assert backend.free_memory() == 1300


def close(mattes: Sequence[NDArray[np.float32] | None], expected: list[NDArray[np.float32]], on_device: bool) -> None:
    """Another device rounds the sums of scaling otherwise, and whole codes then differ here and there."""
    np.testing.assert_allclose(mattes, expected, atol=0.03 if on_device else 1e-5)  # type: ignore[arg-type]


@pytest.mark.cuda
@needs_cuda
@pytest.mark.parametrize("batch", [1, 2, 3, 5, 8])
def test_cuda_streams_give_what_the_cpu_gives(
    batch: int, expected: list[NDArray[np.float32]], on_device: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the whole device was synchronised")

    predictor = predictor_of(Tint(), SIZE, CUDA, dtype=torch.float32, batch=batch, on_device=on_device)
    close([frame.alpha for frame in predictor.predict(FRAMES)], expected, on_device)
    assert predictor.report.not_captured == ""
    monkeypatch.setattr(torch.cuda, "synchronize", refuse)  # the capture may, nothing after it
    for _ in range(20):
        close([frame.alpha for frame in predictor.predict(FRAMES)], expected, on_device)


@pytest.mark.cuda
@needs_cuda
def test_cuda_streams_are_right_when_each_batch_takes_long(
    expected: list[NDArray[np.float32]], on_device: bool
) -> None:
    class Slow(Tint):
        """Keeps the device busy before it answers, so that a missing wait shows."""

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            torch.cuda._sleep(5_000_000)
            return super().forward(pixels)

    predictor = predictor_of(Slow(), SIZE, CUDA, dtype=torch.float32, batch=2, on_device=on_device)
    close([frame.alpha for frame in predictor.predict(FRAMES)], expected, on_device)


@pytest.mark.cuda
@needs_cuda
def test_cuda_closing_early_lets_the_next_clip_run(expected: list[NDArray[np.float32]], on_device: bool) -> None:
    predictor = predictor_of(Tint(), SIZE, CUDA, dtype=torch.float32, batch=2, on_device=on_device)
    for _ in range(10):
        frames = predictor.predict(FRAMES)
        next(frames)
        frames.close()  # type: ignore[attr-defined]
    close([frame.alpha for frame in predictor.predict(FRAMES)], expected, on_device)


@pytest.mark.cuda
@needs_cuda
def test_cuda_tells_what_a_frame_takes() -> None:
    engine = engine_of(Tint(), SIZE, CUDA, dtype=torch.float32)
    assert engine.batch_for(PictureKind.of(FRAMES[0].picture)) == MAX_BATCH


@pytest.mark.cuda
@needs_cuda
def test_cuda_a_network_that_cannot_be_captured_runs_and_its_memory_can_be_given_back() -> None:
    engine = engine_of(Curious(), SIZE, CUDA, dtype=torch.float32)
    for _ in range(2):
        predictor = Predictor(engine, 3)
        assert len(list(predictor.predict(FRAMES))) == len(FRAMES)
        assert predictor.report.not_captured
        engine.give_back()


@pytest.mark.cuda
@needs_cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_cuda_a_captured_lite_network_gives_its_own_bits_again_and_the_plain_ones_alpha(dtype: torch.dtype) -> None:
    size, model = InputSize(fixed=(256, 256)), filled(LITE)
    plain = engine_of(model, size, CUDA, dtype=torch.float32, fused=False)
    wanted = [frame.alpha for frame in Predictor(plain, 1).predict(FRAMES[:4])]
    engine = engine_of(model, size, CUDA, dtype=dtype)
    predictor = Predictor(engine, 1)
    captured = [frame.alpha for frame in predictor.predict(FRAMES[:4])]
    assert predictor.report.not_captured == ""
    engine.give_back()
    engine.backend.not_captured = "not wanted"
    launched = [frame.alpha for frame in Predictor(engine, 1).predict(FRAMES[:4])]
    np.testing.assert_array_equal(captured, launched)
    off = np.abs(np.subtract(captured, wanted))
    assert off.mean() < {torch.float32: 1e-4, torch.float16: 5e-3, torch.bfloat16: 3e-2}[dtype], predictor.report.form

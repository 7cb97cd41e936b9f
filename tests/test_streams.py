"""The order of device work: right under every interleaving of the streams, and held by no wait too many."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from deferred import DeferredBackend, Site
from numpy.typing import NDArray
from torch import nn

from birefvideo.errors import BirefvideoError
from birefvideo.frames import Frame
from birefvideo.matting.network_input import InputSize
from birefvideo.matting.predict import Predictor
from birefvideo.matting.streams import Backend, CudaBackend, SerialBackend, Staging, Stream, backend_for

SIZE = InputSize(fixed=(8, 8), multiple=8)
CPU = torch.device("cpu")
SITES: list[Site] = [("compute", "upload"), ("download", "compute"), ("host", "download")]

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


class Tint(nn.Module):
    """Logits that depend on nothing but their own pixel, and not on the rest of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.9, -0.4, 0.7]).view(3, 1, 1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return (pixels * self.weight).sum(1, keepdim=True)


def clip(count: int = 12) -> list[Frame]:
    """Frames of noise, none like another."""
    rng = np.random.default_rng(5)
    frames = []
    for index in range(count):
        rgb = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p", threads=1)
        frames.append(Frame(picture, index * 40, Fraction(1, 1000), 40))
    return frames


FRAMES = clip()


def mattes(backend: Backend[object], batch: int, device: torch.device = CPU) -> list[NDArray[np.float32]]:
    predictor = Predictor(Tint(), SIZE, device, dtype=torch.float32, batch=batch, backend=backend)
    frames = list(predictor.predict(FRAMES))
    assert [frame.pts for frame in frames] == [frame.pts for frame in FRAMES]
    return [frame.alpha for frame in frames if frame.alpha is not None]


@pytest.fixture(scope="module")
def expected() -> list[NDArray[np.float32]]:
    return mattes(SerialBackend(CPU), batch=1)


def settings(seed: int) -> tuple[int, int]:
    """Batch and depth of a seed: every pair comes up."""
    return (1, 2, 3, 5)[seed % 4], (1, 2, 3)[seed // 4 % 3]


def is_right(backend: DeferredBackend, batch: int, expected: list[NDArray[np.float32]]) -> bool:
    try:
        return np.array_equal(mattes(backend, batch), expected)
    except BirefvideoError:
        return False


def test_every_interleaving_gives_what_serial_work_gives(expected: list[NDArray[np.float32]]) -> None:
    for seed in range(200):
        batch, depth = settings(seed)
        backend = DeferredBackend(seed, depth)
        assert is_right(backend, batch, expected), f"seed {seed}, batch {batch}, depth {depth}"
        assert backend.left_over == 0, f"seed {seed}: work was left when all results were out"


def test_the_sites_that_the_next_test_removes_are_all_there_are() -> None:
    backend = DeferredBackend(0)
    mattes(backend, batch=2)
    assert backend.sites == set(SITES)


@pytest.mark.parametrize("site", SITES, ids="-for-".join)
def test_no_wait_can_be_left_out(site: Site, expected: list[NDArray[np.float32]]) -> None:
    wrong = [
        not is_right(DeferredBackend(seed, settings(seed)[1], site), settings(seed)[0], expected) for seed in range(24)
    ]
    assert any(wrong), f"without the wait of {site} nothing fails: either it is not needed or this test is blind"


def test_refilling_a_slot_before_its_download_was_waited_for_is_noticed(expected: list[NDArray[np.float32]]) -> None:
    class Hasty(Predictor):
        """Frees each slot as soon as its work is queued."""

        def _submit(self, frames: list[Frame], ring: object) -> bool:
            done = super()._submit(frames, ring)  # type: ignore[arg-type]
            ring.free.append(ring.under_way[-1][0])  # type: ignore[attr-defined]
            return done

    def wrong(seed: int) -> bool:
        predictor = Hasty(Tint(), SIZE, CPU, dtype=torch.float32, batch=2, backend=DeferredBackend(seed))
        return not np.array_equal([frame.alpha for frame in predictor.predict(FRAMES)], expected)

    assert any(map(wrong, range(24)))


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

    def source() -> Iterator[Frame]:
        for frame in FRAMES:
            read.append(frame.pts)
            yield frame

    predictor = Predictor(Tint(), SIZE, CPU, batch=batch, backend=DeferredBackend(2, depth))
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


def test_closing_early_finishes_what_was_under_way() -> None:
    backend = DeferredBackend(seed=4)
    frames: Iterator[Frame] = Predictor(Tint(), SIZE, CPU, batch=2, backend=backend).predict(FRAMES)
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
    assert isinstance(backend_for(CPU), SerialBackend)


@pytest.mark.cuda
@needs_cuda
@pytest.mark.parametrize("batch", [1, 2, 3, 5, 8])
def test_cuda_streams_give_what_the_cpu_gives(
    batch: int, expected: list[NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the whole device was synchronised")

    device = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "synchronize", refuse)
    for _ in range(20):
        np.testing.assert_allclose(mattes(CudaBackend(device), batch, device), expected, atol=1e-5)


@pytest.mark.cuda
@needs_cuda
def test_cuda_streams_are_right_when_each_batch_takes_long(expected: list[NDArray[np.float32]]) -> None:
    class Slow(Tint):
        """Keeps the device busy before it answers, so that a missing wait shows."""

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            torch.cuda._sleep(5_000_000)
            return super().forward(pixels)

    device = torch.device("cuda", 0)
    predictor = Predictor(Slow(), SIZE, device, dtype=torch.float32, batch=2)
    alphas = [frame.alpha for frame in predictor.predict(FRAMES)]
    np.testing.assert_allclose(alphas, expected, atol=1e-5)


@pytest.mark.cuda
@needs_cuda
def test_cuda_closing_early_lets_the_next_clip_run(expected: list[NDArray[np.float32]]) -> None:
    device = torch.device("cuda", 0)
    predictor = Predictor(Tint(), SIZE, device, dtype=torch.float32, batch=2)
    for _ in range(10):
        frames = predictor.predict(FRAMES)
        next(frames)
        frames.close()  # type: ignore[attr-defined]
    np.testing.assert_allclose([frame.alpha for frame in predictor.predict(FRAMES)], expected, atol=1e-5)

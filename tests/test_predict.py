"""From frames to their alpha: batches, devices, and what happens when memory or numbers give out."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import VideoReformatter
from deferred import DeferredBackend
from numpy.typing import NDArray
from predictors import engine_of, predictor_of
from torch import nn

from birefvideo.errors import DeviceError, ModelError, OptionError
from birefvideo.family import checkpoints
from birefvideo.frames import DecodedFrame
from birefvideo.matting import devices
from birefvideo.matting.engine import SNAP, solidified
from birefvideo.matting.input_size import InputSize
from birefvideo.matting.network_input import network_input
from birefvideo.matting.predict import Predictor
from birefvideo.matting.slots import IMAGENET_MEAN, IMAGENET_STD, PictureKind
from birefvideo.matting.streams import SerialBackend, Staging
from birefvideo.matting.upsample_alpha import enlarge_alpha
from birefvideo.network.birefnet import BiRefNet, Geometry

CPU = torch.device("cpu")
SMALL = InputSize(long_side=32, multiple=8)


def noise(seed: int, width: int = 48, height: int = 36, pix_fmt: str = "yuv420p") -> av.VideoFrame:
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    kept: dict[str, Any] = {"format": pix_fmt, "dst_colorspace": 1, "dst_color_range": 1, "threads": 1}
    return VideoReformatter().reformat(av.VideoFrame.from_ndarray(rgb, format="rgb24"), **kept)


def clip(count: int, **kept: Any) -> list[DecodedFrame]:
    return [DecodedFrame(noise(i, **kept), 100 + i * 40, Fraction(1, 1000), 40, core=i > 1) for i in range(count)]


class Tint(nn.Module):
    """Logits that depend on nothing but their own pixel; notes what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.9, -0.4, 0.7]).view(3, 1, 1))
        self.seen: list[torch.Tensor] = []

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.seen.append(pixels)
        return (pixels * self.weight).sum(1, keepdim=True)


def alphas(frames: list[DecodedFrame], batch: int, **kept: object) -> list[NDArray[np.float32]]:
    predictor = predictor_of(Tint(), SMALL, CPU, dtype=torch.float32, batch=batch, **kept)
    return [frame.alpha for frame in predictor.predict(frames) if frame.alpha is not None]


# Batches


@pytest.mark.parametrize("channels_last", [True, False])
def test_alpha_is_the_sigmoid_of_the_logits_of_normalised_pixels(channels_last: bool) -> None:
    frame = clip(1)[0]
    model = Tint()
    engine = engine_of(model, SMALL, CPU, dtype=torch.float32, channels_last=channels_last)
    given = next(Predictor(engine).predict([frame]))
    pixels = torch.from_numpy(network_input(frame.picture, (32, 24)).copy()).permute(2, 0, 1)[None] / 255
    normal = (pixels - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
    torch.testing.assert_close(model.seen[0].clone(), normal, rtol=0, atol=1e-5)
    assert model.seen[0].is_contiguous(memory_format=engine._layout)
    logits = (normal * torch.tensor([0.9, -0.4, 0.7]).view(3, 1, 1)).sum(1, keepdim=True)
    expected = enlarge_alpha(solidified(logits.sigmoid())[0, 0].numpy(), frame.picture)
    assert expected.shape == (36, 48)
    assert given.alpha is not None and given.alpha.dtype == np.float32
    np.testing.assert_allclose(given.alpha, expected, atol=1e-5)


def test_frames_keep_order_picture_time_and_role() -> None:
    frames = clip(7)
    given = list(predictor_of(Tint(), SMALL, CPU, batch=3).predict(iter(frames)))
    assert [(f.picture, f.pts, f.time_base, f.duration, f.core) for f in given] == [
        (f.picture, f.pts, f.time_base, f.duration, f.core) for f in frames
    ]


def test_every_batch_size_gives_the_same_alpha() -> None:
    frames = clip(7)
    expected = alphas(frames, 1)
    assert len({alpha.tobytes() for alpha in expected}) == 7
    for batch in (2, 3, 7, 8):
        np.testing.assert_array_equal(alphas(frames, batch), expected)


def test_the_network_always_sees_one_shape_the_last_frame_filling_up() -> None:
    model = Tint()
    assert len(list(predictor_of(model, SMALL, CPU, batch=4).predict(clip(6)))) == 6
    assert [tuple(pixels.shape) for pixels in model.seen] == [(4, 3, 24, 32)] * 2
    last = model.seen[-1]
    assert torch.equal(last[2], last[1]) and torch.equal(last[3], last[1])


def test_frames_of_several_sizes_each_get_alpha_of_their_own() -> None:
    frames = [*clip(2), *clip(2, width=64, height=20)]
    assert [alpha.shape for alpha in alphas(frames, 3)] == [(36, 48)] * 2 + [(20, 64)] * 2


def test_no_frames_give_no_frames() -> None:
    model = Tint()
    assert list(predictor_of(model, SMALL, CPU).predict([])) == [] and model.seen == []


def test_one_predictor_runs_clip_after_clip() -> None:
    predictor = predictor_of(Tint(), SMALL, CPU, batch=2)
    first, second = ([f.alpha for f in predictor.predict(clip(3))] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert predictor.report.frames == 6


def test_alpha_already_given_does_not_change_when_later_frames_come() -> None:
    frames = clip(5, width=32, height=24)  # the network's own size: nothing to resize
    stream = predictor_of(Tint(), SMALL, CPU, batch=1).predict(frames)
    first = next(stream).alpha
    assert first is not None
    before = first.copy()
    list(stream)
    np.testing.assert_array_equal(first, before)


def test_inference_mode_reaches_the_network_and_nobody_else() -> None:
    outside: list[bool] = []

    def source() -> Iterator[DecodedFrame]:
        for frame in clip(3):
            outside.append(torch.is_inference_mode_enabled())
            yield frame

    model = Tint()
    for _ in predictor_of(model, SMALL, CPU, batch=2).predict(source()):
        outside.append(torch.is_inference_mode_enabled())
    assert not any(outside)
    assert all(pixels.is_inference() for pixels in model.seen)


def test_the_network_is_put_in_eval_mode_and_its_dtype() -> None:
    model = Tint().train()
    next(predictor_of(model, SMALL, CPU, dtype=torch.bfloat16).predict(clip(1)))
    assert not model.training
    assert model.weight.dtype == model.seen[0].dtype == torch.bfloat16


def test_alpha_near_0_and_1_becomes_exactly_that_and_the_rest_keeps_its_order() -> None:
    alpha = torch.linspace(0, 1, 1001)
    snapped = solidified(alpha)
    assert (snapped[alpha <= SNAP] == 0).all() and (snapped[alpha >= 1 - SNAP + 1e-6] == 1).all()
    assert (snapped.diff() >= 0).all() and (snapped - alpha).abs().max() <= SNAP + 1e-6


def test_the_sigmoid_is_taken_in_float32_whatever_the_network_s_dtype() -> None:
    class Ramp(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.linspace(-9, 9, pixels[0, 0].numel()).view(1, 1, *pixels.shape[2:]).to(pixels.dtype)

    alpha = next(predictor_of(Ramp(), SMALL, CPU, dtype=torch.bfloat16).predict(clip(1, width=32, height=24))).alpha
    expected = solidified(torch.linspace(-9, 9, 24 * 32).view(24, 32).bfloat16().float().sigmoid()).numpy()
    np.testing.assert_allclose(alpha, expected, rtol=1e-6)


def test_an_error_of_the_source_reaches_the_consumer() -> None:
    def source() -> Iterator[DecodedFrame]:
        yield from clip(3)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(predictor_of(Tint(), SMALL, CPU, batch=2).predict(source()))


def test_a_network_of_another_shape_is_refused() -> None:
    with pytest.raises(ModelError, match=r"\(1, 1, 12, 16\), not \(1, 1, 24, 32\)"):
        list(predictor_of(nn.Sequential(Tint(), nn.AvgPool2d(2)), SMALL, CPU).predict(clip(1)))


def test_an_overflow_is_an_error_and_not_a_matte() -> None:
    class Overflow(Tint):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            logits = super().forward(pixels)
            logits[-1, 0, 3, 4] = torch.inf
            return logits - logits

    with pytest.raises(DeviceError, match=r"bfloat16 on cpu at 0\.100 s: run again with dtype='float32'"):
        list(predictor_of(Overflow(), SMALL, CPU, dtype=torch.bfloat16).predict(clip(1)))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_device_that_scales_gives_the_host_s_alpha(count: int) -> None:
    frames = clip(count, width=64, height=48, pix_fmt="yuv444p")
    pairs = zip(alphas(frames, 2, on_device=True), alphas(frames, 2), strict=True)
    for alpha, expected in pairs:
        assert alpha.dtype == np.float32 and alpha.shape == expected.shape
        # Here and there scaled samples are rounded to the other neighbour, and noise has nothing but edges.
        difference = np.abs(alpha - expected)
        assert difference.mean() < 2e-3 and difference.max() < 0.03


def test_a_device_that_scales_takes_pictures_of_several_sizes_and_kinds() -> None:
    frames = [*clip(2), *clip(2, width=64, height=20), *clip(3, pix_fmt="yuv422p10le"), *clip(1)]
    model = Tint()
    given = list(predictor_of(model, SMALL, CPU, batch=2, on_device=True).predict(frames))
    assert [frame.picture for frame in given] == [frame.picture for frame in frames]
    assert [frame.alpha.shape for frame in given if frame.alpha is not None] == [
        (frame.picture.height, frame.picture.width) for frame in frames
    ]
    assert [len(pixels) for pixels in model.seen] == [2] * 5


def test_an_overflow_is_noticed_though_sixteen_bits_cannot_say_so() -> None:
    class Nothing(Tint):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            logits = super().forward(pixels)
            logits[-1, 0, 3, 4] = torch.nan
            return logits

    with pytest.raises(DeviceError, match="overflowed in float32 on cpu"):
        kept = {"dtype": torch.float32, "on_device": True, "backend": DeferredBackend(0)}
        list(predictor_of(Nothing(), SMALL, CPU, **kept).predict(clip(1)))  # type: ignore[arg-type]


def test_a_dtype_that_the_network_cannot_be_computed_in_is_an_error_in_one_line() -> None:
    class Choosy(Tint):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            raise NotImplementedError(f'"some_kernel" not implemented for {pixels.dtype}')

    with pytest.raises(DeviceError, match="cpu cannot compute this network in float16: choose dtype='auto'"):
        list(predictor_of(Choosy(), SMALL, CPU, dtype=torch.float16).predict(clip(1)))


# The network's inference form


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_the_fused_network_runs_unless_the_plain_one_is_asked_for(pix_fmt: str) -> None:
    checkpoint = checkpoints.find("talk")
    frames = clip(1, width=96, height=64, pix_fmt=pix_fmt)
    size = InputSize(long_side=96)
    fast = engine_of(checkpoints.load(checkpoint), size, CPU, dtype=torch.float32)
    plain = engine_of(checkpoints.load(checkpoint), size, CPU, dtype=torch.float32, fused=False)
    assert isinstance(plain.network, BiRefNet) and not isinstance(fast.network, BiRefNet)
    given, expected = (next(Predictor(engine).predict(frames)).alpha for engine in (fast, plain))
    assert expected is not None and 0 < expected.mean() < 1
    np.testing.assert_allclose(given, expected, atol=1e-4)


def test_a_published_decoder_runs_in_the_default_memory_format() -> None:
    torch.manual_seed(0)
    network = BiRefNet(Geometry("conv_t"))  # deformable attention and all, on a small backbone
    alpha = next(predictor_of(network, InputSize(long_side=64), CPU, dtype=torch.float32).predict(clip(1))).alpha
    assert alpha is not None and alpha.shape == (36, 48) and 0 < alpha.mean() < 1


# Memory


class Greedy(Tint):
    """Runs out of memory for more than `fits` frames, from its second batch on."""

    def __init__(self, fits: int, error: Exception) -> None:
        super().__init__()
        self.fits = fits
        self.error = error

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        if self.seen and len(pixels) > self.fits:
            raise type(self.error)(*self.error.args)  # a new one: what is raised holds the stack and its buffers
        return super().forward(pixels)


@pytest.mark.parametrize(
    "error", [torch.cuda.OutOfMemoryError("CUDA out of memory. Tried"), RuntimeError("MPS backend out of memory (")]
)
@pytest.mark.parametrize("depth", [1, 3])
def test_a_batch_too_big_for_memory_is_halved_and_no_frame_is_lost(error: Exception, depth: int) -> None:
    frames = clip(13)
    predictor = predictor_of(
        Greedy(2, error), SMALL, CPU, dtype=torch.float32, batch=5, backend=SerialBackend(CPU, depth)
    )
    given = list(predictor.predict(frames))
    assert [frame.pts for frame in given] == [frame.pts for frame in frames]
    np.testing.assert_array_equal([frame.alpha for frame in given], alphas(frames, 1))
    assert predictor.report.out_of_memory == [5]
    assert (predictor.report.batch, predictor.report.frames) == (2, 13)
    after = Predictor(predictor._engine, 5)
    assert (after.report.batch, after.report.frames, after.report.out_of_memory) == (5, 0, [])


def test_a_single_frame_too_big_for_memory_is_an_error() -> None:
    model = Greedy(0, torch.cuda.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(DeviceError, match="one frame at 32x24"):
        list(predictor_of(model, SMALL, CPU, batch=4).predict(clip(6)))


def test_another_error_of_the_network_is_not_taken_for_lack_of_memory() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        list(predictor_of(Greedy(0, RuntimeError("mat1 and mat2")), SMALL, CPU, batch=2).predict(clip(6)))


class Watched(SerialBackend):
    """Knows which of its buffers still live, and how much memory there is."""

    def __init__(self, depth: int = 3, free: int | None = None, peak: int = 0) -> None:
        super().__init__(CPU, depth)
        self.free = free
        self.peak = peak
        self.buffers: list[weakref.ref[torch.Tensor]] = []
        self.alive_at_release: list[int] = []
        self.probed: list[int] = []

    def staging(self, shape: tuple[int, ...], dtype: torch.dtype) -> Staging:
        made = super().staging(shape, dtype)
        self.buffers.append(weakref.ref(made.device))
        return made

    def free_memory(self) -> int | None:
        return self.free

    def peak_memory(self, work: Callable[[], None]) -> int:
        work()
        return self.peak

    def release(self) -> None:
        self.alive_at_release.append(sum(buffer() is not None for buffer in self.buffers))


@pytest.mark.parametrize("on_device", [False, True])
def test_no_buffer_of_a_batch_that_did_not_fit_lives_when_memory_is_given_back(on_device: bool) -> None:
    backend = Watched()
    model = Greedy(2, torch.cuda.OutOfMemoryError("CUDA out of memory"))
    predictor = predictor_of(model, SMALL, CPU, batch=8, on_device=on_device, backend=backend)
    assert len(list(predictor.predict(clip(20)))) == 20
    assert predictor.report.out_of_memory == [8, 4]
    assert len(backend.buffers) > 4 and backend.alive_at_release == [0, 0]


KIND = PictureKind.of(clip(1)[0].picture)
STAGED = 3 * KIND.staged_bytes  # for the three batches under way


@pytest.mark.parametrize(
    ("free", "batch"), [(10 * (5000 + STAGED), 8), (5 * (5000 + STAGED), 4), (2 * (5000 + STAGED), 1), (100, 1)]
)
def test_a_batch_holds_what_free_memory_allows(free: int, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(devices.KINDS, "cpu", replace(devices.KINDS["cpu"], batch_pixels=2**21))
    backend = Watched(free=free, peak=5000)
    model = Tint()
    engine = engine_of(model, SMALL, CPU, on_device=True, backend=backend)
    assert engine.batch_for(KIND) == batch
    assert [len(pixels) for pixels in model.seen] == [1] and backend.alive_at_release == [0, 0]
    backend.free = 1
    assert engine.batch_for(KIND) == batch and len(model.seen) == 1, "asked again, another answer"
    list(Predictor(engine).predict(clip(9)))
    assert {len(pixels) for pixels in model.seen[1:]} == {batch}


def test_large_pictures_make_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(devices.KINDS, "cpu", replace(devices.KINDS["cpu"], batch_pixels=2**21))
    engine = engine_of(Tint(), InputSize(long_side=32), CPU, on_device=True, backend=Watched(3))
    sizes = [(1920, 1080, "yuv420p"), (3840, 2160, "yuv420p"), (7680, 4320, "yuv422p10le")]
    assert [engine.batch_for(PictureKind(*size, hdr=False)) for size in sizes] == [8, 2, 1]


def test_locked_memory_is_counted_as_pytorch_rounds_it() -> None:
    kind = PictureKind(3840, 2160, "yuv420p", hdr=False)
    assert kind.locked_bytes(3) == 2**26 + 2**26 > 3 * kind.staged_bytes
    assert PictureKind(64, 64, "gray", hdr=False).locked_bytes(1) == 64 * 64 + 2 * 64 * 64


def test_a_given_batch_is_kept_whatever_memory_is_free() -> None:
    model = Tint()
    predictor = predictor_of(model, SMALL, CPU, batch=3, backend=Watched(free=1, peak=1000))
    list(predictor.predict(clip(6)))
    assert [len(pixels) for pixels in model.seen] == [3, 3]


def test_a_probe_that_does_not_fit_is_an_error_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hungry(Tint):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setitem(devices.KINDS, "cpu", replace(devices.KINDS["cpu"], batch_pixels=2**21))
    engine = engine_of(Hungry(), SMALL, CPU, backend=Watched(free=10**9))
    with pytest.raises(DeviceError, match="one frame at 32x24"):
        engine.batch_for(KIND)


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_below_one_is_a_wrong_option(batch: int) -> None:
    with pytest.raises(OptionError, match=f"at least 1, not {batch}"):
        predictor_of(Tint(), SMALL, CPU, batch=batch)

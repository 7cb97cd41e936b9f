"""From frames to their alpha: batches, devices, and what happens when memory or numbers give out."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from torch import nn

from birefvideo.errors import DeviceError, ModelError, OptionError
from birefvideo.frames import Frame
from birefvideo.matting.enlarge import enlarge_alpha
from birefvideo.matting.network_input import InputSize, network_input
from birefvideo.matting.predict import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    SNAP,
    Predictor,
    choose_device,
    default_batch,
    default_dtype,
    solidified,
)
from birefvideo.matting.streams import SerialBackend

CPU = torch.device("cpu")
SMALL = InputSize(long_side=32, multiple=8)


def noise(seed: int, width: int = 48, height: int = 36, pix_fmt: str = "yuv420p") -> av.VideoFrame:
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    kept = {"format": pix_fmt, "dst_colorspace": 1, "dst_color_range": 1, "threads": 1}
    return VideoReformatter().reformat(av.VideoFrame.from_ndarray(rgb, format="rgb24"), **kept)


def clip(count: int, **kept: int) -> list[Frame]:
    return [Frame(noise(i, **kept), 100 + i * 40, Fraction(1, 1000), 40, core=i > 1) for i in range(count)]


class Tint(nn.Module):
    """Logits that depend on nothing but their own pixel; notes what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.9, -0.4, 0.7]).view(3, 1, 1))
        self.seen: list[torch.Tensor] = []

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.seen.append(pixels)
        return (pixels * self.weight).sum(1, keepdim=True)


def alphas(frames: list[Frame], batch: int, **kept: object) -> list[NDArray[np.float32]]:
    predictor = Predictor(Tint(), SMALL, CPU, dtype=torch.float32, batch=batch, **kept)  # type: ignore[arg-type]
    return [frame.alpha for frame in predictor.predict(frames) if frame.alpha is not None]


# Batches


@pytest.mark.parametrize("channels_last", [True, False])
def test_alpha_is_the_sigmoid_of_the_logits_of_normalised_pixels(channels_last: bool) -> None:
    frame = clip(1)[0]
    model = Tint()
    predictor = Predictor(model, SMALL, CPU, dtype=torch.float32, channels_last=channels_last)
    given = next(predictor.predict([frame]))
    pixels = torch.from_numpy(network_input(frame.picture, (32, 24)).copy()).permute(2, 0, 1)[None] / 255
    normal = (pixels - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
    torch.testing.assert_close(model.seen[0].clone(), normal, rtol=0, atol=1e-5)
    assert model.seen[0].is_contiguous(memory_format=predictor._layout)
    logits = (normal * torch.tensor([0.9, -0.4, 0.7]).view(3, 1, 1)).sum(1, keepdim=True)
    expected = enlarge_alpha(solidified(logits.sigmoid())[0, 0].numpy(), frame.picture)
    assert expected.shape == (36, 48)
    assert given.alpha is not None and given.alpha.dtype == np.float32
    np.testing.assert_allclose(given.alpha, expected, atol=1e-5)


def test_frames_keep_order_picture_time_and_role() -> None:
    frames = clip(7)
    given = list(Predictor(Tint(), SMALL, CPU, batch=3).predict(iter(frames)))
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
    assert len(list(Predictor(model, SMALL, CPU, batch=4).predict(clip(6)))) == 6
    assert [tuple(pixels.shape) for pixels in model.seen] == [(4, 3, 24, 32)] * 2
    last = model.seen[-1]
    assert torch.equal(last[2], last[1]) and torch.equal(last[3], last[1])


def test_frames_of_several_sizes_each_get_alpha_of_their_own() -> None:
    frames = [*clip(2), *clip(2, width=64, height=20)]
    assert [alpha.shape for alpha in alphas(frames, 3)] == [(36, 48)] * 2 + [(20, 64)] * 2


def test_no_frames_give_no_frames() -> None:
    model = Tint()
    assert list(Predictor(model, SMALL, CPU).predict([])) == [] and model.seen == []


def test_one_predictor_runs_clip_after_clip() -> None:
    predictor = Predictor(Tint(), SMALL, CPU, batch=2)
    first, second = ([f.alpha for f in predictor.predict(clip(3))] for _ in range(2))
    np.testing.assert_array_equal(first, second)  # type: ignore[arg-type]
    assert predictor.report.frames == 6


def test_alpha_already_given_does_not_change_when_later_frames_come() -> None:
    frames = clip(5, width=32, height=24)  # the network's own size: nothing to resize
    stream = Predictor(Tint(), SMALL, CPU, batch=1).predict(frames)
    first = next(stream).alpha
    assert first is not None
    before = first.copy()
    list(stream)
    np.testing.assert_array_equal(first, before)


def test_inference_mode_reaches_the_network_and_nobody_else() -> None:
    outside: list[bool] = []

    def source() -> Iterator[Frame]:
        for frame in clip(3):
            outside.append(torch.is_inference_mode_enabled())
            yield frame

    model = Tint()
    for _ in Predictor(model, SMALL, CPU, batch=2).predict(source()):
        outside.append(torch.is_inference_mode_enabled())
    assert not any(outside)
    assert all(pixels.is_inference() for pixels in model.seen)


def test_the_network_is_put_in_eval_mode_and_its_dtype() -> None:
    model = Tint().train()
    next(Predictor(model, SMALL, CPU, dtype=torch.bfloat16).predict(clip(1)))
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

    alpha = next(Predictor(Ramp(), SMALL, CPU, dtype=torch.bfloat16).predict(clip(1, width=32, height=24))).alpha
    expected = solidified(torch.linspace(-9, 9, 24 * 32).view(24, 32).bfloat16().float().sigmoid()).numpy()
    np.testing.assert_allclose(alpha, expected, rtol=1e-6)  # type: ignore[arg-type]


def test_an_error_of_the_source_reaches_the_consumer() -> None:
    def source() -> Iterator[Frame]:
        yield from clip(3)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(Predictor(Tint(), SMALL, CPU, batch=2).predict(source()))


def test_a_network_of_another_shape_is_refused() -> None:
    with pytest.raises(ModelError, match=r"\(1, 1, 12, 16\), not \(1, 1, 24, 32\)"):
        list(Predictor(nn.Sequential(Tint(), nn.AvgPool2d(2)), SMALL, CPU).predict(clip(1)))


def test_an_overflow_is_an_error_and_not_a_matte() -> None:
    class Overflow(Tint):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            logits = super().forward(pixels)
            logits[-1, 0, 3, 4] = torch.inf
            return logits - logits

    with pytest.raises(DeviceError, match=r"bfloat16 on cpu at 0\.100 s: run again in float32"):
        list(Predictor(Overflow(), SMALL, CPU, dtype=torch.bfloat16).predict(clip(1)))


# Memory


class Greedy(Tint):
    """Runs out of memory for more than `fits` frames, from its second batch on."""

    def __init__(self, fits: int, error: Exception) -> None:
        super().__init__()
        self.fits = fits
        self.error = error

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        if self.seen and len(pixels) > self.fits:
            raise self.error
        return super().forward(pixels)


@pytest.mark.parametrize(
    "error", [torch.cuda.OutOfMemoryError("CUDA out of memory. Tried"), RuntimeError("MPS backend out of memory (")]
)
@pytest.mark.parametrize("depth", [1, 3])
def test_a_batch_too_big_for_memory_is_halved_and_no_frame_is_lost(error: Exception, depth: int) -> None:
    frames = clip(13)
    predictor = Predictor(Greedy(2, error), SMALL, CPU, dtype=torch.float32, batch=5, backend=SerialBackend(CPU, depth))
    given = list(predictor.predict(frames))
    assert [frame.pts for frame in given] == [frame.pts for frame in frames]
    np.testing.assert_array_equal([frame.alpha for frame in given], alphas(frames, 1))
    assert predictor.report.out_of_memory == [5]
    assert (predictor.report.batch, predictor.report.frames) == (2, 13)


def test_a_single_frame_too_big_for_memory_is_an_error() -> None:
    model = Greedy(0, torch.cuda.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(DeviceError, match="one frame at 32x24"):
        list(Predictor(model, SMALL, CPU, batch=4).predict(clip(6)))


def test_another_error_of_the_network_is_not_taken_for_lack_of_memory() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        list(Predictor(Greedy(0, RuntimeError("mat1 and mat2")), SMALL, CPU, batch=2).predict(clip(6)))


# Devices


def with_devices(monkeypatch: pytest.MonkeyPatch, gpus: int = 0, mps: bool = False, capability: int = 8) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (capability, 0))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("gpus", "mps", "name", "device"),
    [
        (0, False, "auto", "cpu"),
        (0, True, "auto", "mps"),
        (1, False, "auto", "cuda:0"),
        (2, True, "cuda", "cuda:0"),
        (2, False, "cuda:1", "cuda:1"),
        (2, True, "mps", "mps"),
        (2, True, "cpu", "cpu"),
    ],
)
def test_a_device_is_found_by_name(
    monkeypatch: pytest.MonkeyPatch, gpus: int, mps: bool, name: str, device: str
) -> None:
    with_devices(monkeypatch, gpus, mps)
    assert str(choose_device(name)) == device


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_an_error_in_one_line(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with_devices(monkeypatch, gpus=int(name == "cuda:1"))
    with pytest.raises(DeviceError, match=f"'{name}'.*choose auto or cpu") as caught:
        choose_device(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "mps:0", "cpu:1", ""])
def test_an_unknown_device_name_is_a_wrong_option(name: str) -> None:
    with pytest.raises(OptionError):
        choose_device(name)


@pytest.mark.parametrize(("capability", "dtype"), [(6, torch.float32), (7, torch.float16), (9, torch.float16)])
def test_cuda_computes_in_fp16_where_it_is_fast(
    monkeypatch: pytest.MonkeyPatch, capability: int, dtype: torch.dtype
) -> None:
    with_devices(monkeypatch, gpus=1, capability=capability)
    assert default_dtype(torch.device("cuda", 0)) == dtype


@pytest.mark.parametrize("probe", ["_is_avx512_bf16_supported", "_is_amx_tile_supported"])
def test_a_cpu_computes_in_bf16_where_it_has_the_instructions(monkeypatch: pytest.MonkeyPatch, probe: str) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert default_dtype(CPU) == torch.float32
    monkeypatch.setattr(torch.cpu, probe, lambda: False, raising=False)
    assert default_dtype(CPU) == torch.float32
    monkeypatch.setattr(torch.cpu, probe, lambda: True, raising=False)
    assert default_dtype(CPU) == torch.bfloat16


@pytest.mark.parametrize(
    ("device", "size", "batch"),
    [
        ("cpu", (512, 288), 1),
        ("cuda", (512, 288), 8),
        ("cuda", (1024, 1024), 2),
        ("cuda", (2560, 1440), 1),
        ("mps", (512, 288), 7),
    ],
)
def test_a_default_batch_fills_the_device(device: str, size: tuple[int, int], batch: int) -> None:
    assert default_batch(torch.device(device), size) == batch


def test_a_batch_below_one_is_a_wrong_option() -> None:
    with pytest.raises(OptionError, match="at least 1, not 0"):
        Predictor(Tint(), SMALL, CPU, batch=0)

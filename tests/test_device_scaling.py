"""Scaling on the device: the host's pixels from the same planes, the host's alpha, and no step back to the host."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from birefvideo.frames import DecodedFrame
from birefvideo.matting.device_scaling import PictureScaling, area, triangle
from birefvideo.matting.network_input import PictureScaler, network_input, rgb_map
from birefvideo.matting.slots import DeviceSlot, HostSlot, PictureKind
from birefvideo.matting.streams import SerialBackend, Staging
from birefvideo.matting.upsample_alpha import enlarge_alpha
from birefvideo.network.birefnet import BiRefNet, Geometry
from birefvideo.network.fuse import fuse
from birefvideo.planes import plane_array

CPU = torch.device("cpu")
META = torch.device("meta")
SAMPLE = Path(__file__).parent.parent / "samples" / "talking_head.mp4"


def picture(width: int, height: int, pix_fmt: str, colour_range: int = 1) -> av.VideoFrame:
    """Soft shapes with detail up to the borders; made in `pix_fmt` itself, so that no scaler places chroma."""
    made = av.VideoFrame(width, height, pix_fmt)
    made.colorspace, made.color_range = 1, colour_range
    rng = np.random.default_rng(0)
    for index in range(3):
        plane = plane_array(made, index)
        rows, columns = plane.shape
        coarse = rng.uniform(20, 230, (rows // 6 + 2, columns // 6 + 2)).astype(np.float32)
        codes = np.clip(cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC), 0, 255)
        plane[:] = np.round(codes * (1 if plane.dtype == np.uint8 else 4))
    return made


def scaling_for(picture: av.VideoFrame, size: tuple[int, int], device: torch.device = CPU) -> PictureScaling:
    kind = PictureKind.of(picture)
    return PictureScaling(kind.shapes, kind.bits, size, device)


def planes_of(picture: av.VideoFrame) -> list[Tensor]:
    arrays = [np.ascontiguousarray(plane_array(picture, index)) for index in range(3)]
    return [torch.from_numpy(a if a.dtype == np.uint8 else a.view(np.int16))[None] for a in arrays]


def device_rgb(picture: av.VideoFrame, size: tuple[int, int]) -> NDArray[np.float32]:
    colour = torch.from_numpy(rgb_map(picture.colorspace, picture.color_range).copy())[None]
    rgb = scaling_for(picture, size).rgb(planes_of(picture), colour)
    return rgb[0].permute(1, 2, 0).numpy()


# Pixels


@pytest.mark.parametrize("sizes", [(50, 50), (50, 32), (33, 80), (7, 3), (1, 5), (5, 1), (1080, 1024)])
@pytest.mark.parametrize("weights", [triangle, area])
def test_weights_keep_flat_areas_flat(
    weights: Callable[[int, int], NDArray[np.float64]], sizes: tuple[int, int]
) -> None:
    matrix = weights(*sizes)
    assert matrix.shape == sizes[::-1] and matrix.min() >= 0
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=1e-12)


@pytest.mark.parametrize("sizes", [(48, 32), (37, 5), (32, 48), (20, 20)])
def test_weights_are_the_filters_that_they_are_named_for(sizes: tuple[int, int]) -> None:
    signal = np.random.default_rng(0).random(sizes[0])
    means = cv2.resize(signal[None], (sizes[1], 1), interpolation=cv2.INTER_AREA if sizes[0] > sizes[1] else 1)[0]
    np.testing.assert_allclose(area(*sizes) @ signal, means, atol=1e-6)
    inner = slice(2, -2)  # torch lets the borders' weights go, swscale repeats the edge
    source = torch.from_numpy(signal).view(1, 1, 1, -1)
    linear = F.interpolate(source, size=(1, sizes[1]), mode="bilinear", antialias=True)[0, 0, 0].numpy()
    np.testing.assert_allclose((triangle(*sizes) @ signal)[inner], linear[inner], atol=1e-12)


@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv444p10le"])
@pytest.mark.parametrize("size", [(64, 32), (96, 96), (32, 64), (160, 128)])
@pytest.mark.parametrize("colour_range", [1, 2])
def test_the_network_sees_the_host_s_pixels_borders_included(
    pix_fmt: str, size: tuple[int, int], colour_range: int
) -> None:
    shown = picture(101, 77, pix_fmt, colour_range)
    difference = np.abs(device_rgb(shown, size) - network_input(shown, size))
    # A code of chroma that is rounded to the other neighbour is two of blue; of 10 bits swscale dithers the rest.
    eight = pix_fmt == "yuv444p"
    assert difference.max() <= 5
    assert (difference == 0).mean() > (0.8 if eight else 0.5)
    assert difference.mean() < (0.2 if eight else 0.7)


@pytest.mark.parametrize("size", [(512, 288), (256, 256)])
def test_a_decoded_picture_s_chroma_is_taken_from_where_mpeg_puts_it(size: tuple[int, int]) -> None:
    with av.open(str(SAMPLE)) as container:
        shown = next(container.decode(video=0))
    assert shown.format.name == "yuv420p"
    difference = np.abs(device_rgb(shown, size) - network_input(shown, size))
    assert difference.max() <= 4 and (difference == 0).mean() > 0.9


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le"])
def test_halved_chroma_lies_where_luma_says(pix_fmt: str) -> None:
    made = av.VideoFrame(64, 32, pix_fmt)
    made.colorspace, made.color_range = 1, 2
    unit = 1 if pix_fmt == "yuv420p" else 4
    for index in range(3):
        plane = plane_array(made, index)
        columns = np.arange(plane.shape[1]) * (64 // plane.shape[1])
        plane[:] = unit * (64 + columns) if index else unit * 128  # chroma k is that of luma column 2k
    blue = device_rgb(made, (64, 32))[16, 4:-4, 2]
    expected = 128 + 2 * (1 - 0.0722) * (64 + np.arange(4, 60) - 128)
    assert np.abs(blue - np.clip(expected, 0, 255)).max() <= 1.5


# Alpha


def matte(width: int, height: int) -> NDArray[np.float32]:
    """Solid and empty areas, and all between them."""
    coarse = np.random.default_rng(3).random((height // 4 + 2, width // 4 + 2), dtype=np.float32)
    fine: NDArray[np.float32] = np.clip(cv2.resize(coarse, (width, height)) * 3 - 1, 0, 1)
    return fine


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le"])
@pytest.mark.parametrize("size", [(64, 32), (96, 96), (160, 40), (64, 128), (101, 77), (160, 128)])
def test_alpha_gets_the_host_s_edges(size: tuple[int, int], pix_fmt: str) -> None:
    shown = picture(101, 77, pix_fmt)
    alpha = matte(*size)
    given = scaling_for(shown, size).enlarged(torch.from_numpy(alpha)[None], planes_of(shown)[0])[0].numpy()
    expected = enlarge_alpha(alpha, shown)
    # A code of the guide, here and there, is rounded to the other neighbour.
    difference = np.abs(given - expected)
    assert difference.max() < 0.01 and difference.mean() < 1e-5
    assert given.min() >= 0 and given.max() <= 1


@pytest.mark.parametrize("value", [0, 1, 0.3])
def test_flat_alpha_stays_flat_and_its_ends_exact(value: float) -> None:
    shown = picture(101, 77, "yuv420p")
    flat = torch.full((2, 32, 64), float(value))
    tolerance = 0 if value in (0, 1) else 1e-7
    luma = planes_of(shown)[0].expand(2, -1, -1)
    assert (scaling_for(shown, (64, 32)).enlarged(flat, luma) - value).abs().max() <= tolerance


# Slots


def frames_of(*pictures: av.VideoFrame) -> list[DecodedFrame]:
    return [DecodedFrame(shown, index, Fraction(1), 1) for index, shown in enumerate(pictures)]


def slot_for(shown: av.VideoFrame, count: int, size: tuple[int, int] = (64, 32)) -> DeviceSlot:
    staging = SerialBackend(CPU).staging
    return DeviceSlot(count, PictureKind.of(shown), scaling_for(shown, size), size, PictureScaler(), staging)


def test_sixteen_bits_of_alpha_come_back_within_half_a_step_and_both_ends_exact() -> None:
    shown = picture(64, 32, "yuv420p")  # the network's own size: nothing is enlarged
    slot = slot_for(shown, 2)
    alpha = torch.rand(2, 32, 64, generator=torch.Generator().manual_seed(0))
    alpha[0, 0, 0], alpha[1, 0, 0] = 0, 1
    slot.fill(frames_of(shown, shown))
    slot.keep(alpha)
    back = np.stack([slot.alpha(index, shown) for index in range(2)])
    assert back.dtype == np.float32 and (back[0, 0, 0], back[1, 0, 0]) == (0, 1)
    assert np.abs(back - alpha.numpy()).max() <= 0.51 / 65535
    assert not slot.overflowed(0)


def test_a_batch_is_filled_up_and_each_picture_has_its_own_colours() -> None:
    first, second = picture(64, 32, "yuv444p"), picture(64, 32, "yuv444p", colour_range=2)
    slot = slot_for(first, 4)
    slot.fill(frames_of(first, second))
    pixels = slot.pixels(torch.float32)
    assert pixels.shape == (4, 3, 32, 64)
    assert torch.equal(pixels[2], pixels[1]) and torch.equal(pixels[3], pixels[1])
    for index, shown in enumerate((first, second)):
        host = HostSlot(1, (64, 32), PictureScaler(), SerialBackend(CPU).staging, CPU)
        host.fill(frames_of(shown))
        assert (pixels[index] - host.pixels(torch.float32)[0]).abs().mean() < 0.005
    assert (pixels[0] - pixels[1]).abs().mean() > 0.05


@pytest.mark.skipif(int(av.__version__.split(".")[0]) < 18, reason="HDR to BT.709 needs PyAV 18")
def test_hdr_is_tone_mapped_by_the_host_and_enlarged_by_the_device() -> None:
    shown = picture(101, 77, "yuv420p10le")
    shown.colorspace, shown.color_primaries, shown.color_trc = 9, 9, 16
    slot = slot_for(shown, 1)
    host = HostSlot(1, (64, 32), PictureScaler(), SerialBackend(CPU).staging, CPU)
    for filled in (slot, host):
        filled.fill(frames_of(shown))
    assert torch.equal(slot.pixels(torch.float32), host.pixels(torch.float32))
    alpha = matte(64, 32)
    slot.keep(torch.from_numpy(alpha)[None])
    assert np.abs(slot.alpha(0, shown) - enlarge_alpha(alpha, shown)).mean() < 2e-5


# On a device that is only a name: every step has shapes and dtypes, and none may ask for a value


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le"])
@pytest.mark.parametrize(("transfer", "dtype"), [(1, torch.float16), (1, torch.float32)])
def test_everything_between_upload_and_download_stays_on_the_device(
    pix_fmt: str, transfer: int, dtype: torch.dtype
) -> None:
    made: list[Staging] = []

    def staging(shape: tuple[int, ...], kind: torch.dtype) -> Staging:
        made.append(Staging(torch.zeros(shape, dtype=kind), torch.empty(shape, dtype=kind, device=META)))
        return made[-1]

    shown = picture(101, 77, pix_fmt)
    shown.color_trc = transfer
    slot = DeviceSlot(2, PictureKind.of(shown), scaling_for(shown, (64, 32), META), (64, 32), PictureScaler(), staging)
    slot.fill(frames_of(shown))
    slot.upload()
    pixels = slot.pixels(dtype)
    assert (pixels.device, pixels.dtype, pixels.shape) == (META, dtype, (2, 3, 32, 64))
    slot.keep(torch.empty(2, 32, 64, device=META))
    assert made[-2].device.shape == (2, 77, 101) and made[-2].device.dtype == torch.int16
    assert all(buffer.host.device == CPU and buffer.host.dtype.itemsize <= 4 for buffer in made)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize(("backbone", "batch"), [("swin_v1_t", 2), ("conv_t", 1)])
def test_the_network_asks_the_device_for_no_value_so_that_it_can_be_captured(backbone: str, batch: int) -> None:
    with META:
        network = fuse(BiRefNet(Geometry(backbone))).to(torch.float16)
    pixels = torch.empty(batch, 3, 128, 160, device=META, dtype=torch.float16)
    with torch.inference_mode():
        logits = network(pixels.contiguous(memory_format=torch.channels_last))
    assert (logits.device, logits.dtype, logits.shape) == (META, torch.float16, (batch, 1, 128, 160))

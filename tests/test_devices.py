"""What each kind of device is asked to do: names, dtypes, batches, and the many ways to say that memory is out."""

from __future__ import annotations

import platform

import pytest
import torch

from birefvideo.errors import DeviceError, OptionError
from birefvideo.matting.devices import (
    DTYPES,
    KINDS,
    Device,
    device_name,
    device_names,
    find_device,
    fitting_batch,
    is_out_of_memory,
)

CPU = Device.of(torch.device("cpu"))
CUDA = Device.of(torch.device("cuda", 0))
MPS = Device.of(torch.device("mps"))
CPU_PROBES = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def with_devices(
    monkeypatch: pytest.MonkeyPatch, gpus: int = 0, mps: bool = False, capability: tuple[int, int] = (8, 0)
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


def with_cpu(monkeypatch: pytest.MonkeyPatch, able: bool) -> None:
    for name in CPU_PROBES:
        monkeypatch.setattr(torch.cpu, name, lambda: able, raising=False)


# Names


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
    assert str(find_device(name)) == device


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_an_error_in_one_line(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with_devices(monkeypatch, gpus=int(name == "cuda:1"))
    with pytest.raises(DeviceError, match=f"'{name}'.*choose auto or cpu") as caught:
        find_device(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "gpu",
        "cuda:",
        "cuda:x",
        "mps:0",
        "cpu:0",
        "cpu:1000",
        "cpu:2,cpu",
        "mps,mps",
        "cuda:0,cpu:2",
        "auto,cpu",
        "cuda:0,",
        "",
    ],
)
def test_an_unknown_device_name_is_a_wrong_option(name: str) -> None:
    with pytest.raises(OptionError):
        find_device(name)


def test_a_device_is_found_by_pytorchs_own_record(monkeypatch: pytest.MonkeyPatch) -> None:
    with_devices(monkeypatch, gpus=1)
    for given, device in (("cpu", "cpu"), ("cpu:0", "cpu"), ("cuda", "cuda:0"), ("cuda:0", "cuda:0")):
        assert str(find_device(torch.device(given))) == device
    with pytest.raises(DeviceError, match="'cuda:1' is not there, PyTorch sees 1 CUDA GPUs: choose auto or cpu"):
        find_device(torch.device("cuda:1"))
    with pytest.raises(OptionError, match="device is 'meta': give one of auto, cpu, cpu:N, mps, cuda, cuda:N"):
        find_device(torch.device("meta"))


@pytest.mark.parametrize(
    ("name", "called", "names"),
    [
        ("auto", "auto", ("auto",)),
        ("cpu", "cpu", ("cpu",)),
        ("cpu:1", "cpu", ("cpu",)),
        ("cpu:3", "cpu:3", ("cpu", "cpu", "cpu")),
        ("cuda:1", "cuda:1", ("cuda:1",)),
        ("cuda:0, cuda:2", "cuda:0,cuda:2", ("cuda:0", "cuda:2")),
    ],
)
def test_one_name_may_stand_for_several_devices(name: str, called: str, names: tuple[str, ...]) -> None:
    assert device_name(name) == called
    assert device_names(called) == names


def test_what_needs_one_device_takes_the_first_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    with_devices(monkeypatch, gpus=3)
    assert str(find_device("cuda:2,cuda:0")) == "cuda:2"
    assert str(find_device("cpu:4")) == "cpu"


def test_manifests_name_the_gpus_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"card in {device}")
    assert [device.name for device in (CPU, MPS, CUDA)] == ["cpu", "mps", "card in cuda:0"]


# Dtypes


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [
        ((6, 1), torch.float32),
        ((7, 0), torch.float16),
        ((7, 5), torch.float16),
        ((8, 0), torch.float16),
        ((9, 0), torch.float16),
        ((12, 0), torch.float16),
    ],
)
def test_cuda_computes_in_fp16_where_it_has_tensor_cores(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: torch.dtype
) -> None:
    with_devices(monkeypatch, gpus=1, capability=capability)
    assert CUDA.dtype_called() == dtype


@pytest.mark.parametrize("probe", CPU_PROBES)
def test_a_cpu_computes_in_bf16_where_it_has_the_instructions(monkeypatch: pytest.MonkeyPatch, probe: str) -> None:
    for name in CPU_PROBES:
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert CPU.dtype_called() == torch.float32
    monkeypatch.setattr(torch.cpu, probe, lambda: False, raising=False)
    assert CPU.dtype_called() == torch.float32
    monkeypatch.setattr(torch.cpu, probe, lambda: True, raising=False)
    assert CPU.dtype_called() == torch.bfloat16


def test_mps_computes_in_fp16() -> None:
    assert MPS.dtype_called() == torch.float16


@pytest.mark.parametrize("able", [True, False])
@pytest.mark.parametrize("name", DTYPES[1:])
def test_a_cpu_does_every_dtype_that_is_asked_for(monkeypatch: pytest.MonkeyPatch, name: str, able: bool) -> None:
    with_cpu(monkeypatch, able)
    assert CPU.dtype_called(name) == getattr(torch, name)


@pytest.mark.parametrize(
    ("capability", "name", "says"),
    [
        ((7, 5), "bfloat16", "bfloat16 needs compute capability 8.0 or newer and cuda:0 has 7.5: .*float16 or float32"),
        ((5, 2), "float16", "float16 needs compute capability 5.3 or newer and cuda:0 has 5.2: .*auto, float32$"),
    ],
)
def test_a_dtype_beyond_the_gpu_is_an_error_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], name: str, says: str
) -> None:
    with_devices(monkeypatch, gpus=1, capability=capability)
    with pytest.raises(DeviceError, match=says) as caught:
        CUDA.dtype_called(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("system", "fits"), [("13.6.1", False), ("14.0", True), ("26.1", True)])
def test_bf16_on_mps_needs_macos_14(monkeypatch: pytest.MonkeyPatch, system: str, fits: bool) -> None:
    monkeypatch.setattr(platform, "mac_ver", lambda: (system, ("", "", ""), ""))
    if fits:
        assert MPS.dtype_called("bfloat16") == torch.bfloat16
    else:
        with pytest.raises(DeviceError, match=r"needs macOS 14\.0 or newer and mps has 13\.6"):
            MPS.dtype_called("bfloat16")


@pytest.mark.parametrize("name", ["fp16", "float64", "half", ""])
def test_an_unknown_dtype_is_a_wrong_option_that_lists_the_known(name: str) -> None:
    with pytest.raises(OptionError, match="auto, float32, bfloat16, float16"):
        CPU.dtype_called(name)


@pytest.mark.parametrize("kind", ["cpu", "mps", "cuda"])
def test_every_kind_of_device_has_every_dtype_and_always_one_to_choose(kind: str) -> None:
    rows = KINDS[kind].arithmetic
    assert {str(row.dtype).removeprefix("torch.") for row in rows} == set(DTYPES[1:])
    assert any(row.chosen == (0, 0) for row in rows)
    assert all(row.chosen is None or row.chosen >= row.able for row in rows)


# Batches


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
def test_the_wanted_batch_fills_the_device(device: str, size: tuple[int, int], batch: int) -> None:
    assert Device.of(torch.device(device)).wanted_batch(size) == batch


@pytest.mark.parametrize(
    ("wanted", "free", "needed", "batch"), [(8, 1000, 100, 8), (8, 1000, 101, 7), (8, 999, 400, 1), (8, 10, 100, 1)]
)
def test_a_batch_takes_four_fifths_of_the_free_memory_at_most(wanted: int, free: int, needed: int, batch: int) -> None:
    assert fitting_batch(wanted, free, needed) == batch


# Lack of memory, as the libraries word it


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("anything at all"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("MPS backend out of memory (MPS allocated: 17 GB, max allowed: 18 GB). Tried to allocate 2 GB"),
        RuntimeError("Invalid buffer size: 19.38 GiB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError('NVML_SUCCESS == r INTERNAL ASSERT FAILED at "../c10/cuda/CUDACachingAllocator.cpp":830'),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to"),
    ],
)
def test_lack_of_memory_is_known_in_all_its_wordings(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_lack_of_memory_is_known_behind_the_error_of_a_broken_capture() -> None:
    try:
        try:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        finally:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
    except RuntimeError as error:
        assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    ],
)
def test_other_errors_are_not_taken_for_lack_of_memory(error: Exception) -> None:
    assert not is_out_of_memory(error)

"""The form in which a network runs fastest on a device, among those that give the same result."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from birefvideo.matting.devices import Device, is_out_of_memory
from birefvideo.matting.streams import Backend, Stream
from birefvideo.network.birefnet import BiRefNet
from birefvideo.network.fuse import fuse, without_autocast

_TRIAL = (64, 96)
"""(height, width) of the picture on which a form is tried: large enough for every kernel."""
_ALLOWED = 0.1
"""How far off a form's logits may be there, as relative RMS: ten times what fp16 makes of noise as weights."""


def in_fastest_form(
    model: BiRefNet, device: Device, dtype: torch.dtype, backend: Backend[Any]
) -> tuple[nn.Module, str]:
    """Return `model` for inference, and a sentence that says in which form where the device has a choice, else ''.

    On CUDA, attention and deformable sampling are Triton kernels where Triton works there. They are compiled when they
    are first used, by whatever Triton and C compiler the user has, which may fail in many ways: so they are tried on
    one picture, and the result is compared with the plain network's.
    """
    if device.kind.triton_from is None:
        return fuse(model), ""
    reason = ""
    if device.level < device.kind.triton_from:
        reason = f"{device.kind.level_name} {device.kind.triton_from[0]}.{device.kind.triton_from[1]} is needed"
    elif dtype == torch.bfloat16:  # whose 8 bits are too few for the first stage: the other form computes it in fp32
        reason = "they do not compute in bf16"
    else:
        try:
            return _with_kernels(model, device, dtype, backend), "the network ran with Triton kernels"
        except Exception as error:  # of whatever class: those of Triton, of its compilers and of drivers are not one's
            if is_out_of_memory(error):
                raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return fuse(model), f"the network ran without Triton kernels ({reason}): this cost speed, nothing else"


def _with_kernels(model: BiRefNet, device: Device, dtype: torch.dtype, backend: Backend[Any]) -> nn.Module:
    from birefvideo.network.gpu import GPU_PARTS  # here, since Triton is not there everywhere

    network = fuse(model, GPU_PARTS).to(device.torch_device, dtype)
    picture = torch.linspace(0, 999, 3 * _TRIAL[0] * _TRIAL[1]).sin().view(1, 3, *_TRIAL)  # no two windows alike
    logits: list[torch.Tensor] = []

    @torch.inference_mode()
    def trial() -> None:
        with without_autocast(device.torch_device):
            logits.append(network(picture.to(device.torch_device, dtype)).float().cpu())

    backend.follow()
    backend.run(Stream.COMPUTE, trial)
    backend.host_wait(backend.record(Stream.COMPUTE))
    plain, place = model.eval().float(), next(model.parameters()).device
    with torch.inference_mode(), without_autocast(place):
        wanted = plain(picture.to(place)).cpu()
    off = float((logits[0] - wanted).norm() / wanted.norm())
    if not off <= _ALLOWED:
        raise RuntimeError(f"their result was off by {off:.0%}")
    return network

"""The parts of an inference network that run best on an NVIDIA card, two of them as kernels written in Triton.

A card has thousands of threads and little time for each launch. So window attention is one kernel that reads tokens in
raster order (no roll, padding, partition or mask), and so is each branch of the deformable ASPP: neither samples nor
masks are ever written to memory. The rest is matrix products and convolutions, as large as they come.

To be imported only where these kernels are wanted: Triton is not there everywhere.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor, nn

from birefvideo.network.birefnet import AsppDeformable
from birefvideo.network.fast_decoder import DecoderParts, PlainBridge
from birefvideo.network.fast_deform import FastAsppDeformable
from birefvideo.network.folding import conv_like, frozen
from birefvideo.network.fuse import Parts
from birefvideo.network.swin import SwinBlock, SwinStage, SwinTransformer

CUTS = {7: (64, 64), 12: (64, 32)}
"""By a window's side: tokens that one program of `attention_kernel` computes, and that it reads at a time.

With 64 keys of the larger window a program would need more registers than there are.
"""
PIXELS = {2: 64, 4: 16}
"""By the bytes of a number: pixels that one program of `deform_kernel` computes."""
OPTIONS = {"num_stages": 1, "enable_fp_fusion": True}
"""Loads run no rounds ahead: so the kernels fit into the 99 KB of shared memory that the smallest cards have."""


@triton.jit(do_not_specialize=["height", "width", "rows", "columns", "shift", "heads"])
def attention_kernel(  # noqa: PLR0915  a kernel calls no functions of its own
    qkv,  # (N, H, W, 3, heads, D)
    qkv_bias,  # (3, heads, D): what the projection makes of a padded token, which is zeros
    table,  # (heads, (2 S - 1)²): the bias by relative position
    out,  # (N, H, W, heads, D)
    height,
    width,
    rows,  # of windows
    columns,
    shift,
    heads,
    scale,
    S: tl.constexpr,  # noqa: N803  a window's side
    D: tl.constexpr,  # noqa: N803
    Q: tl.constexpr,  # noqa: N803
    K: tl.constexpr,  # noqa: N803
) -> None:
    """Attend within one window, in one head, for Q of its queries; softmax is kept up block by block of K keys."""
    window, head = tl.program_id(0), tl.program_id(1)
    top, left = (window // columns) % rows * S, window % columns * S  # in the rolled and padded map
    image = window // (columns * rows)
    padded_height, padded_width = rows * S, columns * S
    d = tl.arange(0, D)
    row_stride = 3 * heads * D
    here = qkv + head * D + d[None, :]

    wanted = tl.program_id(2) * Q + tl.arange(0, Q)
    q = tl.minimum(wanted, S * S - 1)  # what is beyond the window's end is computed like its last token, and not kept
    q_row, q_col = top + q // S, left + q % S
    q_y, q_x = (q_row + shift) % padded_height, (q_col + shift) % padded_width
    q_real = (wanted < S * S) & (q_y < height) & (q_x < width)
    q_token = (image * height + q_y).to(tl.int64) * width + q_x
    queries = tl.load(here + q_token[:, None] * row_stride, q_real[:, None], 0.0)
    # The roll brings the two ends of an axis into its last window: tokens of one end do not see those of the other.
    q_end = (q_row >= padded_height - shift) * 2 + (q_col >= padded_width - shift)
    k_empty = tl.load(qkv_bias + (heads + head) * D + d)
    v_empty = tl.load(qkv_bias + (2 * heads + head) * D + d)

    highest = tl.full((Q,), float("-inf"), tl.float32)
    total = tl.zeros((Q,), tl.float32)
    sums = tl.zeros((Q, D), tl.float32)
    for start in range(0, S * S, K):
        k = start + tl.arange(0, K)
        k_row, k_col = top + k // S, left + k % S
        k_y, k_x = (k_row + shift) % padded_height, (k_col + shift) % padded_width
        k_real = (k < S * S) & (k_y < height) & (k_x < width)
        k_token = (image * height + k_y).to(tl.int64) * width + k_x
        keys = tl.load(here + heads * D + k_token[:, None] * row_stride, k_real[:, None], 0.0)
        keys = tl.where(k_real[:, None], keys, k_empty[None, :])
        values = tl.load(here + 2 * heads * D + k_token[:, None] * row_stride, k_real[:, None], 0.0)
        values = tl.where(k_real[:, None], values, v_empty[None, :])
        scores = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale
        away = (q // S)[:, None] - (k // S)[None, :] + S - 1
        across = (q % S)[:, None] - (k % S)[None, :] + S - 1
        biases = table + head * (2 * S - 1) * (2 * S - 1) + away * (2 * S - 1) + across
        scores += tl.load(biases, (k < S * S)[None, :], 0.0)
        k_end = (k_row >= padded_height - shift) * 2 + (k_col >= padded_width - shift)
        scores = tl.where((k < S * S)[None, :] & (q_end[:, None] == k_end[None, :]), scores, float("-inf"))
        higher = tl.maximum(highest, tl.max(scores, 1))
        least = tl.where(higher == float("-inf"), 0.0, higher)  # nothing seen yet: the differences must not be NaN
        weights = tl.exp(scores - least[:, None])
        fade = tl.exp(highest - least)
        total = total * fade + tl.sum(weights, 1)
        sums = sums * fade[:, None] + tl.dot(weights.to(values.dtype), values, input_precision="ieee")
        highest = higher
    result = (sums / total[:, None]).to(out.dtype.element_ty)
    tl.store(out + q_token[:, None] * (heads * D) + head * D + d[None, :], result, q_real[:, None])


@triton.jit(do_not_specialize=["pixels", "height", "width", "first", "last", "out_at"])
def deform_kernel(
    table,  # (N, H, W, C)
    predicted,  # (N, H, W, stride): y of all taps, x of all taps, modulation's logit of all taps, and what is spare
    filters,  # (taps C, O)
    shifts,  # (O,)
    steps,  # (2, taps) int32: where a tap sits without an offset
    out,  # (N, H, W, out_stride)
    pixels,
    height,
    width,
    first,
    last,
    out_at,
    stride: tl.constexpr,
    out_stride: tl.constexpr,
    T: tl.constexpr,  # noqa: N803  taps of all branches
    C: tl.constexpr,  # noqa: N803
    O: tl.constexpr,  # noqa: N803, E741
    M: tl.constexpr,  # noqa: N803
) -> None:
    """Compute relu(Σ m·bilinear(x, p + step + offset)·W + shift) over the taps first … last - 1, for M pixels p."""
    p = tl.program_id(0) * M + tl.arange(0, M)
    live = p < pixels
    row, col = p // width % height, p % width
    corner_0 = (p // (height * width) * height).to(tl.int64) * width  # the image's first pixel
    c, o = tl.arange(0, C), tl.arange(0, O)
    sums = tl.zeros((M, O), tl.float32)
    for t in range(first, last):
        at = predicted + p.to(tl.int64) * stride + t
        y = tl.load(at, live, 0.0).to(tl.float32) + (row + tl.load(steps + t)).to(tl.float32)
        x = tl.load(at + T, live, 0.0).to(tl.float32) + (col + tl.load(steps + T + t)).to(tl.float32)
        modulation = 1 / (1 + tl.exp(-tl.load(at + 2 * T, live, 0.0).to(tl.float32)))
        # Minimum and maximum drop NaN on a card: the weights carry it on.
        modulation = tl.where(y == y, tl.where(x == x, modulation, x), y)
        y = tl.minimum(tl.maximum(tl.where(y == y, y, -1.0), -1.0), height * 1.0)
        x = tl.minimum(tl.maximum(tl.where(x == x, x, -1.0), -1.0), width * 1.0)
        top, left = tl.floor(y), tl.floor(x)
        lower, right = y - top, x - left
        samples = tl.zeros((M, C), tl.float32)
        for corner in tl.static_range(4):
            cy, cx = top.to(tl.int32) + corner // 2, left.to(tl.int32) + corner % 2
            weight = (lower if corner // 2 == 1 else 1 - lower) * (right if corner % 2 == 1 else 1 - right)
            inside = live & (cy >= 0) & (cy < height) & (cx >= 0) & (cx < width)
            source = (corner_0 + cy * width + cx) * C
            value = tl.load(table + source[:, None] + c[None, :], inside[:, None], 0.0)
            samples += value.to(tl.float32) * (weight * modulation)[:, None]
        weights = tl.load(filters + (t * C + c)[:, None] * O + o[None, :])
        sums = tl.dot(samples.to(weights.dtype), weights, sums, input_precision="ieee")
    sums += tl.load(shifts + o).to(tl.float32)[None, :]
    sums = tl.where(sums < 0, 0.0, sums)  # and NaN stays
    place = out + p.to(tl.int64)[:, None] * out_stride + out_at + o[None, :]
    tl.store(place, sums.to(out.dtype.element_ty), live[:, None])


def window_attention(qkv: Tensor, qkv_bias: Tensor, table: Tensor, window: int, shift: int, heads: int) -> Tensor:
    """Attend within shifted windows of a map in raster order: (N, H, W, 3·dim) -> (N, H, W, dim), not projected.

    Padding up to whole windows counts as keys and values of `qkv_bias` (3·dim,); `table` is (heads, (2·window - 1)²).
    """
    n, h, w, channels = qkv.shape
    head_width = channels // 3 // heads
    out = qkv.new_empty(n, h, w, channels // 3)
    rows, columns = -(-h // window), -(-w // window)
    queries, keys = CUTS[window]
    grid = (n * rows * columns, heads, -(-window * window // queries))
    sizes = (h, w, rows, columns, shift, heads, head_width**-0.5)
    attention_kernel[grid](
        qkv.contiguous(), qkv_bias, table, out, *sizes,
        S=window, D=head_width, Q=queries, K=keys, num_warps=4, **OPTIONS,
    )  # fmt: skip
    return out


class _Block(nn.Module):
    """A Swin block over tokens in raster order."""

    table: Tensor

    def __init__(self, block: SwinBlock) -> None:
        super().__init__()
        self.window, self.shift, self.heads = block.window, block.shift, block.attn.heads
        self.norm1, self.norm2 = copy.deepcopy(block.norm1), copy.deepcopy(block.norm2)
        self.qkv, self.proj = copy.deepcopy(block.attn.qkv), copy.deepcopy(block.attn.proj)
        self.fc1, self.fc2 = copy.deepcopy(block.mlp.fc1), copy.deepcopy(block.mlp.fc2)
        self.register_buffer("table", block.attn.relative_position_bias_table.detach().t().contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> same."""
        qkv = self.qkv(self.norm1(x))
        x = x + self.proj(window_attention(qkv, self.qkv.bias, self.table, self.window, self.shift, self.heads))
        out: Tensor = x + self.fc2(F.gelu(self.fc1(self.norm2(x))))
        return out


class GpuSwin(nn.Module):
    """`SwinTransformer.forward` with attention as a kernel; its maps are channels-last."""

    def __init__(self, swin: SwinTransformer) -> None:
        super().__init__()
        stages = [stage for stage in swin.layers if isinstance(stage, SwinStage)]
        self.patch_embed = copy.deepcopy(swin.patch_embed)
        self.stages = nn.ModuleList(nn.Sequential(*map(_Block, _blocks(stage))) for stage in stages)
        self.downs = nn.ModuleList(copy.deepcopy(stage.downsample or nn.Identity()) for stage in stages)
        self.norms = nn.ModuleList(copy.deepcopy(swin.get_submodule(f"norm{i}")) for i in range(len(stages)))

    def forward(self, image: Tensor) -> Sequence[Tensor]:
        """(N, 3, H, W) -> four maps (N, channels[i], H/2^(i+2), W/2^(i+2))."""
        x = self.patch_embed(image)
        maps = []
        for stage, norm, down in zip(self.stages, self.norms, self.downs, strict=True):
            x = stage(x)
            maps.append(norm(x).permute(0, 3, 1, 2))
            x = down(x)
        return maps


def _blocks(stage: SwinStage) -> list[SwinBlock]:
    return [block for block in stage.blocks if isinstance(block, SwinBlock)]


class GpuAsppDeformable(FastAsppDeformable):
    """`FastAsppDeformable` with sampling, product and ReLU of a branch as one kernel, for all pixels at once.

    The offsets and modulations of all taps come from one convolution of the widest kernel, whose channels are filled up
    to a multiple of eight: matrix units want them so.
    """

    steps: Tensor

    def __init__(self, aspp: AsppDeformable) -> None:
        super().__init__(aspp)
        weight, bias = self.predictor.widest()
        spare = -len(weight) % 8
        self.predict = conv_like(F.pad(weight, (0, 0, 0, 0, 0, 0, 0, spare)), F.pad(bias, (0, spare)))
        channels = weight.shape[1]
        columns = [f.view(len(f), -1, channels).permute(1, 2, 0).reshape(-1, len(f)) for f in self.filters]
        self.columns = frozen(torch.cat(columns))
        self.register_buffer("steps", torch.stack(self.predictor.grid(weight.device)).int())
        self.sizes, self.taps = self.predictor.sizes, self.predictor.taps
        del self.predictor, self.filters  # which these replace

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> same, channels-last."""
        x = x.contiguous(memory_format=torch.channels_last)
        predicted = self.predict(x).permute(0, 2, 3, 1).contiguous()
        pixels = x.permute(0, 2, 3, 1)
        n, h, w, channels = pixels.shape
        width = len(self.shifts[0])
        out = x.new_empty(n, h, w, width * len(self.sizes))
        block = PIXELS[x.element_size()]
        grid = (-(-n * h * w // block),)
        first = 0
        for i, (size, shifts) in enumerate(zip(self.sizes, self.shifts, strict=True)):
            last = first + size * size
            deform_kernel[grid](
                pixels, predicted, self.columns, shifts, self.steps, out, n * h * w, h, w, first, last, i * width,
                stride=predicted.shape[3], out_stride=out.shape[3], T=self.taps, C=channels, O=width, M=block,
                num_warps=8, **OPTIONS,
            )  # fmt: skip
            first = last
        joined = F.linear(out, self.project).add_(self.pooled(x)[:, None, None])
        return F.relu_(joined).permute(0, 3, 1, 2)


def gpu_aspp(aspp: AsppDeformable) -> nn.Module:
    """Return the deformable ASPP for a card; widths that the kernel does not take keep the other form."""
    widths = (aspp.conv1.out_channels, aspp.aspp1.bn.num_features)
    fits = all(width >= 16 and width & (width - 1) == 0 for width in widths)
    return GpuAsppDeformable(aspp) if fits else FastAsppDeformable(aspp)


GPU_PARTS = Parts(swin=GpuSwin, decoder=DecoderParts(aspp=gpu_aspp, bridge=PlainBridge, joined=nn.Sequential))
"""What a network for an NVIDIA card is made of: `fuse(model, GPU_PARTS)`."""

"""Swin Transformer for inference: the plain backbone's result with far fewer copies and no padding.

Everything but attention acts on single tokens, so tokens lie in window order while they pass through a block, and one
gather takes them to the order of the next. Windows are never padded or masked: see `Attention` and `segments`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from birefvideo.network.fast_linear import add_linear, linear, linear_gelu
from birefvideo.network.swin import SwinBlock, SwinStage, SwinTransformer

CACHE_BYTES = 16 << 20
"""Size on a CPU of a block's widest tensor in fp32: small enough for the caches, with enough rows for fast matmuls."""


@dataclass(frozen=True)
class Segment:
    """A stretch of rows or columns that one window covers."""

    start: int
    """First row or column."""
    real: int
    """Rows or columns inside the map."""
    full: int
    """The same with padding; less than the window's side where a shift cuts a window in two."""


def segments(length: int, window: int, shift: int) -> list[Segment]:
    """Cut one side of a map into shifted windows, so that tokens that may not attend to each other are apart.

    In the plain network a roll of the padded map brings its two ends into one window, and a mask separates them again.
    Here they are two smaller windows; position biases depend on differences only. Segments of nothing but padding are
    left out.
    """
    padded = length + -length % window
    cuts = [0, *range(shift or window, padded, window), padded]
    return [Segment(start, min(end, length) - start, end - start) for start, end in pairwise(cuts) if start < length]


@dataclass(frozen=True)
class Group:
    """Windows of equal shape that lie one after another in window order."""

    windows: int
    """How many."""
    real: tuple[int, int]
    """Rows and columns inside the map."""
    full: tuple[int, int]
    """Rows and columns with padding."""

    @property
    def tokens(self) -> int:
        """Tokens of all of them, without padding."""
        return self.windows * self.real[0] * self.real[1]


@dataclass(frozen=True)
class Order:
    """Window order of a batch's tokens."""

    tokens: Tensor
    """Raster position of each token, int64 (N·H·W,)."""
    chunks: tuple[tuple[Group, ...], ...]
    """Its windows, cut into pieces that fit the caches."""


def window_order(ids: Tensor, window: int, shift: int, limit: int) -> Order:
    """Put the tokens `ids` (N, H, W) into window order, in chunks of about `limit` tokens."""
    n, h, w = ids.shape
    columns = segments(w, window, shift)
    images = min(n, max(1, limit // (h * w)))
    bands = max(1, limit // (window * w))
    rows = segments(h, window, shift)
    tokens, chunks = [], []
    for image in range(0, n, images):
        for band in range(0, len(rows), bands):
            chunk = []
            for down in _runs(rows[band : band + bands]):
                for across in _runs(columns):
                    real, full = (down[0].real, across[0].real), (down[0].full, across[0].full)
                    top, left = down[0].start, across[0].start
                    block = ids[image : image + images, top : top + len(down) * real[0]]
                    block = block[..., left : left + len(across) * real[1]]
                    block = block.reshape(-1, len(down), real[0], len(across), real[1])
                    tokens.append(block.transpose(2, 3).flatten())
                    chunk.append(Group(block.shape[0] * len(down) * len(across), real, full))
            chunks.append(tuple(chunk))
    return Order(torch.cat(tokens), tuple(chunks))


def _runs(parts: Sequence[Segment]) -> list[list[Segment]]:
    """Group neighbours of equal shape."""
    runs: list[list[Segment]] = []
    for part in parts:
        # Not itertools.groupby, which torch.compile cannot follow.
        if runs and (runs[-1][0].real, runs[-1][0].full) == (part.real, part.full):
            runs[-1].append(part)
        else:
            runs.append([part])
    return runs


@dataclass(frozen=True)
class Plan:
    """Where the tokens of one stage go; every tensor holds positions of tokens, int64."""

    enter: tuple[Tensor, Tensor, Tensor]
    """From raster order to the first block's, from an even block's to an odd one's, and back."""
    chunks: tuple[tuple[tuple[Group, ...], ...], tuple[tuple[Group, ...], ...]]
    """Windows of even and of odd blocks."""
    leave: Tensor
    """From the last block's order to raster order."""
    merge: Tensor
    """From the last block's order to (N, ⌈H/2⌉, ⌈W/2⌉, 4), flat; N·H·W stands for a token of zeros."""


def make_plan(n: int, h: int, w: int, window: int, depth: int, limit: int, device: torch.device) -> Plan:
    """Return the `Plan` of a stage of `depth` blocks."""
    ids = torch.arange(n * h * w, device=device).view(n, h, w)
    even, odd = (window_order(ids, window, shift, limit) for shift in (0, window // 2))
    to_even, to_odd = (torch.empty_like(o.tokens).scatter_(0, o.tokens, ids.flatten()) for o in (even, odd))
    leave = to_even if depth % 2 else to_odd
    # An odd side ends in zeros, as in PatchMerging.
    padded = F.pad(leave.view(n, h, w), (0, w % 2, 0, h % 2), value=n * h * w)
    merge = padded.view(n, (h + 1) // 2, 2, (w + 1) // 2, 2).permute(0, 1, 3, 4, 2).flatten()
    enter = (even.tokens, to_even[odd.tokens], to_odd[even.tokens])
    return Plan(enter, (even.chunks, odd.chunks), leave, merge)


class Unrounded(nn.Module):
    """A copy of a module that stays in fp32 when the network is cast to bf16, whose 8 bits are not enough for it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(module)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Unrounded:
        # Every way of casting and moving a module passes here.
        def unrounded(tensor: Tensor) -> Tensor:
            changed = fn(tensor)
            return tensor.to(changed.device) if changed.dtype == torch.bfloat16 else changed

        super()._apply(unrounded, recurse)  # type: ignore[no-untyped-call]
        return self

    def forward(self, x: Tensor, *rest: Any) -> Any:
        """Run the module on `x`, converted to the module's own dtype."""
        return self.module(x.to(next(self.parameters()).dtype), *rest)


class Attention(nn.Module):
    """Window attention over windows of any shape.

    Padded tokens are zeros after the norm, so their keys and values are all the projection's bias. Their weights add
    up, so they act as one token whose position bias is the logsumexp of theirs. Their own results are not needed.
    """

    bias: Tensor

    def __init__(self, block: SwinBlock) -> None:
        super().__init__()
        self.heads = block.attn.heads
        self.qkv = copy.deepcopy(block.attn.qkv)
        # Four sides (row and column of the query, of the key), so that the bias of a smaller window is a slice.
        bias = block.attn.bias().detach().reshape(self.heads, *(block.window,) * 4)
        self.register_buffer("bias", bias.contiguous())

    def forward(self, x: Tensor, groups: Sequence[Group]) -> Tensor:
        """(tokens, dim) in window order -> same, before the projection."""
        parts = torch.split(linear(x, self.qkv), [group.tokens for group in groups])
        attended = [self._attend(part, group) for part, group in zip(parts, groups, strict=True)]
        return attended[0] if len(attended) == 1 else torch.cat(attended)

    def _attend(self, qkv: Tensor, group: Group) -> Tensor:
        """(tokens, 3·dim) of equal windows -> (tokens, dim)."""
        rows, columns = group.real
        q, k, v = qkv.view(group.windows, rows * columns, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.bias[:, :rows, :columns, : group.full[0], : group.full[1]]
        keys = bias[..., :rows, :columns].flatten(3).flatten(1, 2)
        if group.real != group.full:
            padding = torch.cat((bias[..., rows:, :].flatten(3), bias[..., :rows, columns:].flatten(3)), -1)
            keys = torch.cat((keys, padding.float().logsumexp(-1, keepdim=True).to(keys.dtype).flatten(1, 2)), -1)
            _, k_bias, v_bias = self.qkv.bias.view(3, 1, self.heads, 1, -1).expand(-1, group.windows, -1, -1, -1)
            k, v = torch.cat((k, k_bias), 2), torch.cat((v, v_bias), 2)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=keys.unsqueeze(0))
        return attended.transpose(1, 2).flatten(2).flatten(0, 1)


class FastBlock(nn.Module):
    """A Swin block over tokens in window order."""

    def __init__(self, block: SwinBlock) -> None:
        super().__init__()
        self.norm1 = Unrounded(block.norm1)
        self.attention = Attention(block)
        self.proj = copy.deepcopy(block.attn.proj)
        self.norm2 = Unrounded(block.norm2)
        self.fc1 = copy.deepcopy(block.mlp.fc1)
        self.fc2 = copy.deepcopy(block.mlp.fc2)

    def forward(self, x: Tensor, enter: Tensor, chunks: Sequence[Sequence[Group]]) -> Tensor:
        """(tokens, dim) in any order -> same in this block's; `enter` is the gather between the two."""
        indices = torch.split(enter, [sum(group.tokens for group in chunk) for chunk in chunks])
        done = [self._chunk(x.index_select(0, i), chunk) for i, chunk in zip(indices, chunks, strict=True)]
        return done[0] if len(done) == 1 else torch.cat(done)

    def _chunk(self, x: Tensor, groups: Sequence[Group]) -> Tensor:
        dtype = self.fc1.weight.dtype
        x = add_linear(x, self.attention(self.norm1(x).to(dtype), groups), self.proj)
        return add_linear(x, linear_gelu(self.norm2(x).to(dtype), self.fc1), self.fc2)


class FastStage(nn.Module):
    """The blocks of one resolution, the norm of its map and the step to the next."""

    def __init__(self, stage: SwinStage, norm: nn.Module) -> None:
        super().__init__()
        blocks = [block for block in stage.blocks if isinstance(block, SwinBlock)]
        self.window = stage.window
        self.blocks = nn.ModuleList(FastBlock(block) for block in blocks)
        self.norm = Unrounded(norm)
        self.plans: dict[tuple[object, ...], Plan] = {}
        """The plans of the last two shapes, by all that they depend on: an image's, and that of its half."""
        self.merge_norm, self.reduction = None, None
        if stage.downsample is not None:
            self.merge_norm = Unrounded(stage.downsample.norm)
            self.reduction = copy.deepcopy(stage.downsample.reduction)

    def forward(self, x: Tensor, n: int, h: int, w: int) -> tuple[Tensor, Tensor]:
        """(N·H·W, dim) in raster order -> map (N, dim, H, W), channels last, and the next stage's tokens.

        The tokens keep their dtype from block to block: fp32 in a bf16 network, whose roundings would add up.
        """
        dim = x.shape[1]
        eager = not torch.compiler.is_compiling()
        limit = n * h * w
        if x.device.type == "cpu" and eager:
            limit = max(1, CACHE_BYTES // (4 * dim * x.element_size()))
        # The plan of a fake tensor would be fake too, and must not be kept.
        plan = self._plan(n, h, w, limit, x.device, kept=eager and type(x) is Tensor)
        for i, block in enumerate(self.blocks):
            x = block(x, plan.enter[(i > 0) + (i > 0 and i % 2 == 0)], plan.chunks[i % 2])
        out = self.norm(x.index_select(0, plan.leave)).view(n, h, w, dim).permute(0, 3, 1, 2)
        if self.reduction is None:
            return out, x
        if h % 2 or w % 2:
            x = F.pad(x, (0, 0, 0, 1))
        steps = [self._merge(x.index_select(0, corners)) for corners in torch.split(plan.merge, 4 * limit)]
        return out, torch.cat(steps).to(x.dtype)

    def _plan(self, n: int, h: int, w: int, limit: int, device: torch.device, *, kept: bool) -> Plan:
        key = (n, h, w, limit, device)
        plan = self.plans.get(key) if kept else None
        if plan is None:
            plan = make_plan(n, h, w, self.window, len(self.blocks), limit, device)
        if kept:
            last = {name: other for name, other in self.plans.items() if name != key}
            self.plans = dict([*last.items(), (key, plan)][-2:])
        return plan

    def _merge(self, corners: Tensor) -> Tensor:
        assert self.merge_norm is not None and self.reduction is not None
        joined = self.merge_norm(corners.view(-1, 4 * corners.shape[1]))
        return linear(joined.to(self.reduction.weight.dtype), self.reduction)


class FastSwin(nn.Module):
    """`SwinTransformer.forward` for inference."""

    def __init__(self, swin: SwinTransformer) -> None:
        super().__init__()
        self.channels = list(swin.channels)
        self.patch_embed = Unrounded(swin.patch_embed)
        self.stages = nn.ModuleList()
        for i, stage in enumerate(swin.layers):
            assert isinstance(stage, SwinStage)
            self.stages.append(FastStage(stage, swin.get_submodule(f"norm{i}")))
        # bf16 does the most harm here: over half of the error variance that a bf16 backbone adds to the logits.
        self.stages[0] = Unrounded(self.stages[0])

    def forward(self, image: Tensor) -> Sequence[Tensor]:
        """(N, 3, H, W) -> four maps (N, channels[i], H/2^(i+2), W/2^(i+2)), channels last, in the network's dtype."""
        x = self.patch_embed(image.contiguous(memory_format=torch.channels_last))
        n, h, w, _ = x.shape
        x = x.flatten(0, 2)
        maps = []
        for stage in self.stages:
            out, x = stage(x, n, h, w)
            maps.append(out.to(self.dtype))
            h, w = (h + 1) // 2, (w + 1) // 2
        return maps

    @property
    def dtype(self) -> torch.dtype:
        """Dtype that the network was cast to."""
        return self.get_parameter("stages.3.blocks.0.fc1.weight").dtype


def fast_swin(swin: SwinTransformer) -> FastSwin:
    """Make an inference module with the weights and the result of `swin`; `swin` itself is not changed."""
    return FastSwin(swin).eval().requires_grad_(False)

"""BiRefNet's decoder for inference, with every run of linear layers done in its cheapest order.

Between two activations the plain decoder makes wide maps only to narrow them again. Here only the `block_width`
(64) channels inside a decoder block pass from stage to stage. The block's convolution to the next stage's channels,
the skip and the image's references go straight to the next block's first convolution and are added up there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from birefvideo.network.birefnet import (
    AsppDeformable,
    Decoder,
    DecoderBlock,
    Geometry,
    LateralBlock,
    ReferenceBlock,
    SubpixelHead,
    fold,
)
from birefvideo.network.fast_conv import FusedConv
from birefvideo.network.fast_deform import FastAsppDeformable
from birefvideo.network.fast_swin import Unrounded
from birefvideo.network.folding import (
    after_pointwise,
    before_pointwise,
    bias_of,
    conv_like,
    fold_norm,
    frozen,
    joined,
    taps_of,
    upsampled_conv,
    without_norms,
)
from birefvideo.network.resizing import resize

UPSAMPLED_CONV_COST = 20_000
"""Cost of `upsampled_conv` per pixel of its result, in multiplications of a convolution that take as long."""


class Lateral:
    """Weights of a stage's skip connection, taken apart by the scale that its map comes from."""

    def __init__(self, block: LateralBlock, mode: str) -> None:
        weight = block.conv.weight[:, :, 0, 0]
        split = weight.shape[1] // 2
        self.bias = bias_of(block.conv)
        self.full = weight[:, :split] if mode == "cat" else weight
        """(C, inputs) for the map of the full image."""
        self.small = weight[:, split:] if mode == "cat" else weight if mode == "add" else weight[:, :0]
        """(C, inputs) for the map of the half-size image, before it is upsampled; no inputs if there is none."""


class SmallSkip(nn.Module):
    """The part of the skip that is added before the upsampling: the half-size image's share, and the bias.

    Upsampling acts on each channel alone and a 1×1 convolution on each pixel alone, so their order does not matter;
    and upsampling keeps constants.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = frozen(weight[..., None, None]), frozen(bias)

    def forward(self, small: Tensor | None) -> Tensor:
        """(N, inputs, h, w) -> (N, C, h, w), or (1, C, 1, 1) without a half-size image."""
        return self.bias.view(1, -1, 1, 1) if small is None else F.conv2d(small, self.weight, self.bias)


def edge_gate(decoder: Decoder, stage: int) -> tuple[nn.Conv2d, nn.Module]:
    """Return a stage's gradient attention: its convolution C -> 16 with the norm folded, and what follows the ReLU."""
    convs, gate = decoder.get_submodule(f"gdt_convs_{stage}"), decoder.get_submodule(f"gdt_convs_attn_{stage}")
    assert isinstance(convs, nn.Sequential)
    return fold_norm(convs[0], convs[1]), nn.Sequential(without_norms(gate), nn.Sigmoid())


class PlainBridge(nn.Module):
    """From inside one decoder block to inside the next: outward, gated by edges, upsampled, plus the skip."""

    def __init__(self, out: nn.Conv2d, gate: tuple[nn.Conv2d, nn.Module], lateral: Lateral, inward: nn.Conv2d) -> None:
        super().__init__()
        self.gated = GatedOut(out, gate, lateral)
        self.lateral = _pointwise(lateral.full)
        self.inward = inward

    def forward(self, x: Tensor, full: Tensor, small: Tensor | None) -> Tensor:
        """(N, width, h, w), skips (N, C, H, W) and perhaps (N, C', h, w) -> (N, width, H, W)."""
        inward: Tensor = self.inward(self.lateral(full).add_(resize(self.gated(x, small), full)))
        return inward


class GatedOut(nn.Module):
    """Everything in a plain bridge before the upsampling."""

    def __init__(self, out: nn.Conv2d, gate: tuple[nn.Conv2d, nn.Module], lateral: Lateral) -> None:
        super().__init__()
        self.out = out
        self.edges, self.gate = FusedConv(gate[0]), gate[1]
        self.small = SmallSkip(lateral.small, lateral.bias)

    def forward(self, x: Tensor, small: Tensor | None) -> Tensor:
        """(N, width, h, w) and perhaps (N, C', h, w) -> (N, C, h, w)."""
        out = self.out(x)
        return torch.addcmul(self.small(small), out, self.gate(self.edges(out)))


class TapBridge(nn.Module):
    """`PlainBridge` with the next block's convolution begun before the upsampling (see `upsampled_conv`).

    Work at the small size costs a quarter, and the lateral convolution of the full-size map is
    merged into the 3×3 convolution after it. The lateral bias passes through the taps, so, like the plain one, it
    is missing only where a tap lies outside the image.
    """

    def __init__(self, out: nn.Conv2d, gate: tuple[nn.Conv2d, nn.Module], lateral: Lateral, inward: nn.Conv2d) -> None:
        super().__init__()
        self.gated = GatedOut(out, gate, lateral)
        self.taps = _pointwise(taps_of(inward.weight))
        self.full = conv_like(after_pointwise(inward.weight, lateral.full), inward.bias)

    def forward(self, x: Tensor, full: Tensor, small: Tensor | None) -> Tensor:
        """As `PlainBridge`."""
        taps = self.taps(self.gated(x, small)).permute(0, 2, 3, 1)
        inward: Tensor = self.full(full)
        return inward.add_(upsampled_conv(taps, _size(full)))


class NarrowBridge(nn.Module):
    """`TapBridge` that never computes the outward convolution's channels.

    Everything that reads them is linear: the taps of the next block's convolution (the gate is one factor a pixel, so
    it may come after) and the taps of the edge convolution. Both are taken from the width inside the block by
    one 3×3 convolution to 9·(width + 16) channels, which is less work where the stage has many channels.
    """

    def __init__(self, out: nn.Conv2d, gate: tuple[nn.Conv2d, nn.Module], lateral: Lateral, inward: nn.Conv2d) -> None:
        super().__init__()
        edges, self.gate = gate
        taps, edge_taps = taps_of(inward.weight), taps_of(edges.weight)
        both = torch.cat((taps, edge_taps))
        self.split = [len(taps), len(edge_taps)]
        self.out = conv_like(before_pointwise(both, out.weight), both @ bias_of(out))
        self.edge_bias = frozen(bias_of(edges).view(-1, 1, 1))
        self.small = SmallSkip(taps @ lateral.small, taps @ lateral.bias)
        self.full = conv_like(after_pointwise(inward.weight, lateral.full), inward.bias)

    def forward(self, x: Tensor, full: Tensor, small: Tensor | None) -> Tensor:
        """As `PlainBridge`."""
        taps, edge_taps = torch.split(self.out(x), self.split, dim=1)
        edges = upsampled_conv(edge_taps.permute(0, 2, 3, 1), _size(x)) + self.edge_bias
        gate = self.gate(F.relu_(edges))
        taps = torch.addcmul(self.small(small), taps, gate).permute(0, 2, 3, 1)
        inward: Tensor = self.full(full)
        return inward.add_(upsampled_conv(taps, _size(full)))


def bridge(out: nn.Conv2d, gate: tuple[nn.Conv2d, nn.Module], lateral: Lateral, inward: nn.Conv2d) -> nn.Module:
    """Return the bridge with the fewest multiplications a pixel of the larger size; all three give the same result."""
    channels, width, next_width = out.out_channels, out.in_channels, inward.out_channels
    edges, full, small = gate[0].out_channels, lateral.full.shape[1], lateral.small.shape[1]
    gated = channels * (9 * width + 9 * edges + small)
    tapped = 9 * next_width * full + UPSAMPLED_CONV_COST
    costs: dict[type[nn.Module], float] = {
        PlainBridge: gated / 4 + channels * (full + 9 * next_width),
        TapBridge: (gated + channels * 9 * next_width) / 4 + tapped,
        NarrowBridge: 9 * (next_width + edges) * 9 * width / 4 + 9 * next_width * small / 4 + tapped,
    }
    return min(costs, key=costs.__getitem__)(out, gate, lateral, inward)


class LinearHead(nn.Module):
    """The last convolutions: to one channel before the upsampling, and from the image by one of 5×5.

    `conv_out1` is a weighted sum over channels; upsampling acts on each alone. So the block's way out and the
    sum are one 3×3 convolution to one channel, and no feature map of the image's size is made.
    """

    def __init__(self, out: nn.Conv2d, image: ReferenceBlock, last: nn.Conv2d) -> None:
        super().__init__()
        features, reference = torch.split(
            last.weight[:, :, 0, 0], [out.out_channels, image.conv_out.out_channels], dim=1
        )
        self.out = conv_like(before_pointwise(features, out.weight), features @ bias_of(out) + bias_of(last))
        second = conv_like(before_pointwise(reference, image.conv_out.weight), reference @ bias_of(image.conv_out))
        self.image = joined(image.conv1, second)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        """(N, width, H/4, W/4) and image (N, 3, H, W) -> logits (N, 1, H, W)."""
        logits: Tensor = self.image(image.to(x.dtype))
        return logits.add_(resize(self.out(x), image))


class AddedReference(nn.Module):
    """The image's references for a decoder block, added to what comes from the block before, and the ReLU."""

    def __init__(self, first: nn.Conv2d, second: nn.Module) -> None:
        super().__init__()
        *before, last = second if isinstance(second, nn.Sequential) else [second]
        self.first = nn.Sequential(first, *before)
        self.last = FusedConv(last) if isinstance(last, nn.Conv2d) else last

    def forward(self, folded: Tensor, inward: Tensor) -> Tensor:
        """Folded image (N, inputs, h, w) and (N, width, h, w) -> the latter's shape; `inward` may be overwritten."""
        x = self.first(folded)
        if isinstance(self.last, FusedConv):
            return self.last.added(inward, x)
        return F.relu_(inward.add_(self.last(x)))


class SubpixelTail(nn.Module):
    """The last block's way out and the subpixel head, norms folded."""

    def __init__(self, out: nn.Conv2d, head: SubpixelHead) -> None:
        super().__init__()
        self.out = out
        self.conv1, self.conv2 = (
            FusedConv(fold_norm(conv, norm)) for conv, norm in ((head.conv1, head.bn1), (head.conv2, head.bn2))
        )
        self.conv_out = conv_like(head.conv_out.weight, head.conv_out.bias)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        """As `LinearHead`."""
        features = self.out(x)
        x = SubpixelHead.joined(features, image.to(features.dtype))
        return F.pixel_shuffle(self.conv_out(self.conv2(self.conv1(x))), 2)


@dataclass(frozen=True)
class DecoderParts:
    """What a decoder for inference is made of; the defaults do the fewest operations, which is what a CPU wants."""

    aspp: Callable[[AsppDeformable], nn.Module] = FastAsppDeformable
    """Makes a deformable ASPP."""
    bridge: Callable[[nn.Conv2d, tuple[nn.Conv2d, nn.Module], Lateral, nn.Conv2d], nn.Module] = bridge
    """Makes what leads from one block to the next."""
    joined: Callable[[nn.Conv2d, nn.Conv2d], nn.Module] = joined
    """Makes one module of two convolutions with nothing between them."""

    def attention(self, block: DecoderBlock) -> nn.Module:
        """Return the attention inside a decoder block in its fastest form: (N, C, H, W) -> same."""
        attention = block.dec_att
        return self.aspp(attention) if isinstance(attention, AsppDeformable) else without_norms(attention)


class FastDecoder(nn.Module):
    """The squeeze block and the decoder, one after the other from inside block to inside block."""

    def __init__(self, squeeze: DecoderBlock, decoder: Decoder, geometry: Geometry, parts: DecoderParts) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(FusedConv(fold_norm(squeeze.conv_in, squeeze.bn_in)), parts.attention(squeeze))
        self.references, self.attentions = nn.ModuleList(), nn.ModuleList()
        self.bridges = nn.ModuleList()
        before = squeeze
        for stage in (4, 3, 2, 1):
            block, reference = _block(decoder, stage), decoder.get_submodule(f"ipt_blk{stage + 1}")
            assert isinstance(reference, ReferenceBlock)
            out, inward = fold_norm(before.conv_out, before.bn_out), fold_norm(block.conv_in, block.bn_in)
            # The block's input is the features beside the reference: its convolution is a sum of two.
            features, image = torch.split(inward.weight, [out.out_channels, reference.conv_out.out_channels], dim=1)
            second = parts.joined(reference.conv_out, conv_like(image, inward.bias))
            self.references.append(AddedReference(_from_fold(reference.conv1), second))
            self.attentions.append(parts.attention(block))
            if stage == 4:
                self.entry = parts.joined(out, conv_like(features, None))
            else:
                lateral = decoder.get_submodule(f"lateral_block{stage + 1}")
                assert isinstance(lateral, LateralBlock)
                skip = Lateral(lateral, geometry.multi_scale_input)
                self.bridges.append(parts.bridge(out, edge_gate(decoder, stage + 1), skip, conv_like(features, None)))
            before = block
        out = fold_norm(before.conv_out, before.bn_out)
        self.head: nn.Module
        if decoder.subpixel:
            assert isinstance(decoder.head, SubpixelHead)
            self.head = SubpixelTail(out, decoder.head)
        else:
            last = decoder.conv_out1[0]
            assert isinstance(last, nn.Conv2d)
            # One channel costs nothing in fp32, and the logits keep the image's precision.
            self.head = Unrounded(LinearHead(out, decoder.ipt_blk1, last))

    @property
    def dtype(self) -> torch.dtype:
        """Dtype in which the maps are computed."""
        return self.get_parameter("squeeze.0.conv.weight").dtype

    def forward(self, image: Tensor, deepest: Tensor, full: list[Tensor], small: list[Tensor | None]) -> Tensor:
        """Logits (N, 1, H, W) of an image (N, 3, H, W), which may be of higher precision than the maps.

        `deepest` is the squeeze block's input at stride 32; `full` and `small` are the skips of strides 16, 8
        and 4, deep first, from the image and (half as large) from the half-size image, where it is used.
        """
        reduced = image.to(deepest.dtype)
        inward = self.entry(self.squeeze(deepest))
        logits: Tensor
        for i, (reference, attention) in enumerate(zip(self.references, self.attentions, strict=True)):
            inside = attention(reference(fold(reduced, inward), inward))
            if i < len(self.bridges):
                inward = self.bridges[i](inside, full[i], small[i])
        logits = self.head(inside, image)
        return logits


def _block(decoder: Decoder, stage: int) -> DecoderBlock:
    block = decoder.get_submodule(f"decoder_block{stage}")
    assert isinstance(block, DecoderBlock)
    return block


def _from_fold(conv: nn.Conv2d) -> nn.Conv2d:
    """Copy a convolution of the folded image, which is stored channel by channel and may have thousands of channels.

    Converting that image to channels-last would take half as long again as the convolution. With many channels the
    filters keep torch's plain layout, and so does the image.
    """
    copied = conv_like(conv.weight, conv.bias)
    if conv.in_channels > 2 * conv.out_channels:
        copied.weight = frozen(conv.weight.contiguous())
    return copied


def _pointwise(weight: Tensor) -> nn.Conv2d:
    return conv_like(weight[..., None, None], None)


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[-2], x.shape[-1]

"""BiRefNet: a localising encoder and a decoder that looks back at the image at every scale.

Source: Zheng et al., Bilateral Reference for High-Resolution Dichotomous Image Segmentation (2024).
Module names are those of the published state dicts, so that official weights load as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from birefvideo.network.convnet import CONV_SIZES, ConvNet
from birefvideo.network.deform import DeformableConv2d
from birefvideo.network.efficientnet import LITE_SIZES, SecondBackbone
from birefvideo.network.norm import BatchNorm2d
from birefvideo.network.resizing import resize
from birefvideo.network.swin import SWIN_SIZES, SwinTransformer

BACKBONES = (*SWIN_SIZES, *CONV_SIZES)
_WIDEST = 8192  # channels that no layer reaches


@dataclass(frozen=True)
class Geometry:
    """Everything that decides the shape of a BiRefNet; the defaults are the published general model."""

    backbone: str = "swin_v1_l"
    """A name in BACKBONES."""
    multi_scale_input: str = "cat"
    """How the half-size image's features join: 'cat', 'add' or '' (image seen once)."""
    context: bool = True
    """Whether the deepest map also receives the three shallower ones."""
    attention: tuple[str, str, str, str, str] = ("deformable",) * 5
    """In the squeeze block and decoder blocks 4, 3, 2, 1: 'deformable', 'aspp' or '' (none)."""
    block_width: int = 64
    """Channels inside a decoder block."""
    aspp_width: int = 256
    """Channels of each ASPP branch."""
    aspp_dilations: tuple[int, ...] = (6, 12, 18)
    """Dilations of the plain ASPP's 3×3 branches."""
    reference_width: int = 64
    """Channels inside the blocks that bring the image back in."""
    head: str = "linear"
    """'linear' as published, or 'subpixel': a small non-linear head at half size that predicts 2×2 pixels."""
    head_width: int = 32
    """Channels of the subpixel head."""
    second_backbone: str = ""
    """A name in LITE_SIZES: a network that adds what it sees in the half-size image; '' for none."""

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise ValueError(f"backbone {self.backbone!r} is not one of {', '.join(BACKBONES)}")
        kinds = (self.multi_scale_input in ("cat", "add", ""), isinstance(self.context, bool))
        if not all(kinds) or self.head not in ("linear", "subpixel"):
            raise ValueError(f"there is no such network: {self}")
        if self.second_backbone and (self.second_backbone not in LITE_SIZES or self.multi_scale_input):
            raise ValueError(f"a second backbone is one of {', '.join(LITE_SIZES)}, and sees the half-size image alone")
        if len(self.attention) != 5 or any(kind not in ("deformable", "aspp", "") for kind in self.attention):
            raise ValueError(f"attention is five of 'deformable', 'aspp' and '', not {self.attention}")
        widths = (self.block_width, self.aspp_width, self.reference_width, self.head_width, *self.aspp_dilations)
        if any(isinstance(width, bool) or not isinstance(width, int) or not 1 <= width <= _WIDEST for width in widths):
            raise ValueError(f"widths and dilations are whole numbers from 1 to {_WIDEST}, not {widths}")


@dataclass
class TrainingOutputs:
    """Outputs for the training losses; every tensor holds logits (N, 1, h, w)."""

    logits: Tensor
    """The matte at the input's size."""
    sides: list[Tensor]
    """Coarse mattes at strides 32, 16 and 8."""
    edges: list[Tensor]
    """Where the gradient attention expects the matte's edge, at strides 32, 16 and 8."""


def fold(image: Tensor, like: Tensor) -> Tensor:
    """Fold the image's pixels into channels until it has the size of `like`: 'b c (g h) (k w) -> b (c g k) h w'.

    The grid is of far-apart patches, not of neighbouring pixels: this is what the published weights expect.
    """
    n, c, h, w = image.shape
    rows, columns = h // like.shape[-2], w // like.shape[-1]
    patches = image.view(n, c, rows, h // rows, columns, w // columns)
    return patches.permute(0, 1, 2, 4, 3, 5).reshape(n, c * rows * columns, h // rows, w // columns)


class AsppBranch(nn.Module):
    """One branch of an ASPP: (deformable or dilated) convolution, norm, ReLU."""

    def __init__(self, conv: nn.Module, width: int) -> None:
        super().__init__()
        self.atrous_conv = conv
        self.bn = BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, width, H, W)."""
        return F.relu(self.bn(self.atrous_conv(x)))


class _Pooled(nn.Module):
    """The parts that both ASPPs share: the branch of the global mean, and the projection of all branches."""

    def __init__(self, channels: int, width: int, branches: int) -> None:
        super().__init__()
        self.global_avg_pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, width, 1, bias=False), BatchNorm2d(width), nn.ReLU()
        )
        self.conv1 = nn.Conv2d(width * (branches + 1), channels, 1, bias=False)
        self.bn1 = BatchNorm2d(channels)

    def join(self, x: Tensor, branches: list[Tensor]) -> Tensor:
        """Concatenate the branches and the global mean of `x`, and project them to the channels of `x`."""
        mean = self.global_avg_pool(x).expand(-1, -1, *x.shape[-2:])
        out = F.relu(self.bn1(self.conv1(torch.cat([*branches, mean], dim=1))))
        return F.dropout(out, 0.5, self.training)


class Aspp(_Pooled):
    """Atrous spatial pyramid pooling (Chen et al., 2017)."""

    def __init__(self, channels: int, width: int, dilations: tuple[int, ...]) -> None:
        super().__init__(channels, width, branches=1 + len(dilations))
        convs = [nn.Conv2d(channels, width, 1, bias=False)]
        convs += [nn.Conv2d(channels, width, 3, padding=d, dilation=d, bias=False) for d in dilations]
        self.names = [f"aspp{i + 1}" for i in range(len(convs))]
        for name, conv in zip(self.names, convs, strict=True):
            self.add_module(name, AsppBranch(conv, width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> same."""
        return self.join(x, [self.get_submodule(name)(x) for name in self.names])


class AsppDeformable(_Pooled):
    """ASPP whose branches are deformable convolutions of size 1, 1, 3 and 7."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width, branches=4)
        self.aspp1 = AsppBranch(DeformableConv2d(channels, width, 1), width)
        self.aspp_deforms = nn.ModuleList(
            AsppBranch(DeformableConv2d(channels, width, size), width) for size in (1, 3, 7)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> same."""
        return self.join(x, [self.aspp1(x), *(branch(x) for branch in self.aspp_deforms)])


class DecoderBlock(nn.Module):
    """Convolution to a narrow width, optional attention, convolution to the next stage's channels."""

    def __init__(self, inputs: int, outputs: int, attention: str, geometry: Geometry) -> None:
        super().__init__()
        width = geometry.block_width
        self.conv_in = nn.Conv2d(inputs, width, 3, padding=1)
        self.bn_in = BatchNorm2d(width)
        self.dec_att: nn.Module = nn.Identity()
        if attention == "deformable":
            self.dec_att = AsppDeformable(width, geometry.aspp_width)
        elif attention == "aspp":
            self.dec_att = Aspp(width, geometry.aspp_width, geometry.aspp_dilations)
        self.conv_out = nn.Conv2d(width, outputs, 3, padding=1)
        self.bn_out = BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W)."""
        x = F.relu(self.bn_in(self.conv_in(x)))
        out: Tensor = self.bn_out(self.conv_out(self.dec_att(x)))
        return out


class ReferenceBlock(nn.Module):
    """Two convolutions without a non-linearity that prepare the folded image for a decoder stage."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, padding=1)
        self.conv_out = nn.Conv2d(width, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W)."""
        out: Tensor = self.conv_out(self.conv1(x))
        return out


class LateralBlock(nn.Module):
    """The 1×1 convolution of a skip connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> same."""
        out: Tensor = self.conv(x)
        return out


class SubpixelHead(nn.Module):
    """Decides the edge at half size from features and the unshuffled image, 2×2 pixels at once."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels + 12, width, 3, padding=1, bias=False)
        self.bn1 = BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = BatchNorm2d(width)
        self.conv_out = nn.Conv2d(width, 4, 3, padding=1)

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """Features (N, C, H/4, W/4) and image (N, 3, H, W) -> logits (N, 1, H, W)."""
        x = F.relu(self.bn1(self.conv1(self.joined(features, image))))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.pixel_shuffle(self.conv_out(x), 2)

    @staticmethod
    def joined(features: Tensor, image: Tensor) -> Tensor:
        """Return the features at half the image's size beside the image's 2×2 pixels: (N, C + 12, H/2, W/2)."""
        half = F.pixel_unshuffle(image, 2)
        return torch.cat((F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False), half), dim=1)


class Decoder(nn.Module):
    """Reconstruction: four stages, each given the skip, the image itself and an attention to edges."""

    def __init__(self, channels: list[int], geometry: Geometry) -> None:
        super().__init__()
        outputs = [*channels[1:], channels[-1] // 2]
        references = [channels[0] // 8, *(c // 8 for c in channels)]
        for i, stage in enumerate((4, 3, 2, 1)):
            folded = 3 * 4 ** (stage + 1)
            self.add_module(f"ipt_blk{stage + 1}", ReferenceBlock(folded, references[i], geometry.reference_width))
            block = DecoderBlock(channels[i] + references[i], outputs[i], geometry.attention[i + 1], geometry)
            self.add_module(f"decoder_block{stage}", block)
            if stage > 1:
                self.add_module(f"lateral_block{stage}", LateralBlock(outputs[i]))
                self.add_module(f"conv_ms_spvn_{stage}", nn.Conv2d(outputs[i], 1, 1))
                edges = nn.Sequential(nn.Conv2d(outputs[i], 16, 3, padding=1), BatchNorm2d(16), nn.ReLU())
                self.add_module(f"gdt_convs_{stage}", edges)
                self.add_module(f"gdt_convs_pred_{stage}", nn.Sequential(nn.Conv2d(16, 1, 1)))
                self.add_module(f"gdt_convs_attn_{stage}", nn.Sequential(nn.Conv2d(16, 1, 1)))
        self.subpixel = geometry.head == "subpixel"
        if self.subpixel:
            self.head = SubpixelHead(outputs[3], geometry.head_width)
        else:
            self.ipt_blk1 = ReferenceBlock(3, references[4], geometry.reference_width)
            self.conv_out1 = nn.Sequential(nn.Conv2d(outputs[3] + references[4], 1, 1))

    def forward(self, image: Tensor, maps: list[Tensor], sides: TrainingOutputs | None = None) -> Tensor:
        """Image (N, 3, H, W) and encoder maps, shallow first -> logits (N, 1, H, W); fills `sides` if given."""
        x = maps[3]
        for stage in (4, 3, 2):
            x = self._reconstruct(stage, x, image)
            edges = self.get_submodule(f"gdt_convs_{stage}")(x)
            if sides is not None:
                sides.sides.append(self.get_submodule(f"conv_ms_spvn_{stage}")(x))
                sides.edges.append(self.get_submodule(f"gdt_convs_pred_{stage}")(edges))
            x = x * torch.sigmoid(self.get_submodule(f"gdt_convs_attn_{stage}")(edges))
            skip = maps[stage - 2]
            x = resize(x, skip) + self.get_submodule(f"lateral_block{stage}")(skip)
        x = self._reconstruct(1, x, image)
        if self.subpixel:
            logits: Tensor = self.head(x, image)
            return logits
        logits = self.conv_out1(torch.cat((resize(x, image), self.ipt_blk1(image)), dim=1))
        return logits

    def _reconstruct(self, stage: int, x: Tensor, image: Tensor) -> Tensor:
        reference = self.get_submodule(f"ipt_blk{stage + 1}")(fold(image, x))
        out: Tensor = self.get_submodule(f"decoder_block{stage}")(torch.cat((x, reference), dim=1))
        return out


class BiRefNet(nn.Module):
    """The whole network: normalised image in, matte logits out."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry
        self.bb: ConvNet | SwinTransformer
        if geometry.backbone in SWIN_SIZES:
            self.bb = SwinTransformer(SWIN_SIZES[geometry.backbone])
        else:
            self.bb = ConvNet(CONV_SIZES[geometry.backbone])
        self.bb2: SecondBackbone | None = None
        if geometry.second_backbone:
            self.bb2 = SecondBackbone(LITE_SIZES[geometry.second_backbone], self.bb.channels)
        scales = 2 if geometry.multi_scale_input == "cat" else 1
        channels = [scales * c for c in reversed(self.bb.channels)]
        context = sum(channels[1:]) if geometry.context else 0
        squeeze = DecoderBlock(channels[0] + context, channels[0], geometry.attention[0], geometry)
        self.squeeze_module = nn.Sequential(squeeze)
        self.decoder = Decoder(channels, geometry)

    def encode(self, image: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> four maps at strides 4 … 32, the deepest squeezed with its context."""
        maps = list(self.bb(image))
        if self.bb2 is not None:
            maps = self.bb2(image, maps)
        if self.geometry.multi_scale_input:
            half = F.interpolate(
                image, size=(image.shape[-2] // 2, image.shape[-1] // 2), mode="bilinear", align_corners=True
            )
            small = [resize(s, m) for s, m in zip(self.bb(half), maps, strict=True)]
            if self.geometry.multi_scale_input == "cat":
                maps = [torch.cat(pair, dim=1) for pair in zip(maps, small, strict=True)]
            else:
                maps = [m + s for m, s in zip(maps, small, strict=True)]
        deepest = maps[3]
        if self.geometry.context:
            deepest = torch.cat([*(resize(m, deepest) for m in maps[:3]), deepest], dim=1)
        return [*maps[:3], self.squeeze_module(deepest)]

    def forward(self, image: Tensor) -> Tensor:
        """Image (N, 3, H, W), ImageNet-normalised, sides multiples of 32 -> logits (N, 1, H, W).

        Raises ValueError if a side is not a multiple of 32.
        """
        self.check_size(image)
        logits: Tensor = self.decoder(image, self.encode(image))
        return logits

    def forward_training(self, image: Tensor) -> TrainingOutputs:
        """As `forward`, with the coarse mattes and edges that supervision needs."""
        self.check_size(image)
        outputs = TrainingOutputs(image, [], [])
        outputs.logits = self.decoder(image, self.encode(image), outputs)
        return outputs

    @staticmethod
    def check_size(image: Tensor) -> None:
        """Raise ValueError if a side of the image (N, C, H, W) is not a multiple of 32."""
        if image.shape[-2] % 32 or image.shape[-1] % 32:
            raise ValueError(f"image sides must be multiples of 32, got {tuple(image.shape[-2:])}")

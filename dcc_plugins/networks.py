"""The networks of the paper."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, final

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn

from dcc_core import Architecture, DccError, seeded

Norm = Literal["instance", "batch", "layer", "group", "none"]
Activation = Literal["relu", "leaky", "sigmoid"]
Pooling = Literal["average", "max", "none"]

ACTIVATIONS = {"relu": nn.ReLU, "leaky": lambda: nn.LeakyReLU(0.01), "sigmoid": nn.Sigmoid}
POOLINGS = {"average": lambda: nn.AvgPool2d(2), "max": lambda: nn.MaxPool2d(2), "none": nn.Identity}


@final
@dataclass(frozen=True, kw_only=True)
class ConvNet(Architecture):
    """Blocks of a 3×3 convolution, norm, activation and pooling, then a linear head.

    Source: section 4.1 (Gidaris & Komodakis 2018). One-channel images of 28×28 are padded to 32×32 by the
    first convolution.
    """

    depth: Annotated[
        int | None, "blocks; none: 3 at 32×32, one more for every doubling, fewer below 16×16", Ge(1), Le(8)
    ] = None
    width: Annotated[int, "channels of every block", Ge(1)] = 128
    norm: Annotated[Norm, "normalisation in every block"] = "instance"
    activation: Annotated[Activation, "non-linearity of every block"] = "relu"
    pooling: Annotated[Pooling, "halving of the maps in every block"] = "average"

    def build(self, *, channels: int, classes: int, size: tuple[int, int], generator: torch.Generator) -> ConvNetModule:
        pad = 3 if channels == 1 and size == (28, 28) else 1
        maps = (size[0] + 2 * pad - 2, size[1] + 2 * pad - 2)
        depth = default_depth(min(maps)) if self.depth is None else self.depth
        if self.pooling != "none" and min(maps) < 2**depth:
            raise DccError(
                f"convnet of depth {depth} needs images of at least {2**depth}×{2**depth} pixels; "
                f"these are {size[0]}×{size[1]}. Give a smaller -o arch.depth"
            )
        with seeded(generator):
            return ConvNetModule(self, channels, classes, maps, depth, pad)


class ConvNetModule(nn.Module):
    """A `ConvNet` as a `dcc_core.Classifier`, for maps of a size (H, W)."""

    def __init__(
        self, options: ConvNet, channels: int, classes: int, maps: tuple[int, int], depth: int, pad: int
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for block in range(depth):
            inputs = channels if block == 0 else options.width
            blocks += [
                nn.Conv2d(inputs, options.width, 3, padding=pad if block == 0 else 1),
                _norm(options.norm, options.width, maps),
                ACTIVATIONS[options.activation](),
                POOLINGS[options.pooling](),
            ]
            if options.pooling != "none":
                maps = (maps[0] // 2, maps[1] // 2)
        self.features = nn.Sequential(*blocks)
        self.head = nn.Linear(options.width * maps[0] * maps[1], classes)

    def embed(self, images: Tensor) -> Tensor:
        """Features (B, width · h · w)."""
        return self.features(images).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.embed(images))


def default_depth(side: int) -> int:
    """Blocks for square images: 3 at 32, one more per doubling; smaller images keep 2×2 maps, up to 3 blocks."""
    halvings = int(math.log2(side)) if side > 1 else 0
    return max(1, min(3, halvings - 1), halvings - 2)


def _norm(norm: Norm, width: int, maps: tuple[int, int]) -> nn.Module:
    match norm:
        case "instance":
            return nn.GroupNorm(width, width)
        case "batch":
            return nn.BatchNorm2d(width)
        case "layer":
            return nn.LayerNorm([width, *maps])
        case "group":
            return nn.GroupNorm(math.gcd(4, width), width)
        case "none":
            return nn.Identity()

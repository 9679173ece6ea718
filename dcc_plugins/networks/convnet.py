"""ConvNet: the network of the paper's experiments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, final

from annotated_types import Ge, Le
from torch import nn

from dcc_plugins.networks.network import FeatureNetwork, Norm, Size, like_mnist, norm_layer
from dcc_plugins.networks.pooling import AveragePool

Activation = Literal["relu", "leaky", "sigmoid"]
Pooling = Literal["average", "max", "none"]

ACTIVATIONS = {
    "relu": lambda: nn.ReLU(inplace=True),
    "leaky": lambda: nn.LeakyReLU(0.01, inplace=True),
    "sigmoid": nn.Sigmoid,
}
"""In place where no derivative needs what was there: convolutions and norms keep their inputs alone."""
POOLINGS = {"average": AveragePool, "max": lambda: nn.MaxPool2d(2), "none": nn.Identity}


@final
@dataclass(frozen=True, kw_only=True)
class ConvNet(FeatureNetwork):
    """Blocks of a 3×3 convolution, norm, activation and pooling, then a linear head.

    Grey images of 28×28 are padded to 32×32 by the first convolution. Source: section 4.1 (Gidaris & Komodakis
    2018).
    """

    title: ClassVar[str] = "convnet"

    depth: Annotated[
        int | None, "blocks; none: 3 at 32×32, one more for every doubling, fewer below 16×16", Ge(1), Le(8)
    ] = None
    width: Annotated[int, "channels of every block", Ge(1)] = 128
    norm: Annotated[Literal["instance", "batch", "layer", "group", "none"], "normalisation in every block"] = "instance"
    activation: Annotated[Activation, "non-linearity of every block"] = "relu"
    pooling: Annotated[Pooling, "halving of the maps in every block"] = "average"

    @property
    def advice(self) -> str:
        return "Give a smaller -o arch.depth" if (self.depth or 1) > 1 else ""

    def features(self, channels: int, size: Size) -> nn.Module:
        pad = 3 if like_mnist(channels, size) else 1
        maps = (size[0] + 2 * pad - 2, size[1] + 2 * pad - 2)
        blocks: list[nn.Module] = []
        for block in range(self.depth or default_depth(min(maps))):
            blocks += [
                nn.Conv2d(self.width if block else channels, self.width, 3, padding=1 if block else pad),
                _norm(self.norm, self.width, maps),
                ACTIVATIONS[self.activation](),
                POOLINGS[self.pooling](),
            ]
            if self.pooling != "none":
                maps = (maps[0] // 2, maps[1] // 2)
        return nn.Sequential(*blocks)


def default_depth(side: int) -> int:
    """Blocks for square images: 3 at 32, one more per doubling; smaller images keep 2×2 maps, up to 3 blocks."""
    halvings = int(math.log2(side)) if side > 1 else 0
    return max(1, min(3, halvings - 1), halvings - 2)


def _norm(norm: Norm | Literal["layer"], width: int, maps: Size) -> nn.Module:
    return nn.LayerNorm([width, *maps]) if norm == "layer" else norm_layer(norm, width)

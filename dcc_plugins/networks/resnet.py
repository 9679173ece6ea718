"""ResNets for small images: a 3×3 stem without pooling, four stages of basic blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from torch import Tensor, nn
from torch.nn import functional as F

from dcc_plugins.networks.network import FeatureNetwork, Norm, Size, norm_layer
from dcc_plugins.networks.pooling import AveragePool

WIDTHS = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut. halve: the maps' size, by a 2×2 average or else by stride 2."""

    def __init__(self, inputs: int, width: int, norm: Norm, *, halve: bool, average: bool) -> None:
        super().__init__()
        stride = 2 if halve and not average else 1
        pool = [AveragePool()] if halve and average else []
        self.residual = nn.Sequential(
            *(nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False), norm_layer(norm, width), nn.ReLU(), *pool),
            *(nn.Conv2d(width, width, 3, padding=1, bias=False), norm_layer(norm, width)),
        )
        self.shortcut = nn.Sequential()
        if halve or inputs != width:
            self.shortcut.extend([nn.Conv2d(inputs, width, 1, stride, bias=False), *pool, norm_layer(norm, width)])

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(self.residual(maps) + self.shortcut(maps))


@dataclass(frozen=True, kw_only=True)
class ResNet(FeatureNetwork):
    """Four stages of basic blocks, 64 to 512 channels, each but the first halving the maps.

    Source: He et al. 2016, in the field's form for 32×32, if a global average ends the features. In the `ap`
    form a 2×2 average takes the place of stride 2, and the last maps go to the head as they are.
    """

    blocks: ClassVar[tuple[int, ...]]
    average: ClassVar[bool] = False

    norm: Annotated[Norm, "normalisation after every convolution"] = "instance"

    @property
    def advice(self) -> str:
        return "Smaller ones take -o arch.norm=batch" if self.norm == "instance" else ""

    def features(self, channels: int, size: Size) -> nn.Module:
        stem = nn.Conv2d(channels, WIDTHS[0], 3, padding=1, bias=False)
        layers: list[nn.Module] = [stem, norm_layer(self.norm, WIDTHS[0]), nn.ReLU()]
        inputs = WIDTHS[0]
        for stage, (width, count) in enumerate(zip(WIDTHS, self.blocks, strict=True)):
            for block in range(count):
                halve = stage > 0 and block == 0
                layers.append(BasicBlock(inputs, width, self.norm, halve=halve, average=self.average))
                inputs = width
        if not self.average:
            layers.append(nn.AdaptiveAvgPool2d(1))
        return nn.Sequential(*layers)


@final
@dataclass(frozen=True, kw_only=True)
class ResNet18(ResNet):
    title: ClassVar[str] = "resnet18"
    blocks: ClassVar[tuple[int, ...]] = (2, 2, 2, 2)


@final
@dataclass(frozen=True, kw_only=True)
class ResNet34(ResNet):
    title: ClassVar[str] = "resnet34"
    blocks: ClassVar[tuple[int, ...]] = (3, 4, 6, 3)


@final
@dataclass(frozen=True, kw_only=True)
class ResNet18AP(ResNet):
    title: ClassVar[str] = "resnet18-ap"
    blocks: ClassVar[tuple[int, ...]] = (2, 2, 2, 2)
    average: ClassVar[bool] = True

"""VGG for small images: 3×3 convolutions with norm, five max poolings, one linear head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from torch import nn

from dcc_plugins.networks.network import FeatureNetwork, Norm, Size, like_mnist, norm_layer

WIDTHS = (64, 128, 256, 512, 512)


@dataclass(frozen=True, kw_only=True)
class VGG(FeatureNetwork):
    """Five blocks of convolutions, each ended by max pooling. Source: Simonyan & Zisserman 2015."""

    convolutions: ClassVar[tuple[int, ...]]
    """Convolutions of each block."""

    norm: Annotated[Norm, "normalisation after every convolution"] = "instance"

    def features(self, channels: int, size: Size) -> nn.Module:
        layers: list[nn.Module] = []
        inputs, pad = channels, 3 if like_mnist(channels, size) else 1
        for width, count in zip(WIDTHS, self.convolutions, strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(inputs, width, 3, padding=pad), norm_layer(self.norm, width), nn.ReLU()]
                inputs, pad = width, 1
            layers.append(nn.MaxPool2d(2))
        return nn.Sequential(*layers)


@final
@dataclass(frozen=True, kw_only=True)
class VGG11(VGG):
    title: ClassVar[str] = "vgg11"
    convolutions: ClassVar[tuple[int, ...]] = (1, 1, 2, 2, 2)


@final
@dataclass(frozen=True, kw_only=True)
class VGG13(VGG):
    title: ClassVar[str] = "vgg13"
    convolutions: ClassVar[tuple[int, ...]] = (2, 2, 2, 2, 2)


@final
@dataclass(frozen=True, kw_only=True)
class VGG16(VGG):
    title: ClassVar[str] = "vgg16"
    convolutions: ClassVar[tuple[int, ...]] = (2, 2, 3, 3, 3)


@final
@dataclass(frozen=True, kw_only=True)
class VGG19(VGG):
    title: ClassVar[str] = "vgg19"
    convolutions: ClassVar[tuple[int, ...]] = (2, 2, 4, 4, 4)

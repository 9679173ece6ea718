"""The small networks of the field's cross-architecture tables: LeNet, AlexNet, MLP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn

from dcc_plugins.networks.network import FeatureNetwork, Size, flat_width, like_mnist


@final
@dataclass(frozen=True, kw_only=True)
class LeNet(FeatureNetwork):
    """Two 5×5 convolutions with max pooling, then linear 120, 84. Source: LeCun et al. 1998, with ReLU."""

    title: ClassVar[str] = "lenet"

    def features(self, channels: int, size: Size) -> nn.Module:
        def convolutions() -> nn.Sequential:
            return nn.Sequential(
                *(
                    nn.Conv2d(channels, 6, 5, padding=2 if like_mnist(channels, size) else 0),
                    nn.ReLU(),
                    nn.MaxPool2d(2),
                ),
                *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
                nn.Flatten(),
            )

        width = flat_width(convolutions, channels, size)
        return nn.Sequential(*convolutions(), nn.Linear(width, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU())


@final
@dataclass(frozen=True, kw_only=True)
class AlexNet(FeatureNetwork):
    """Five convolutions, with max pooling after the first, second and last.

    Source: Krizhevsky et al. 2012, in the field's form for 32×32.
    """

    title: ClassVar[str] = "alexnet"

    def features(self, channels: int, size: Size) -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(channels, 128, 5, padding=4 if like_mnist(channels, size) else 2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(128, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(192, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 192, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(192, 192, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        )


@final
@dataclass(frozen=True, kw_only=True)
class MLP(FeatureNetwork):
    """Two hidden layers of 128 on the flattened image."""

    title: ClassVar[str] = "mlp"

    def features(self, channels: int, size: Size) -> nn.Module:
        pixels = channels * size[0] * size[1]
        return nn.Sequential(nn.Flatten(), nn.Linear(pixels, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU())

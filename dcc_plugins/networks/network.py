"""What the field's networks share: features, then one linear head."""

from __future__ import annotations

import bisect
import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from dcc_core import Architecture, DccError, seeded

Size = tuple[int, int]
Norm = Literal["instance", "batch", "group", "none"]
LARGEST = 4096
"""Side of the largest images that are tried in looking for the smallest that work."""


class Network(nn.Module):
    """Features and a linear head: a `dcc_core.Classifier`, with the methods that timm gives its models."""

    def __init__(self, features: nn.Module, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.features = features
        self.head = nn.Linear(num_features, num_classes)
        self.num_features = num_features
        self.num_classes = num_classes

    def embed(self, images: Tensor) -> Tensor:
        """Features (B, num_features) of images (B, C, H, W)."""
        return self.features(images).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.embed(images))

    def forward_features(self, images: Tensor) -> Tensor:
        """The last maps, or the features of a network that ends without maps."""
        return self.features(images)

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """From `forward_features` to logits (B, num_classes), or to features (B, num_features)."""
        return features.flatten(1) if pre_logits else self.head(features.flatten(1))

    def get_classifier(self) -> nn.Module:
        """The head."""
        return self.head

    def reset_classifier(self, num_classes: int) -> None:
        """A fresh head; without classes, none."""
        self.num_classes = num_classes
        self.head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()


@dataclass(frozen=True, kw_only=True)
class FeatureNetwork(Architecture):
    """An architecture whose layers, and their sizes, follow the images'."""

    title: ClassVar[str]

    @property
    def advice(self) -> str:
        """What else to do about images that are too small, as a sentence, or nothing."""
        return ""

    @abstractmethod
    def features(self, channels: int, size: Size) -> nn.Module:
        """The layers up to the head, for images (B, channels, *size)."""

    def build(self, *, channels: int, classes: int, size: Size, generator: torch.Generator) -> Network:
        width = self._width(channels, size)
        if not width:
            message = f"{self.title} {self._needs(channels)}; these are {size[0]}×{size[1]}. {self.advice}"
            raise DccError(message.rstrip())
        with seeded(generator):
            return Network(self.features(channels, size), width, classes)

    def _width(self, channels: int, size: Size) -> int:
        """Features of an image; 0 if it is too small."""
        try:
            return flat_width(lambda: self.features(channels, size), channels, size)
        except (RuntimeError, ValueError):
            return 0

    def _needs(self, channels: int) -> str:
        sides = range(1, LARGEST + 1)
        at = bisect.bisect_left(sides, True, key=lambda side: self._width(channels, (side, side)) > 0)
        return f"needs images of at least {sides[at]}×{sides[at]} pixels" if at < LARGEST else "does not fit any image"


def flat_width(layers: Callable[[], nn.Module], channels: int, size: Size) -> int:
    """Numbers per image that some layers give: computed on shapes alone.

    Raises RuntimeError or ValueError if the image is too small for them. A single image is tried, for which
    torch refuses to normalise maps of one pixel: their instance norm is a constant, and nothing could be learned.
    """
    with torch.device("meta"):
        return layers().eval()(torch.empty(1, channels, *size)).flatten(1).shape[1]


def like_mnist(channels: int, size: Size) -> bool:
    """Grey images of 28×28 are padded to 32×32 by the first convolution, as the field does for MNIST."""
    return channels == 1 and size == (28, 28)


def norm_layer(norm: Norm, width: int) -> nn.Module:
    """A normalisation of maps (B, width, H, W). Instance norm is a group norm of single channels, affine."""
    match norm:
        case "instance":
            return nn.GroupNorm(width, width)
        case "batch":
            return nn.BatchNorm2d(width)
        case "group":
            return nn.GroupNorm(math.gcd(4, width), width)
        case "none":
            return nn.Identity()

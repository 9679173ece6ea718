"""Architectures: they build the networks in which sets are matched and scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn


class Classifier(Protocol):
    """What an architecture builds: an `nn.Module` with features."""

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, C, H, W)."""
        ...

    def embed(self, images: Tensor) -> Tensor:
        """Features (B, D) before the head."""
        ...


class Architecture(ABC):
    """Builds networks."""

    kind: ClassVar[str] = "architecture"

    def describe(self) -> str:
        """What a family's argument chose, for `dcc show architecture FAMILY/NAME`."""
        return ""

    @abstractmethod
    def build(self, *, channels: int, classes: int, size: tuple[int, int], generator: torch.Generator) -> nn.Module:
        """A freshly initialised `Classifier` on the CPU for images (channels, *size).

        Initial weights come from `generator` alone (see `dcc_core.seeded`). Raises DccError if the images
        are too small.
        """

"""Images with their labels, as networks see them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dcc_core.compute import send


@dataclass(frozen=True)
class Batch:
    """Images (B, C, H, W), normalised, with labels: (B,) int64, or (B, K) probabilities."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        _, c, h, w = self.images.shape
        return c, h, w

    @property
    def device(self) -> torch.device:
        return self.images.device

    def batch(self, indices: Tensor) -> Batch:
        """The images at these indices (int64, on any device), with their labels."""
        indices = send(indices, self.device)
        return Batch(self.images[indices], self.labels[indices])

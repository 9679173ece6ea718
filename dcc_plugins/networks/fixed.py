"""The linear classifier of the paper's motivating example, whose weights nobody draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from dcc_core import Architecture, DccError


@final
@dataclass(frozen=True, kw_only=True)
class Along(Architecture):
    """sign(w·x) for two classes, w = φ₁: the first number of the image, as logits (−w·x/2, w·x/2).

    Under the hinge criterion that is max(0, 1 − y w·x), and the gradient of w is −y x if the margin is missed.
    Every network is the same; leave it untrained (`run.network_steps=0`). Source: section 3.2.
    """

    def build(self, *, channels: int, classes: int, size: tuple[int, int], generator: torch.Generator) -> nn.Module:
        if classes != 2:
            raise DccError(f"architecture 'along': it tells two classes apart; the data have {classes}")
        return _Along(channels * size[0] * size[1])


class _Along(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(1, inputs))

    def embed(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        half = self.embed(images) @ self.weight.T / 2
        return torch.cat([-half, half], dim=1)

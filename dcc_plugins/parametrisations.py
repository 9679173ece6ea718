"""How stored tensors become training images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, final

import torch
from annotated_types import Ge
from torch import Tensor
from torch.nn import functional as F

from dcc_core import Parametrisation, RunContext


@final
@dataclass(frozen=True, kw_only=True)
class Identity(Parametrisation):
    """The stored images are the training images."""

    def init(self, images: Tensor, labels: Tensor, run: RunContext) -> dict[str, Tensor]:
        return {"images": images.clone().requires_grad_(), "labels": labels}

    def decode(self, stored: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return stored["images"], stored["labels"]


@final
@dataclass(frozen=True, kw_only=True)
class Upsampled(Parametrisation):
    """Images stored at a lower resolution and enlarged bilinearly: fewer numbers to learn and to store.

    Stored: `images` (N, C, ⌈H / factor⌉, ⌈W / factor⌉), `labels`, and `shared_size` (1, 2), height and width of the
    training images. Networks see full-size images: their cost does not change.
    """

    factor: Annotated[int, "training pixels along each side of a stored one", Ge(2)] = 2

    def init(self, images: Tensor, labels: Tensor, run: RunContext) -> dict[str, Tensor]:
        height, width = images.shape[2:]
        small = (-(-height // self.factor), -(-width // self.factor))
        stored = F.interpolate(images, size=small, mode="bilinear", align_corners=False, antialias=True)
        size = torch.tensor([[height, width]], device=images.device)
        return {"images": stored.requires_grad_(), "labels": labels, "shared_size": size}

    def decode(self, stored: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        size = tuple(stored["shared_size"][0].tolist())
        return F.interpolate(stored["images"], size=size, mode="bilinear", align_corners=False), stored["labels"]

"""How stored tensors become training images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor

from dcc_core import Parametrisation, RunContext


@final
@dataclass(frozen=True, kw_only=True)
class Identity(Parametrisation):
    """The stored images are the training images."""

    def init(self, images: Tensor, labels: Tensor, run: RunContext) -> dict[str, Tensor]:
        return {"images": images.clone().requires_grad_(), "labels": labels}

    def decode(self, stored: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return stored["images"], stored["labels"]

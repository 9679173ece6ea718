"""Parametrisations: how stored tensors become training images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from dcc_core.engine.run_context import RunContext

SHARED = "shared_"
"""How the names of stored tensors begin that belong to all rows."""


class Parametrisation(ABC):
    """How stored tensors become training images."""

    kind: ClassVar[str] = "parametrisation"

    @property
    def images_per_row(self) -> int:
        """Training images that one stored row stands for; ipc counts rows."""
        return 1

    @abstractmethod
    def init(self, images: Tensor, labels: Tensor, run: RunContext) -> dict[str, Tensor]:
        """Stored tensors of N rows for images (N * images_per_row, C, H, W) and their labels, in order.

        A tensor has one row per stored image, unless its name begins with `shared_`. Those that require grad
        are learned, soft labels among them. One named `images` is taken as (N, C, h, w) in normalised space,
        and is written to a set file in unit space; `run.real.normalisation` converts between the two. Random
        numbers come from `run.random`.
        """

    @abstractmethod
    def decode(self, stored: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Images (rows * images_per_row, C, H, W) and labels of some rows, row by row."""

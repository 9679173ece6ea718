"""Coreset selections: they pick real images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from dcc_core.data import RealData
from dcc_core.engine.run_context import RunContext


class Selection(ABC):
    """Picks real images: a coreset."""

    kind: ClassVar[str] = "selection"

    @property
    def whole(self) -> bool:
        """Whether it keeps every image, whatever ipc says. Such a selection is scored, and leaves no set."""
        return False

    @abstractmethod
    def select(self, data: RealData, ipc: int, run: RunContext) -> Sequence[Tensor]:
        """For every class, `ipc` distinct indices (int64) into `data.train`."""

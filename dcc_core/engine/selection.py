"""Coreset selections: they pick real images, or make images of real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from dcc_core.data import RealData
from dcc_core.engine.contracts import check_picked
from dcc_core.engine.run_context import RunContext
from dcc_core.errors import ContractError


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Images with their labels, class by class, as they become rows of a set.

    images: (N, C, H, W) in unit space, on the run's device. labels: (N,) int64, or (N, K) probabilities. more: further
    tensors (N, ...) for the set file. about: what the labels are, for the set file, if they are not the classes.
    """

    images: Tensor
    labels: Tensor
    more: Mapping[str, Tensor] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


class Selection:
    """Picks real images, a coreset, with `select`; or makes images of real ones, with `make` in its place."""

    kind: ClassVar[str] = "selection"

    @property
    def whole(self) -> bool:
        """Whether it keeps every image, whatever ipc says. Such a selection is scored, and leaves no set."""
        return False

    def select(self, data: RealData, ipc: int, run: RunContext) -> Sequence[Tensor]:
        """For every class, `ipc` distinct indices (int64) into `data.train`."""
        raise ContractError("a selection picks images with `select`, or makes them with `make`; it has neither")

    def make(self, ipc: int, run: RunContext) -> Rows:
        """`ipc` images of every class, class by class: those that `select` picks, with their classes as labels."""
        chosen = check_picked(self.select(run.data, ipc, run), ipc, run.data).to(run.device)
        return Rows(images=run.real.images[chosen].to(run.dtype) / 255, labels=run.real.labels[chosen])

    def label(self, rows: Rows, run: RunContext) -> Rows:
        """Other images with labels of the kind that `make` gives: for comparisons. Here their classes."""
        return rows

"""Images drawn at random, and all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from dcc_core import RealData, RunContext, Selection


@final
@dataclass(frozen=True, kw_only=True)
class RandomSelection(Selection):
    """Images drawn uniformly, without replacement, from each class."""

    def select(self, data: RealData, ipc: int, run: RunContext) -> Sequence[Tensor]:
        return [
            own[torch.randperm(len(own), generator=run.random.generator("selection", k))[:ipc]]
            for k, own in enumerate(run.real.by_class)
        ]


@final
@dataclass(frozen=True, kw_only=True)
class Full(Selection):
    """All real images: networks trained on them are the upper bound of every set."""

    @property
    def whole(self) -> bool:
        return True

    def select(self, data: RealData, ipc: int, run: RunContext) -> Sequence[Tensor]:
        return run.real.by_class

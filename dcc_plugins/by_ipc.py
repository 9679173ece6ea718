"""A loss for few images per class and another one for more."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, final

from annotated_types import Ge

from dcc_core import MatchingLoss, Part, RunContext, Schedule, State, Step, Synthetic, Total

log = logging.getLogger("dcc")


@final
@dataclass(frozen=True, kw_only=True)
class ByImagesPerClass(MatchingLoss):
    """One loss up to a number of images per class, another one above it: for recipes, which do not know the number."""

    few: Annotated[MatchingLoss, "the loss for few images per class"]
    many: Annotated[MatchingLoss, "the loss for more"]
    most: Annotated[int, "images per class that are few at most", Ge(1)] = 1

    def choose(self, ipc: int) -> MatchingLoss:
        """The loss for so many images per class."""
        return self.few if ipc <= self.most else self.many

    def schedule(self, ipc: int) -> Schedule:
        return self.choose(ipc).schedule(ipc)

    def image_rate(self, ipc: int, outer_loops: int) -> float:
        return self.choose(ipc).image_rate(ipc, outer_loops)

    def setup(self, run: RunContext, synthetic: Synthetic) -> State:
        own = self.choose(run.ipc)
        _tell(f"loss for {'few' if own is self.few else 'many'} images per class: {type(own).__name__}")
        return own.setup(run, synthetic)

    def phase(self, step: Step) -> str:
        return self.choose(step.run.ipc).phase(step)

    def terms(self, step: Step, state: Any) -> Iterator[Part | Total]:
        return self.choose(step.run.ipc).terms(step, state)


@functools.cache
def _tell(message: str) -> None:
    """Log a message once."""
    log.info(message)

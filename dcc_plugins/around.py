"""What losses around another one have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dcc_core import MatchingLoss, RunContext, Schedule, State, Step, Synthetic


@dataclass(frozen=True, kw_only=True)
class Around(MatchingLoss):
    """A loss around another one, whose schedule, image rate, state and phase it takes over unless it has its own."""

    of: Annotated[MatchingLoss, "the loss, e.g. collective"]

    def schedule(self, ipc: int) -> Schedule:
        return self.of.schedule(ipc)

    def image_rate(self, ipc: int, outer_loops: int) -> float:
        return self.of.image_rate(ipc, outer_loops)

    def setup(self, run: RunContext, synthetic: Synthetic) -> State:
        return self.of.setup(run, synthetic)

    def phase(self, step: Step) -> str:
        return self.of.phase(step)

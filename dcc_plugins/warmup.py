"""Matching losses built from matching losses: the warm-up."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, final

from annotated_types import Ge
from torch import Tensor

from dcc_core import MatchingLoss, Part, RunContext, Schedule, State, Step, Synthetic, Total

log = logging.getLogger("dcc")


@dataclass(frozen=True)
class PairState(State):
    """The states of two losses."""

    first: State
    then: State

    def state_dict(self) -> dict[str, Tensor]:
        first, then = self.first.state_dict(), self.then.state_dict()
        return {f"first.{k}": v for k, v in first.items()} | {f"then.{k}": v for k, v in then.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        for prefix, part in (("first.", self.first), ("then.", self.then)):
            part.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})


@final
@dataclass(frozen=True, kw_only=True)
class Warmup(MatchingLoss):
    """One loss while `outer < γo and inner < γi`, another one otherwise.

    Source: the bi-level warm-up of section 3.3 and Algorithm 1. The algorithm's text leaves the warm-up when
    an index *exceeds* its bound, one step later; this is the boundary of the published results' code.
    """

    first: Annotated[MatchingLoss, "the loss of the warm-up"]
    then: Annotated[MatchingLoss, "the loss after it"]
    outer: Annotated[int | None, "outer loops with warm-up, γo; none: a quarter of them", Ge(0)] = None
    inner: Annotated[int, "inner loops with warm-up in each of those, γi", Ge(0)] = 10

    def schedule(self, ipc: int) -> Schedule:
        return self.then.schedule(ipc)

    def image_rate(self, ipc: int, outer_loops: int) -> float:
        return self.then.image_rate(ipc, outer_loops)

    def setup(self, run: RunContext, synthetic: Synthetic) -> PairState:
        if self._outer(run.outer_loops) >= run.outer_loops and self.inner >= run.inner_loops:
            _warn(
                f"the warm-up lasts for all {run.outer_loops} outer loops: the loss after it has none. "
                "Give fewer, e.g. -o loss.warmup_outer=none for a quarter of them"
            )
        return PairState(self.first.setup(run, synthetic), self.then.setup(run, synthetic))

    def phase(self, step: Step) -> str:
        return "warm-up" if self._warming(step) else self.then.phase(step)

    def terms(self, step: Step, state: PairState) -> Iterator[Part | Total]:
        if self._warming(step):
            return self.first.terms(step, state.first)
        return self.then.terms(step, state.then)

    def _warming(self, step: Step) -> bool:
        return step.outer < self._outer(step.run.outer_loops) and step.inner < self.inner

    def _outer(self, outer_loops: int) -> int:
        return outer_loops // 4 if self.outer is None else self.outer


@functools.cache
def _warn(message: str) -> None:
    """Log a warning once."""
    log.warning(message)

"""Gradient matching: class by class (DC) and over all classes together (DCC)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, final

import torch
from annotated_types import Ge

from dcc_core import DccError, MatchingLoss, Part, RunContext, State, Step, Synthetic, Total
from dcc_plugins.distances import DISTANCES, DistanceName
from dcc_plugins.warmup import Warmup

PAPERS_RATE = 0.1
PAPERS_LOOPS = 1000
LARGEST_RATE = 3.0


def image_rate(distance: DistanceName, ipc: int, outer_loops: int) -> float:
    """The image rate for a number of outer loops K_o: 0.1 · 1000 / K_o, at most 3 / √ipc, at least the paper's 0.1.

    As many loops as the paper's times its rate: images can move as far in fewer. Source: validation accuracies,
    benchmarks/results/rates.md. They were measured with the layer-wise distance; others have gradients of other sizes,
    and keep the paper's rate.
    """
    if distance != "layerwise":
        return PAPERS_RATE
    rate = min(LARGEST_RATE / math.sqrt(ipc), PAPERS_RATE * PAPERS_LOOPS / outer_loops)
    return float(f"{max(PAPERS_RATE, rate):.2g}")


@final
@dataclass(frozen=True, kw_only=True)
class ClassWise(MatchingLoss):
    """L = Σ_c D(g(X_c), g(S_c)), g the mean loss gradient of a class.

    Source: eq. 2; Zhao et al. 2021. The sum stands for any convention: the paper and the official code agree.
    """

    distance: Annotated[DistanceName, "between the two gradients"] = "layerwise"

    def image_rate(self, ipc: int, outer_loops: int) -> float:
        return image_rate(self.distance, ipc, outer_loops)

    def terms(self, step: Step, state: State) -> Iterator[Part]:
        for chunk in step.class_gradients():
            yield Part(DISTANCES[self.distance](chunk.real, chunk.synthetic).sum())


@final
@dataclass(frozen=True, kw_only=True)
class CollectiveBare(MatchingLoss):
    """L = D(Σ_c g(X_c), Σ_c g(S_c)), without warm-up. Source: eq. 10.

    reduction: `sum` is the equation; `mean` divides both sums by the number of classes, as the official code
    does. They differ through the cosine's 1e-6, and by the number of classes squared for `mse`.
    """

    distance: Annotated[DistanceName, "between the two gradients"] = "layerwise"
    reduction: Annotated[Literal["mean", "sum"], "of the gradients, over classes"] = "mean"

    def image_rate(self, ipc: int, outer_loops: int) -> float:
        return image_rate(self.distance, ipc, outer_loops)

    def terms(self, step: Step, state: State) -> Iterator[Total]:
        scale = 1 / step.num_classes if self.reduction == "mean" else 1.0
        summed = step.summed_gradients(torch.full((step.num_classes,), scale, dtype=torch.float64))
        real, synthetic = ([g.unsqueeze(0) for g in side] for side in (summed.real, summed.synthetic))
        yield Total(DISTANCES[self.distance](real, synthetic).sum())


@final
@dataclass(frozen=True, kw_only=True)
class Collective(MatchingLoss):
    """Dataset condensation with contrastive signals: `CollectiveBare` after a class-wise warm-up.

    warmup: `bi-level` is class-wise while outer < warmup_outer and inner < warmup_inner (section 3.3);
    `simple` looks at the inner loop only, in every outer loop (table 5); `none` never is.
    """

    distance: Annotated[DistanceName, "between the two gradients"] = "layerwise"
    reduction: Annotated[Literal["mean", "sum"], "of the gradients, over classes"] = "mean"
    warmup: Annotated[Literal["bi-level", "simple", "none"], "when to match class by class"] = "bi-level"
    warmup_outer: Annotated[int | None, "bi-level: outer loops with warm-up, γo; none: a quarter of them", Ge(0)] = None
    warmup_inner: Annotated[
        int | None, "inner loops with warm-up, γi; none: 10 for bi-level, half of them for simple", Ge(0)
    ] = None

    def image_rate(self, ipc: int, outer_loops: int) -> float:
        return self._bare.image_rate(ipc, outer_loops)

    def setup(self, run: RunContext, synthetic: Synthetic) -> State:
        if self.warmup == "simple" and self._simple_inner(run) >= run.inner_loops:
            raise DccError(
                f"loss.warmup_inner={self._simple_inner(run)} with warmup=simple never leaves the class-wise "
                f"loss: there are {run.inner_loops} inner loops. Give a smaller number, or warmup=bi-level"
            )
        return self._combine(run).setup(run, synthetic)

    def phase(self, step: Step) -> str:
        return self._combine(step.run).phase(step)

    def terms(self, step: Step, state: State) -> Iterator[Part | Total]:
        return self._combine(step.run).terms(step, state)

    def _combine(self, run: RunContext) -> MatchingLoss:
        if self.warmup == "none":
            return self._bare
        first = ClassWise(distance=self.distance)
        if self.warmup == "simple":
            return Warmup(first=first, then=self._bare, outer=run.outer_loops, inner=self._simple_inner(run))
        inner = 10 if self.warmup_inner is None else self.warmup_inner
        return Warmup(first=first, then=self._bare, outer=self.warmup_outer, inner=inner)

    @property
    def _bare(self) -> CollectiveBare:
        return CollectiveBare(distance=self.distance, reduction=self.reduction)

    def _simple_inner(self, run: RunContext) -> int:
        return run.inner_loops // 2 if self.warmup_inner is None else self.warmup_inner

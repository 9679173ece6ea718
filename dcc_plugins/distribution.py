"""Distribution matching. Source: Zhao & Bilen 2023, "Dataset Condensation with Distribution Matching", and its code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from dcc_core import Batch, MatchingLoss, Part, Schedule, State, Step


@final
@dataclass(frozen=True, kw_only=True)
class DistributionMatching(MatchingLoss):
    """L = Σ_c |mean f(X_c) − mean f(S_c)|², f the features of a freshly initialised network, summed over features."""

    def schedule(self, ipc: int) -> Schedule:
        return Schedule(inner_loops=1, network_steps=0)

    def image_rate(self, ipc: int, outer_loops: int) -> float:
        return 1.0

    def terms(self, step: Step, state: State) -> Iterator[Part]:
        for label in step.classes:
            with torch.no_grad():
                target = mean_features(step, step.augment(step.real(label), label))
            found = mean_features(step, step.augment(step.synthetic.batch(label), label))
            yield Part((found - target).square().sum())


def mean_features(step: Step, batch: Batch) -> Tensor:
    """The mean (D,) of a batch's features, as many images at once as the run takes."""
    return torch.cat([step.embed(images) for (images,) in step.run.chunks.split(batch.images)]).mean(dim=0)

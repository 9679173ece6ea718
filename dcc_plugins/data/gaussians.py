"""The paper's motivating example as a data source: two Gaussian classes that share a feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from dcc_core import DataSource, ImageSet, Randomness, RealData

REACH = 4.5
"""Standard deviations around a class's mean that its bytes can hold; what lies beyond is put at the edge."""


@final
@dataclass(frozen=True, kw_only=True)
class Gaussians(DataSource):
    """x ~ N(±αφ₁ + βφ₂, 1): φ₁ tells the classes apart, φ₂ is common to both. Source: eq. 3.

    Images of one pixel and two channels, φ₁ and φ₂; mean and std are such that the normalised image is x, to a step of
    the bytes. The sample is stratified: one image from every equal share of the distribution along φ₁, the same for
    both classes except for the sign, so that |X⁺| = |X⁻| as the paper has it; and neighbours are mirrored at βφ₂.
    """

    alpha: Annotated[float, "strength of what tells the classes apart, α", Gt(0)] = 1.0
    beta: Annotated[float, "strength of what they have in common, β", Ge(0)] = 1.0
    count: Annotated[int, "training images of each class, half as many to test; even", Ge(4)] = 4000

    def __post_init__(self) -> None:
        if self.count % 4:
            raise ValueError(f"count is {self.count}; images come in pairs, half as many to test: give a multiple of 4")

    def suggestions(self) -> Mapping[str, Any]:
        return {"run.outer_loops": 1, "run.sets": 1, "run.criterion": "hinge", "score.nets": 1}

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        low = torch.tensor([-self.alpha - REACH, -REACH])
        high = torch.tensor([self.alpha + REACH, self.beta + REACH])
        span = high - low
        random = Randomness(self.split_seed, ("gaussians",))

        def images(part: str, count: int) -> ImageSet:
            shares = (
                torch.arange(count) + torch.rand(count, generator=random.generator(part), dtype=torch.float64)
            ) / count
            along = self.alpha + torch.special.ndtri(shares).float()
            x = torch.cat([self._sample(sign * along, random.generator(part, sign)) for sign in (-1, 1)])
            grey = ((x - low) / span * 255).round().clamp(0, 255).to(torch.uint8)
            return ImageSet(grey.view(-1, 2, 1, 1), torch.arange(2).repeat_interleave(count))

        return RealData(
            name="gaussians",
            train=images("train", self.count),
            test=images("test", self.count // 2),
            class_names=("-1", "+1"),
            mean=tuple((-low / span).tolist()),
            std=tuple((1 / span).tolist()),
        )

    def _sample(self, along: Tensor, generator: torch.Generator) -> Tensor:
        across = torch.randn(len(along) // 2, generator=generator)
        across = torch.stack([across, -across], dim=1).flatten()
        return torch.stack([along, self.beta + across], dim=1)

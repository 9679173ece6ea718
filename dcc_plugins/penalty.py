"""A penalty around any matching loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, final

from annotated_types import Gt

from dcc_core import Part, Step, Total
from dcc_plugins.around import Around


@final
@dataclass(frozen=True, kw_only=True)
class Penalised(Around):
    """L + λ Σ_s ‖s‖, over the images s of the synthetic set in normalised space, flattened.

    It bounds how much an image can hold, so that what the loss does not ask for goes. Source: eq. 4 of the paper.
    """

    weight: Annotated[float, "of the images' norms, λ", Gt(0)] = 0.1

    def terms(self, step: Step, state: Any) -> Iterator[Part | Total]:
        yield from self.of.terms(step, state)
        if step.classes:  # of several processes some may have none
            images = step.synthetic.batch(*step.classes).images
            yield Part(self.weight * images.flatten(1).norm(dim=1).sum())

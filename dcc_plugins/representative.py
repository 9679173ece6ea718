"""Representative real batches: matching against images that stand for their class, in place of random ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, final

import torch
from annotated_types import Ge
from torch import Tensor

from dcc_core import Part, RunContext, State, Step, Synthetic, Total, over_real
from dcc_plugins.around import Around
from dcc_plugins.selections.in_feature_space import KMeans


@dataclass
class Picked(State):
    """The images picked of each class, as indices into the training part, and the state of the loss around them."""

    of: State
    by_class: list[Tensor] = field(default_factory=list)

    def state_dict(self) -> dict[str, Tensor]:
        own = {f"picked.{k}": t for k, t in enumerate(self.by_class)}
        return own | {f"of.{name}": t for name, t in self.of.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        own = sum(name.startswith("picked.") for name in state)
        self.by_class = [state[f"picked.{k}"].cpu() for k in range(own)]
        self.of.load_state_dict({name.removeprefix("of."): t for name, t in state.items() if name.startswith("of.")})


@final
@dataclass(frozen=True, kw_only=True)
class Representative(Around):
    """Any loss, on real batches of the images nearest to the centres of k-means, one centre for each image of a batch.

    The images of each class are clustered by the features of the network that is being matched, again after every
    `every` image updates. Source: DREAM, Liu et al., ICCV 2023, which clusters all images after every ten.
    """

    every: Annotated[int, "image updates from one clustering to the next", Ge(1)] = 100
    among: Annotated[int | None, "images of a class that are clustered, drawn anew each time; none: all", Ge(1)] = 1000

    def setup(self, run: RunContext, synthetic: Synthetic) -> State:
        return Picked(self.of.setup(run, synthetic))

    def phase(self, step: Step) -> str:
        """The loss's, which shows a clustering in brackets: such a step takes longer."""
        return f"{self.of.phase(step)} (clustering)".strip() if self._is_due(step) else self.of.phase(step)

    def terms(self, step: Step, state: Any) -> Iterator[Part | Total]:
        if self._is_due(step) or not state.by_class:
            state.by_class = [self._pick(step, own) for own in step.run.real.by_class]
        yield from self.of.terms(step.with_real(step.run.real.only(state.by_class)), state.of)

    def _is_due(self, step: Step) -> bool:
        return (step.outer * step.run.inner_loops + step.inner) % self.every == 0

    def _pick(self, step: Step, own: Tensor) -> Tensor:
        """The picked images of a class, of which `own` are the indices."""
        drawn = own[torch.randperm(len(own), generator=step.generator("among", int(own[0])))[: self.among]]
        if len(drawn) <= step.run.real_batch:
            return drawn
        features = over_real(step.run, lambda images, labels: step.embed(images), drawn).double()
        return drawn[KMeans().pick(features, step.run.real_batch)]

"""Gradients of a network's upper layers alone: matching at a lower cost where images are large."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, final

from annotated_types import Ge
from torch import nn

from dcc_core import DccError, Part, Step, Total
from dcc_plugins.around import Around


@final
@dataclass(frozen=True, kw_only=True)
class Upper(Around):
    """Any loss of gradients, on those of the layers above the lowest.

    The lowest layers see the largest maps. Real images pass them forwards only, and synthetic ones without the second
    derivative of their weights. Networks still train as a whole between updates. A layer is a convolution or a linear
    map with what follows it, such as a normalisation, in the order in which the network registers its weights.
    """

    skip: Annotated[int, "lowest layers that are left out", Ge(1)] = 1

    def terms(self, step: Step, state: Any) -> Iterator[Part | Total]:
        """Raises DccError where no layer is left, or where the loss takes no gradients of the step's network."""
        below = lowest_layers(step.network, self.skip)
        try:
            for p in below:
                p.requires_grad_(False)
            view = step.with_network(step.network)
            yield from self.of.terms(view, state)
        finally:
            for p in below:
                p.requires_grad_(True)
        if step.classes and "_gradient" not in vars(view):  # made when the first gradient is asked for
            raise DccError(
                f"loss.of: {type(self.of).__name__} takes no gradients of the network it is given, so that upper has "
                "none to leave out; put upper inside, e.g. loss=early loss.of=upper, or leave it away"
            )


def lowest_layers(network: nn.Module, count: int) -> list[nn.Parameter]:
    """The trainable parameters of the first `count` layers. Raises DccError unless some layer is above them."""
    trained = [p for p in network.parameters() if p.requires_grad]
    starts = [i for i, p in enumerate(trained) if p.ndim > 1]
    if count >= len(starts):
        raise DccError(f"loss.skip={count} leaves no layer to match: the network has {len(starts)}; take fewer")
    return trained[: starts[count]]

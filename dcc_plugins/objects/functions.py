"""A plain function as a matching loss."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from dcc_core import DccError, MatchingLoss, Part, State, Step, Total

BOTH = ("synthetic", "real")


class FunctionLoss(MatchingLoss):
    """What a function says of one inner step.

    `function(synthetic, real)` gets the gradients of the network's weights, lists of tensors of the weights' shapes,
    averaged over all classes, Siamese augmentation applied; it returns their distance, a scalar to differentiate by
    `synthetic`. Parameters of these names may stand in any order.

    `function(step)` gets the `dcc_core.Step`, and returns a scalar or yields several that share no graph.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            parameters = ()
        variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        needed = [p.name for p in parameters if p.default is p.empty and p.kind not in variable]
        if len(needed) not in (1, 2):
            raise DccError(
                f"loss: {getattr(function, '__name__', function)} needs {len(needed)} arguments; expected a function "
                "of (synthetic, real), lists of gradients, or of a step"
            )
        self.of_gradients = len(needed) == 2
        self.by_name = set(needed) == set(BOTH)

    def terms(self, step: Step, state: State) -> Iterator[Part | Total]:
        if self.of_gradients:
            mean = torch.full((step.num_classes,), 1 / step.num_classes, dtype=torch.float64)
            summed = step.summed_gradients(mean)
            sides = dict(zip(BOTH, (summed.synthetic, summed.real), strict=True))
            found = self.function(**sides) if self.by_name else self.function(*sides.values())
            yield Total(self._scalar(found))
            return
        found = self.function(step)
        several = isinstance(found, Iterable) and not isinstance(found, Tensor)
        for value in found if several else [found]:
            yield value if isinstance(value, Part | Total) else Part(self._scalar(value))

    def _scalar(self, value: object) -> Tensor:
        if not isinstance(value, Tensor) or value.numel() != 1:
            found = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise DccError(f"loss: the function gives scalar tensors; it gave {found}")
        return value.reshape(())

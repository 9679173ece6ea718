"""Optimisers of the synthetic images, and what of an optimiser is kept between two steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, Optimizer

IN_STATE = {"momentum_buffer": "momentum.", "exp_avg": "mean.", "exp_avg_sq": "square.", "step": "step."}
"""Prefixes of saved names, by the keys of torch's optimisers."""


class NormalisedSGD(SGD):
    """SGD on gradients divided by their root mean square, tensor by tensor.

    So a rate is about the change of a pixel in one step, whatever the size of the loss.
    """

    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        gradients = {p: p.grad for group in self.param_groups for p in group["params"] if p.grad is not None}
        for p, gradient in gradients.items():
            size = torch.linalg.vector_norm(gradient) / gradient.numel() ** 0.5
            p.grad = gradient / size.clamp(min=torch.finfo(gradient.dtype).tiny)
        super().step()
        for p, gradient in gradients.items():
            p.grad = gradient


IMAGE_OPTIMISERS: dict[str, Callable[[list[dict[str, Any]], float, float], Optimizer]] = {
    "sgd": lambda groups, rate, momentum: SGD(groups, rate, momentum),
    "normalised": lambda groups, rate, momentum: NormalisedSGD(groups, rate, momentum),
    "adam": lambda groups, rate, momentum: Adam(groups, rate, betas=(momentum, 0.999)),
}
"""By `run.image_optimiser`: from parameter groups, the rate, and the momentum, which is Adam's first β."""


def optimiser_state(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What an optimiser keeps for some tensors, by the names of these."""
    return {
        f"{prefix}{name}": optimiser.state[tensor][key]
        for name, tensor in tensors.items()
        for key, prefix in IN_STATE.items()
        if optimiser.state[tensor].get(key) is not None
    }


def load_optimiser_state(optimiser: Optimizer, tensors: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Load the result of `optimiser_state`; what it lacks is forgotten."""
    for name, tensor in tensors.items():
        found = {key: state[f"{prefix}{name}"] for key, prefix in IN_STATE.items() if f"{prefix}{name}" in state}
        optimiser.state[tensor].clear()
        for key, value in found.items():  # torch keeps the number of steps on the CPU
            optimiser.state[tensor][key] = value.to("cpu" if key == "step" else tensor.device, copy=True)

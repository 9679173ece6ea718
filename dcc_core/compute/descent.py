"""A step of a network's optimiser, which a GPU replays where it is SGD."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dcc_core.compute.graphs import Graphs

SGD_OPTIONS = ("lr", "momentum", "weight_decay", "nesterov", "maximize", "fused")


def _at_once(work: Callable[[], None]) -> None:
    work()


def descend(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    optimiser: torch.optim.Optimizer,
    gather: Callable[[], functools.partial[None]],
    graphs: Graphs,
    within_memory: Callable[[Callable[[], None]], None] = _at_once,
) -> None:
    """One step of a network's optimiser; replayed if it is SGD on all weights.

    gather: gives a function that leaves the batch's gradient, with smaller parts if memory has run out since.
    """
    group, *others = optimiser.param_groups
    simple = type(optimiser) is torch.optim.SGD and not others and not group["dampening"]
    if not (simple and graphs.replay_on(images.device) and _same(group["params"], network.parameters())):

        def attempt() -> None:
            optimiser.zero_grad(set_to_none=True)
            gather()(network, images, labels)

        within_memory(attempt)
        optimiser.step()
        return
    states = [optimiser.state[p] for p in group["params"] if group["momentum"]]
    for state, p in zip(states, group["params"], strict=False):
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(p)

    def replay() -> None:
        own, options = gather(), tuple(group[o] for o in SGD_OPTIONS)
        work = functools.partial(_step_by_sgd, gather=own.func, options=options, **own.keywords)
        graphs.change(work, network, [state["momentum_buffer"] for state in states], images, labels)

    within_memory(replay)


def _same(own: Sequence[Tensor], others: Iterable[Tensor]) -> bool:
    return list(map(id, own)) == list(map(id, others))


def _step_by_sgd(
    network: nn.Module, *tensors: Tensor, gather: Callable[..., None], options: tuple[Any, ...], **how: Any
) -> None:
    """One step of SGD. tensors: each weight's momentum if there is any, images, labels."""
    *momenta, images, labels = tensors
    optimiser = torch.optim.SGD(network.parameters(), **dict(zip(SGD_OPTIONS, options, strict=True)))
    for p, momentum in zip(network.parameters(), momenta, strict=False):
        optimiser.state[p]["momentum_buffer"] = momentum
    optimiser.zero_grad(set_to_none=True)
    gather(network, images, labels, **how)
    optimiser.step()

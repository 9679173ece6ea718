"""A pool of early networks: matching on networks that have seen some real images, in place of untrained ones."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, final

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from dcc_core import (
    Part,
    Randomness,
    RealImages,
    RunContext,
    Schedule,
    State,
    Step,
    Synthetic,
    Total,
    send,
    train_on_real,
)
from dcc_plugins.around import Around

log = logging.getLogger("dcc")

Weights = list[dict[str, Tensor]]
_POOLS: weakref.WeakKeyDictionary[RealImages, dict[object, Weights]] = weakref.WeakKeyDictionary()
"""The pools of a job, by seed and options: its forecast and all its sets share one."""


@dataclass
class Pool(State):
    """The networks' states, one module that takes each in turn, and the state of the loss that matches on them."""

    networks: Weights
    module: nn.Module
    of: State

    def state_dict(self) -> dict[str, Tensor]:
        own = {f"network.{i}.{name}": t for i, state in enumerate(self.networks) for name, t in state.items()}
        return own | {f"of.{name}": t for name, t in self.of.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        for i, own in enumerate(self.networks):
            self.networks[i] = {name: state[f"network.{i}.{name}"] for name in own}
        self.of.load_state_dict({name.removeprefix("of."): t for name, t in state.items() if name.startswith("of.")})


@final
@dataclass(frozen=True, kw_only=True)
class Early(Around):
    """Any loss, on networks that are trained for a little on real images, once, before the first step.

    Every outer loop is one image update, on one network of the pool with its weights moved in a random direction: so
    few networks stand for many, and none is trained between updates. Source: Zhang et al., Accelerating Dataset
    Distillation via Model Augmentation, CVPR 2023.
    """

    networks: Annotated[int, "networks in the pool", Ge(1)] = 5
    epochs: Annotated[int, "epochs on all real images that each is trained for", Ge(0)] = 2
    images: Annotated[int, "images that each is shown at least, in more epochs where there are fewer", Ge(0)] = 0
    rate: Annotated[float, "learning rate of that training", Gt(0)] = 0.01
    noise: Annotated[float, "length of the move, by the weights' own, filter by filter; 0: none", Ge(0)] = 1.0

    def schedule(self, ipc: int) -> Schedule:
        """One image update per outer loop, no training between."""
        return Schedule(inner_loops=1, network_steps=0)

    def image_rate(self, ipc: int, outer_loops: int) -> float:
        """The loss's own for as many image updates."""
        return self.of.image_rate(ipc, max(1, outer_loops // self.of.schedule(ipc).inner_loops))

    def setup(self, run: RunContext, synthetic: Synthetic) -> Pool:
        pools = _POOLS.setdefault(run.real, {})
        epochs = max(self.epochs, round(self.images / len(run.real.labels)))
        key = (run.random.seed, self.networks, epochs, self.rate)
        if key not in pools:
            log.info(f"early trains a pool of {self.networks} networks on all real images, {epochs} epochs each")
            pools[key] = [
                self._train_network(run, epochs, Randomness(run.random.seed, ("early", i)))
                for i in range(self.networks)
            ]
        return Pool(list(pools[key]), run.build(run.random.generator("early")), self.of.setup(run, synthetic))

    def _train_network(self, run: RunContext, epochs: int, random: Randomness) -> dict[str, Tensor]:
        """The weights of a network of the pool."""
        module = run.build(random.generator("network"))
        for _ in train_on_real(run, module, epochs, random, rate=self.rate):
            pass
        return {name: t.detach().clone() for name, t in module.state_dict().items()}

    def terms(self, step: Step, state: Any) -> Iterator[Part | Total]:
        generator = step.generator("early")
        chosen = int(torch.randint(len(state.networks), (), generator=generator))
        state.module.load_state_dict(state.networks[chosen])
        move_weights(state.module, self.noise, generator)
        yield from self.of.terms(step.with_network(state.module), state.of)


@torch.no_grad()
def move_weights(network: nn.Module, length: float, generator: torch.Generator) -> None:
    """Add a random direction to a network's weights: of each filter `length` times as long as the filter itself.

    Vectors, such as biases, are one filter each.
    """
    for p in network.parameters():
        direction = send(torch.randn(p.shape, generator=generator), p.device, p.dtype)
        rows, own = (t.flatten(1) if t.ndim > 1 else t.unsqueeze(0) for t in (direction, p))
        lengths = own.norm(dim=1, keepdim=True) / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
        p.add_((length * lengths * rows).view_as(p))

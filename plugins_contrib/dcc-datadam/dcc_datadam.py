"""Attention matching. Source: Sajedi et al. 2023, "DataDAM: Efficient Dataset Distillation with Attention Matching"."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, final

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.nn import functional as F

from dcc_core import Batch, DccError, MatchingLoss, Part, Schedule, State, Step


@final
@dataclass(frozen=True, kw_only=True)
class AttentionMatching(MatchingLoss):
    """L = Σ_c Σ_l |mean a_l(X_c) − mean a_l(S_c)|² + λ |mean f(X_c) − mean f(S_c)|², under untrained networks.

    a_l: the attention map of layer l, f: the features before the head. Layers are the network's rectifiers that give
    maps, without the last one, whose part f plays.
    """

    weight: Annotated[float, "of the features, λ", Ge(0)] = 0.01
    power: Annotated[float, "of the activations in an attention map, p", Gt(0)] = 4.0

    def schedule(self, ipc: int) -> Schedule:
        return Schedule(inner_loops=1, network_steps=0)

    def image_rate(self, ipc: int, outer_loops: int) -> float:
        return 1.0

    def terms(self, step: Step, state: State) -> Iterator[Part]:
        for label in step.classes:
            with torch.no_grad():
                targets = self._means(step, step.augment(step.real(label), label))
            found = self._means(step, step.augment(step.synthetic.batch(label), label))
            distances = [(one - other).square().sum() for one, other in zip(found, targets, strict=True)]
            *attention, features = distances
            yield Part(torch.stack([*attention, self.weight * features]).sum())

    def _means(self, step: Step, batch: Batch) -> list[Tensor]:
        """The mean attention map (H·W,) of each layer, and the mean features (D,), of a batch."""
        parts: list[list[Tensor]] = []
        with watch_maps(step.network) as maps:
            for (images,) in step.run.chunks.split(batch.images):
                maps.clear()
                features = step.embed(images)
                if not maps:
                    raise DccError(
                        "datadam: the network has no rectifier (nn.ReLU) that gives maps; name another --arch"
                    )
                parts.append([*(attention_of(m, self.power) for m in maps[:-1]), features])
        return [torch.cat(of_one).mean(dim=0) for of_one in zip(*parts, strict=True)]


def attention_of(maps: Tensor, power: float) -> Tensor:
    """Attention maps (B, H·W) of activations (B, C, H, W): Σ_channels |activation|^p, each map of length 1."""
    return F.normalize(maps.abs().pow(power).sum(dim=1).flatten(1), dim=1)


@contextlib.contextmanager
def watch_maps(network: nn.Module) -> Iterator[list[Tensor]]:
    """A list to which each rectifier adds the maps (B, C, H, W) that it gives, in the order of the pass."""
    maps: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
        if output.ndim == 4:
            maps.append(output)

    hooks = [m.register_forward_hook(keep) for m in network.modules() if isinstance(m, nn.ReLU)]
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()

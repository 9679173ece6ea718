"""Scoring protocols: the exact way a set is scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from dcc_core.data import RealData


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """SGD from scratch for `epochs` epochs, and one test at the end.

    decay_after: index of the epoch after which the rate is multiplied by `decay` and the optimiser rebuilt,
    so that its momentum restarts. augmentation: the component, by name, and its options.
    """

    name: str
    version: int
    epochs: int
    decay_after: int
    rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 256
    decay: float = 0.1
    augmentation: str = "none"
    options: Mapping[str, Any] = field(default_factory=dict)

    def suited(self, data: RealData, network: nn.Module, architecture: str) -> Protocol:
        """The protocol's own exceptions for some data and networks.

        `dc` jitters MNIST, and ConvNets with BatchNorm, and then trains 1001 epochs.
        """
        if self.name != "dc":
            return self
        batch_norm = any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
        if architecture == "convnet" and batch_norm:
            strategy = ("crop", "noise")
        elif "mnist" in data.traits:
            strategy = ("crop", "scale", "rotate")
        else:
            return self
        return replace(self, epochs=1001, decay_after=501, augmentation="jitter", options={"strategy": strategy})


PROTOCOLS = {
    p.name: p
    for p in (
        Protocol(name="dc", version=1, epochs=301, decay_after=151),
        Protocol(name="dsa", version=1, epochs=1001, decay_after=501, augmentation="dsa"),
    )
}
"""Source: the evaluations of Zhao et al. 2021 and Zhao & Bilen 2021: `range(Epoch + 1)` epochs, the rate
lowered after epoch index Epoch // 2 + 1."""

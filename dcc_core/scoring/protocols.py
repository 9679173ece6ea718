"""Training protocols: the exact way in which a network is trained to score a set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import nn

from dcc_core.config import BUILTIN
from dcc_core.data import RealData
from dcc_core.engine import Augmentation
from dcc_core.plugins import Registry


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Training from scratch for `epochs` epochs, and one test at the end.

    decays: indices of the epochs after which the rate is multiplied by `decay`. restarts: whether the optimiser is
    then rebuilt, so that its momentum starts at zero. schedule: half-cosine: the rate goes down
    the first half of a cosine, to half of it, in place of `decays`.
    augmentation: the component, by name, and its options.
    """

    name: str
    version: int
    epochs: int
    decays: tuple[int, ...] = ()
    decay: float = 0.1
    restarts: bool = True
    rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 256
    optimiser: Literal["sgd", "adamw"] = "sgd"
    schedule: Literal["steps", "half-cosine"] = "steps"
    augmentation: str = "none"
    options: Mapping[str, Any] = field(default_factory=dict)

    def adapt(self, data: RealData, network: nn.Module, architecture: str) -> Protocol:
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
        return replace(self, epochs=1001, decays=(501,), augmentation="jitter", options={"strategy": strategy})

    def with_epochs(self, epochs: int | None) -> Protocol:
        """The same in another number of epochs, the rate lowered after the same shares of them; none: as it is."""
        if epochs is None:
            return self
        return replace(self, epochs=epochs, decays=tuple(d * epochs // self.epochs for d in self.decays))

    def resolve_augmentation(self, registry: Registry, data: RealData, name: str, own: Augmentation) -> Augmentation:
        """The protocol's augmentation as it suits the data; if it is the run's (`own`, by name), that one.

        A protocol that gives options of its own has those.
        """
        if self.augmentation == name and not self.options:
            return own
        cls = registry.find("augmentation", BUILTIN + self.augmentation).load()
        return cls(**self.options).adapt(data.traits)


PROTOCOLS = {
    p.name: p
    for p in (
        Protocol(name="dc", version=1, epochs=301, decays=(151,)),
        Protocol(name="dsa", version=1, epochs=1001, decays=(501,), augmentation="dsa"),
        Protocol(
            name="idc",
            version=1,
            epochs=1000,
            decays=(2 * 1000 // 3 - 1, 5 * 1000 // 6 - 1),  # the milestones are the first epochs at the lower rate
            decay=0.2,
            restarts=False,
            batch=64,
            augmentation="idc",
            options={"cutmix": 0.5, "beta": 1.0},  # whatever the run's: matching with `idc` goes without CutMix
        ),
        Protocol(
            name="distilled",
            version=1,
            epochs=300,
            optimiser="adamw",
            schedule="half-cosine",
            rate=0.001,
            weight_decay=0.01,
            batch=50,
            augmentation="crops",
            options={"cutmix": 1.0},  # matching with `crops` goes without CutMix
        ),
    )
}
"""Source: the evaluations of Zhao et al. 2021 and Zhao & Bilen 2021: `range(Epoch + 1)` epochs, the rate
lowered after epoch index Epoch // 2 + 1; and of Kim et al. 2022 (`idc`, small sets): torch's MultiStepLR, stepped
after every epoch, with milestones 2 * epochs // 3 and 5 * epochs // 6; and of Sun et al. 2024, RDED (`distilled`),
which shuffles the tiles of a composed image too, and takes batches of 10, 50 or 100 for an ipc of 1, 10 or 50."""

"""Something that builds an `nn.Module` as an architecture."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dcc_core import Architecture, DccError, seeded

NAMES = {
    "channels": ("channels", "in_channels", "in_chans"),
    "classes": ("classes", "num_classes", "n_classes"),
    "size": ("size", "image_size", "img_size"),
}
"""What a builder may ask for, and by which names of its parameters."""


class ModuleArchitecture(Architecture):
    """Networks that a callable builds.

    Of its parameters, those called `channels` (or `in_channels`, `in_chans`), `classes` (`num_classes`, `n_classes`)
    and `size` (`image_size`, `img_size`) get the data's; others have defaults. Its random numbers are torch's, seeded
    here.
    """

    def __init__(self, build: Callable[..., nn.Module]) -> None:
        self._build = build

    def build(self, *, channels: int, classes: int, size: tuple[int, int], generator: torch.Generator) -> nn.Module:
        known = {"channels": channels, "classes": classes, "size": size}
        try:
            parameters = inspect.signature(self._build).parameters
        except (TypeError, ValueError):
            parameters = {}
        how = {name: known[what] for what, names in NAMES.items() for name in names if name in parameters}
        variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        needed = [n for n, p in parameters.items() if p.default is p.empty and p.kind not in variable and n not in how]
        if needed:
            listed = ", ".join(name for names in NAMES.values() for name in names)
            raise DccError(f"arch: the builder needs {', '.join(needed)}; what it can be given is {listed}")
        with seeded(generator):
            network: Any = self._build(**how)
        if not isinstance(network, nn.Module):
            raise DccError(f"arch: the builder gives an nn.Module; it gave {type(network).__name__}")
        return network if hasattr(network, "embed") else WithFeatures(network)


class WithFeatures(nn.Module):
    """A network whose features are what its last linear layer receives."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)

    def embed(self, images: Tensor) -> Tensor:
        """Features (B, D). Raises DccError if the network has no linear layer."""
        received: list[Tensor] = []
        layers = [m for m in self.network.modules() if isinstance(m, nn.Linear)]
        handles = [m.register_forward_pre_hook(lambda _, inputs: received.append(inputs[0])) for m in layers]
        try:
            self.network(images)
        finally:
            for handle in handles:
                handle.remove()
        if not received:
            raise DccError("arch: the network has no nn.Linear; give it a method embed(images), its features (B, D)")
        return received[-1].flatten(1)

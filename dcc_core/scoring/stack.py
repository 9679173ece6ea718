"""Networks of one architecture trained as one, their weights stacked: many small steps in one large, for GPUs."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from dcc_core.compute import seeded, structure_of
from dcc_core.engine import batch_norm_layers


class Stack(nn.Module):
    """N networks as one, from images (N, B, C, H, W) to logits (N, B, K); its parameters are (N, *weight shape)."""

    not_read = ("_network",)

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self._network = [copy.deepcopy(networks[0])]  # in a list, so that its weights are none of the stack's
        self._structure = structure_of(networks[0]) or object()  # which is unknown
        stacked, constants = stack_module_state(list(networks))
        self._names, self._constants = list(stacked), list(constants)
        self.weights = nn.ParameterList(stacked.values())
        for i, constant in enumerate(constants.values()):
            self.register_buffer(f"constant{i}", constant)

    def forward(self, images: Tensor) -> Tensor:
        (network,) = self._network
        network.train(self.training)

        def logits(weights: dict[str, Tensor], constants: dict[str, Tensor], own: Tensor) -> Tensor:
            return functional_call(network, (weights, constants), (own,))

        constants = dict(zip(self._constants, self.buffers(), strict=True))
        return vmap(logits)(dict(zip(self._names, self.weights, strict=True)), constants, images)

    def networks(self) -> list[nn.Module]:
        """The networks as they stand."""
        (network,) = self._network
        copies = [copy.deepcopy(network) for _ in range(len(self.weights[0]))]
        with torch.no_grad():
            for i, one in enumerate(copies):
                for own, stacked in zip(
                    [*one.parameters(), *one.buffers()], [*self.weights, *self.buffers()], strict=True
                ):
                    own.copy_(stacked[i])
        return copies


def is_stackable(network: nn.Module, images: Tensor) -> bool:
    """Whether training gives a network the same in a stack: it keeps no statistics of batches and draws no numbers."""
    if batch_norm_layers(network):
        return False
    network.train()
    outputs = []
    with torch.no_grad():
        for seed in (0, 1):
            with seeded(torch.Generator().manual_seed(seed), images.device):
                outputs.append(network(images))
    return torch.equal(*outputs)

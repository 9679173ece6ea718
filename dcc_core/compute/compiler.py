"""Networks compiled for passes that are differentiated once: of real images, between image updates, and of scoring.

Matching differentiates twice, which torch cannot through a compiled function.
"""

from __future__ import annotations

import copy
import logging
import multiprocessing
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dcc_core.compute.graphs import NO_GRAPHS, Graphs
from dcc_core.config import RunOptions

log = logging.getLogger("dcc")

MIN_PASSES = 2000
"""Passes of one shape from which on they may be expected to make up for a compiler's minute."""


class CompiledNetwork(nn.Module):
    """A network's forward pass and derivative, compiled; its weights, and its value to rounding, are the network's.

    Networks of one architecture share what is compiled. If the compiler fails, or there is none, it says so once
    for its `compiler` and runs uncompiled.
    """

    not_read = ("_compiler", "_passes")

    def __init__(self, network: nn.Module, compiler: Compiler) -> None:
        super().__init__()
        self.network = network
        self._compiler = compiler
        passes = torch.compile(network, dynamic=False)
        self._passes = [passes]  # in a list, so that its weights are not named twice

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledNetwork:
        return CompiledNetwork(copy.deepcopy(self.network, memo), self._compiler)

    def forward(self, images: Tensor) -> Tensor:
        if self._compiler.failed:
            return self.network(images)
        from torch._dynamo.exc import TorchDynamoException  # imported with the compiler alone: it takes a second

        (passes,) = self._passes
        try:
            return passes(images)
        except TorchDynamoException as error:
            self._compiler.fail(error)
            return self.network(images)


@dataclass(eq=False)
class Compiler:
    """Compiles networks as `run.compile` says, and says once that it does.

    graphs: which replay passes, compiled or not, on a GPU. failed: whether it has, so that networks stay as they are.
    """

    wanted: Literal["auto", "on", "off"] = "off"
    graphs: Graphs = NO_GRAPHS
    failed: bool = field(default=False, init=False)
    said: bool = field(default=False, init=False)

    @classmethod
    def of(cls, run: RunOptions) -> Compiler:
        """As the options of a run say."""
        return cls(run.compile, Graphs(run.graphs))

    def __call__(self, network: nn.Module, device: torch.device, passes: int) -> nn.Module:
        """The network for a number of passes: compiled if asked for, or if it pays (`auto`: on a GPU).

        A worker process was forked and cannot start the compiler's own: there the network stays as it is.
        """
        pays = self.wanted == "on" or (self.wanted == "auto" and device.type == "cuda" and passes >= MIN_PASSES)
        if not pays or self.failed or multiprocessing.current_process().daemon:
            return network
        if not self.said:
            log.info("run.compile: passes of networks that are differentiated once are compiled")
            self.said = True
        return CompiledNetwork(network, self)

    def fail(self, error: Exception) -> None:
        """Say that the compiler has failed, and leave networks as they are from here on."""
        self.failed = True
        reason = " ".join(str(error).strip().splitlines()[:2]) or type(error).__name__
        log.warning(f"run.compile: the compiler failed, networks run as they are: {reason}")


OFF = Compiler()
"""Compiles nothing; it cannot fail, and so never changes."""

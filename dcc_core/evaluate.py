"""Scoring: networks trained from scratch on a small set, tested once on the real test images."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dcc_core.api import Augmentation, Batch
from dcc_core.chunks import Chunks
from dcc_core.criterion import cross_entropy
from dcc_core.protocols import Protocol
from dcc_core.rng import Randomness
from dcc_core.side_by_side import side_by_side
from dcc_core.stacked import Stack, stackable
from dcc_core.training import train_epoch, train_stack_epoch


@dataclass(frozen=True, kw_only=True)
class Score:
    """Test accuracies (0..1) of networks trained on one set: the last accuracy of each, never the best."""

    accuracies: tuple[float, ...]
    protocol: str
    version: int
    architecture: str
    seconds: float

    @property
    def mean(self) -> float:
        return statistics.fmean(self.accuracies)

    @property
    def std(self) -> float:
        """Spread over networks: the population's standard deviation."""
        return statistics.pstdev(self.accuracies)

    def as_dict(self) -> dict[str, Any]:
        """What a set file records: everything but the time."""
        return {
            "protocol": self.protocol,
            "version": self.version,
            "architecture": self.architecture,
            "accuracies": list(self.accuracies),
            "mean": self.mean,
            "std": self.std,
        }


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Everything that scoring needs beside the set: see `Scorer.score`.

    build: a fresh network from a generator. test: the real test images, normalised like the set. chunks: how many
    images of a batch the network sees at once.
    """

    protocol: Protocol
    augmentation: Augmentation
    build: Callable[[torch.Generator], nn.Module]
    architecture: str
    test: Batch
    chunks: Chunks
    num_classes: int
    random: Randomness

    def score(self, data: Batch, nets: int, watch: Callable[[int], None] | None = None) -> Score:
        """Train and test `nets` networks on a set (normalised, decoded); `watch` is told how many are done."""
        start = time.perf_counter()
        accuracies: dict[int, float] = {}
        for net, found in self._each(data, nets):
            accuracies[net] = found
            if watch:
                watch(len(accuracies))
        return Score(
            accuracies=tuple(accuracies[net] for net in range(nets)),
            protocol=self.protocol.name,
            version=self.protocol.version,
            architecture=self.architecture,
            seconds=time.perf_counter() - start,
        )

    def epoch(self, network: nn.Module, data: Batch, optimiser: torch.optim.Optimizer, random: Randomness) -> None:
        """One epoch of a scoring network's training."""
        train_epoch(network, data, optimiser, chunks=self.chunks, random=random, **self._how)

    def optimiser(self, network: nn.Module, rate: float) -> torch.optim.Optimizer:
        """The protocol's optimiser, without momentum yet."""
        p = self.protocol
        return torch.optim.SGD(
            network.parameters(), lr=rate, momentum=p.momentum, weight_decay=p.weight_decay, fused=True
        )

    @property
    def _how(self) -> dict[str, Any]:
        return {
            "batch_size": self.protocol.batch,
            "num_classes": self.num_classes,
            "criterion": cross_entropy,
            "augmentation": self.augmentation,
        }

    def _each(self, data: Batch, nets: int) -> Iterator[tuple[int, float]]:
        """The number and the accuracy of every network: several at a time, as suits the device."""
        if data.images.device.type == "cuda" and (size := self._stack_size(data)) > 1:
            for first in range(0, nets, size):
                numbers = range(first, min(first + size, nets))
                networks = self._trained_together(data, [self.random.at("net", net) for net in numbers])
                yield from ((net, self._accuracy(one)) for net, one in zip(numbers, networks, strict=True))
        else:
            alone = functools.partial(self._trained_and_tested, data)
            yield from side_by_side(alone, nets, data.images.device)

    def _stack_size(self, data: Batch) -> int:
        """How many networks fit into memory together; 1 where training together would change them."""
        trial = self.build(self.random.generator("trial"))
        fits = stackable(trial, data.images[:2])
        return self.chunks.images // min(len(data.images), self.protocol.batch) if fits else 1

    def _trained_and_tested(self, data: Batch, net: int) -> float:
        return self._accuracy(self._trained(data, self.random.at("net", net)))

    def _accuracy(self, network: nn.Module) -> float:
        return accuracy(network, self.test, self.chunks)

    def _trained(self, data: Batch, random: Randomness) -> nn.Module:
        network = self.build(random.generator("network"))
        self._train(network, lambda optimiser, e: self.epoch(network, data, optimiser, random.at("epoch", e)))
        return network

    def _trained_together(self, data: Batch, randoms: Sequence[Randomness]) -> list[nn.Module]:
        """The networks that `_trained` gives for each of the random numbers, to rounding."""
        stack = Stack([self.build(random.generator("network")) for random in randoms])
        self._train(
            stack,
            lambda optimiser, e: train_stack_epoch(
                stack, data, optimiser, randoms=[random.at("epoch", e) for random in randoms], **self._how
            ),
        )
        return stack.networks()

    def _train(self, network: nn.Module, epoch: Callable[[torch.optim.Optimizer, int], None]) -> None:
        """All epochs, by the protocol's rates."""
        rate = self.protocol.rate
        optimiser = self.optimiser(network, rate)
        for number in range(self.protocol.epochs):
            epoch(optimiser, number)
            if number == self.protocol.decay_after:
                rate *= self.protocol.decay
                optimiser = self.optimiser(network, rate)


def accuracy(network: nn.Module, test: Batch, chunks: Chunks) -> float:
    """Share of test images whose largest logit is their label's, in evaluation mode."""
    network.eval()
    with torch.no_grad():
        right = chunks.within_memory(
            lambda: sum((network(x).argmax(dim=1) == y).sum() for x, y in chunks.of(test.images, test.labels))
        )
    return int(right) / len(test.labels)

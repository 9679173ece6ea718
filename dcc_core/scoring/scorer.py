"""Scoring: networks trained from scratch on some images, tested once on the real test images."""

from __future__ import annotations

import functools
import io
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from dcc_core.compute import OFF, Chunks, Compiler, Randomness, Tempered, cross_entropy
from dcc_core.data import Batch
from dcc_core.engine import Augmentation, TrainingImages, train_epoch, train_stack_epoch
from dcc_core.group import ALONE, Group
from dcc_core.plugins import Score
from dcc_core.scoring.in_processes import run_in_processes
from dcc_core.scoring.protocols import Protocol
from dcc_core.scoring.stack import Stack, is_stackable

Watch = Callable[[int], None]


class _Outcome(NamedTuple):
    """A trained network's accuracy, the images it was shown, and its weights as a file if they are kept."""

    accuracy: float
    shown: int
    weights: bytes | None


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Everything that scoring needs beside the set: see `Scorer.score`.

    build: a fresh network from a generator. test: the real test images, normalised like the set. chunks: how many
    images of a batch the network sees at once. group: the processes that the networks are divided over. compiler: for
    their training. temperature: by which logits are divided, as a teacher's have been for soft labels. of_epoch: the
    images of an epoch with labels of its crops, and the random numbers that make these crops, in place of fresh ones.
    """

    protocol: Protocol
    augmentation: Augmentation
    build: Callable[[torch.Generator], nn.Module]
    architecture: str
    test: Batch
    chunks: Chunks
    num_classes: int
    random: Randomness
    group: Group = ALONE
    compiler: Compiler = OFF
    temperature: float = 1.0
    of_epoch: Callable[[int], tuple[Batch, Randomness]] | None = None

    def score(self, data: TrainingImages, nets: int, watch: Watch | None = None) -> Score:
        """Train and test `nets` networks on a set (normalised, decoded), or on real images.

        watch: called with the number of finished networks.
        """
        return self._score(data, nets, watch, kept=None)[0]

    def score_and_first(self, data: TrainingImages, nets: int, watch: Watch | None = None) -> tuple[Score, nn.Module]:
        """`score`, and the first of the networks, trained."""
        score, weights = self._score(data, nets, watch, kept=0)
        first = self.build(self.random.at("net", 0).generator("network"))
        first.load_state_dict(torch.load(io.BytesIO(weights[0]), weights_only=True))
        return score, first.eval()

    def _score(
        self, data: TrainingImages, nets: int, watch: Watch | None, kept: int | None
    ) -> tuple[Score, dict[int, bytes]]:
        """The score, and by its number the weights of the network that is to be kept."""
        start = time.perf_counter()
        own: dict[int, _Outcome] = {}
        for net, outcome in self._each(data, self.group.share(range(nets)), kept):
            own[net] = outcome
            if watch:
                watch(min(nets, len(own) * self.group.size))
        outcomes = {net: outcome for part in self.group.gather(own) for net, outcome in part.items()}
        score = Score(
            accuracies=tuple(outcomes[net].accuracy for net in range(nets)),
            protocol=self.protocol.name,
            version=self.protocol.version,
            architecture=self.architecture,
            seconds=time.perf_counter() - start,
            images_seen=sum(o.shown for o in outcomes.values()),
        )
        return score, {net: o.weights for net, o in outcomes.items() if o.weights is not None}

    def epoch(
        self, network: nn.Module, data: TrainingImages, optimiser: torch.optim.Optimizer, random: Randomness
    ) -> int:
        """One epoch of a scoring network's training. Returns the number of images it was shown."""
        return train_epoch(network, data, optimiser, chunks=self.chunks, random=random, **self._how)

    def stack_epoch(
        self, stack: nn.Module, data: TrainingImages, optimiser: torch.optim.Optimizer, randoms: Sequence[Randomness]
    ) -> int:
        """`epoch` of every network of a `Stack`. Returns the number of images that each was shown."""
        return train_stack_epoch(stack, data, optimiser, randoms=randoms, **self._how)

    def optimiser(self, network: nn.Module, rate: float) -> torch.optim.Optimizer:
        """The protocol's optimiser, without momentum yet."""
        p = self.protocol
        if p.optimiser == "adamw":
            return torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=p.weight_decay, fused=True)
        return torch.optim.SGD(
            network.parameters(), lr=rate, momentum=p.momentum, weight_decay=p.weight_decay, fused=True
        )

    @property
    def _how(self) -> dict[str, Any]:
        return {
            "batch_size": self.protocol.batch,
            "num_classes": self.num_classes,
            "criterion": Tempered(self.temperature) if self.temperature != 1 else cross_entropy,
            "augmentation": self.augmentation,
            "graphs": self.compiler.graphs,
        }

    def _each(self, data: TrainingImages, nets: Sequence[int], kept: int | None) -> Iterator[tuple[int, _Outcome]]:
        """The number and the outcome of some of the networks: several at a time, as suits the device."""
        if (size := self.stack_size(data)) > 1:
            for first in range(0, len(nets), size):
                numbers = nets[first : first + size]
                networks, shown = self._train_together(data, [self.random.at("net", net) for net in numbers])
                for net, one in zip(numbers, networks, strict=True):
                    yield net, self._outcome(one, shown, keep=net == kept)
        else:
            alone = functools.partial(self._train_and_test, data, kept)
            for place, outcome in run_in_processes(lambda i: alone(nets[i]), len(nets), data.device):
                yield nets[place], outcome

    def stack_size(self, data: TrainingImages) -> int:
        """How many networks train as one `Stack`: on a GPU; 1 if they train apart."""
        return self._stack_size(data) if data.device.type == "cuda" else 1

    def _stack_size(self, data: TrainingImages) -> int:
        """How many networks fit into memory together; 1 where training together would change them."""
        trial = self.build(self.random.generator("trial"))
        fits = is_stackable(trial, data.batch(torch.arange(min(2, len(data)))).images)
        return self.chunks.images // min(len(data), self.protocol.batch) if fits else 1

    def _train_and_test(self, data: TrainingImages, kept: int | None, net: int) -> _Outcome:
        network, shown = self._train_alone(data, self.random.at("net", net))
        return self._outcome(network, shown, keep=net == kept)

    def _outcome(self, network: nn.Module, shown: int, *, keep: bool) -> _Outcome:
        """As bytes and numbers alone, which can leave a worker process."""
        file = io.BytesIO()
        if keep:
            torch.save(network.state_dict(), file)
        return _Outcome(self._accuracy(network), shown, file.getvalue() if keep else None)

    def _accuracy(self, network: nn.Module) -> float:
        return measure_accuracy(network, self.test, self.chunks)

    def _train_alone(self, data: TrainingImages, random: Randomness) -> tuple[nn.Module, int]:
        """A trained network, and the number of images it was shown."""
        network = self.build(random.generator("network"))
        passes = self.compile(network, data)

        def epoch(optimiser: torch.optim.Optimizer, number: int) -> int:
            own, numbers = self.of_epoch(number) if self.of_epoch else (data, random.at("epoch", number))
            return self.epoch(passes, own, optimiser, numbers)

        return network, self._train(network, epoch)

    def _train_together(self, data: TrainingImages, randoms: Sequence[Randomness]) -> tuple[list[nn.Module], int]:
        """The networks that `_train_alone` gives for each of the random numbers, to rounding; images shown to each."""
        stack = Stack([self.build(random.generator("network")) for random in randoms])
        passes = self.compile(stack, data)

        def epoch(optimiser: torch.optim.Optimizer, number: int) -> int:
            if self.of_epoch:
                own, numbers = self.of_epoch(number)
                return self.stack_epoch(passes, own, optimiser, [numbers] * len(randoms))
            return self.stack_epoch(passes, data, optimiser, [random.at("epoch", number) for random in randoms])

        shown = self._train(stack, epoch)
        return stack.networks(), shown

    def compile(self, network: nn.Module, data: TrainingImages) -> nn.Module:
        """A network, or a stack, for all passes of its training, as `run.compile` says."""
        batches = math.ceil(len(data) / self.protocol.batch)
        return self.compiler(network, data.device, self.protocol.epochs * batches)

    def _train(self, network: nn.Module, epoch: Callable[[torch.optim.Optimizer, int], int]) -> int:
        """All epochs, by the protocol's rates. Returns the images shown, the sum of what `epoch` returns."""
        rate, shown = self.protocol.rate, 0
        optimiser = self.optimiser(network, rate)
        for number in range(self.protocol.epochs):
            if self.protocol.schedule == "half-cosine":
                optimiser.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * number / self.protocol.epochs / 2)) / 2
            shown += epoch(optimiser, number)
            for _ in range(self.protocol.decays.count(number)):
                rate *= self.protocol.decay
                if self.protocol.restarts:
                    optimiser = self.optimiser(network, rate)
                for group in optimiser.param_groups:
                    group["lr"] = rate
        return shown


def measure_accuracy(network: nn.Module, test: Batch, chunks: Chunks) -> float:
    """Share of test images whose largest logit is their label's, in evaluation mode."""
    network.eval()
    with torch.no_grad():
        right = chunks.within_memory(
            lambda: sum((network(x).argmax(dim=1) == y).sum() for x, y in chunks.split(test.images, test.labels))
        )
    return int(right) / len(test.labels)

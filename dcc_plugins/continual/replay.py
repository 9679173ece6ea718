"""Experience replay: each batch of the current stage is combined with one drawn from the memory.

Source: Chaudhry et al. 2019, "On tiny episodic memories in continual learning".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from dcc_core.compute import Randomness, in_precision, seeded
from dcc_core.data import Batch
from dcc_core.engine import apply_draws, batch_norm_layers, epoch_order, shuffled_batches
from dcc_core.errors import faults_of
from dcc_core.jobs import Job
from dcc_core.scoring import measure_accuracy
from dcc_plugins.continual.heads import HeadOf, Heads
from dcc_plugins.continual.options import ContinualOptions

Parts = list[tuple[int, Batch]]
"""Images of several stages: for each the stage's index, and images with the stage's own labels."""
Progress = Callable[[int, str], None]


class Memory:
    """Images of earlier stages, normalised, on the device, with their stages' own labels."""

    def __init__(self, stages: Mapping[int, Batch]) -> None:
        self._stages = dict(sorted(stages.items()))

    def __len__(self) -> int:
        return sum(len(batch) for batch in self._stages.values())

    def draw(self, n: int, generator: torch.Generator) -> Parts:
        """`n` different images from all stages; all images if there are fewer."""
        chosen = torch.randperm(len(self), generator=generator)[:n]
        parts, first = [], 0
        for stage, batch in self._stages.items():
            own = chosen[(chosen >= first) & (chosen < first + len(batch))] - first
            first += len(batch)
            if len(own):
                parts.append((stage, batch.batch(own.to(batch.device))))
        return parts


class Learner:
    """A network that learns stages one after another.

    stages: one job each, with data in the common size. random: determines the initial weights and the order of the
    images, so that learners with other memories see the same.
    """

    def __init__(self, stages: Sequence[Job], options: ContinualOptions, random: Randomness) -> None:
        self.heads = Heads(tuple(job.data.num_classes for job in stages), options.head == "single")
        self._stages = stages
        self._options = options
        self._random = random
        self.network = self._build()

    def learn(self, stage: int, memory: Memory, on_progress: Progress | None = None) -> None:
        """Train on a stage, and on the memory of earlier ones.

        on_progress: called with the number of finished batches and an empty text.
        """
        o, job = self._options, self._stages[stage]
        optimiser = torch.optim.SGD(
            self.network.parameters(), lr=o.rate, momentum=o.momentum, weight_decay=o.decay, fused=True
        )
        done = 0
        for epoch in range(o.epochs):
            random = self._epoch_randomness(stage, epoch)
            self.network.train()
            with seeded(random.generator("network"), job.device):
                for parts in self._batches(stage, memory, random):
                    self._step(parts, stage, optimiser)
                    done += 1
                    if on_progress:
                        on_progress(done, "")

    def batches(self, stage: int) -> int:
        """Batches of a stage, at most one per epoch too many: a single last image may join the batch before it."""
        return self._options.epochs * -(-len(self._stages[stage].real) // self._options.batch)

    def test(self, now: int) -> list[float]:
        """Accuracies (0..1) on the test images of every stage up to `now`."""
        accuracies = []
        for stage, job in enumerate(self._stages[: now + 1]):
            scorer = job.scorer(None)
            test = Batch(scorer.test.images, self.heads.labels(scorer.test.labels, stage, now))
            view = HeadOf(self.network, self.heads.columns(stage, now))
            accuracies.append(measure_accuracy(view, test, scorer.chunks))
        return accuracies

    def last_seen(self, stage: int, n: int) -> Tensor:
        """Indices of the images in per-class ring buffers after a stage has been learned, class by class.

        They are the last `n` training images of each class in the order of the batches; replay does not change them.
        """
        labels = self._stages[stage].data.train.labels
        order = epoch_order(len(labels), self._epoch_randomness(stage, self._options.epochs - 1))
        return torch.cat([order[labels[order] == k][-n:] for k in range(self.heads.classes[stage])])

    def _build(self) -> nn.Module:
        job = self._stages[0]
        channels, height, width = job.data.shape
        with faults_of(job.config.titles["arch"]):
            network = job.config.arch.build(
                channels=channels,
                classes=self.heads.total,
                size=(height, width),
                generator=self._random.generator("network"),
            )
        return in_precision(network, job.config.run, job.device)

    def _epoch_randomness(self, stage: int, epoch: int) -> Randomness:
        return self._random.at("stage", stage, "epoch", epoch)

    def _batches(self, stage: int, memory: Memory, random: Randomness) -> Iterator[Parts]:
        job = self._stages[stage]
        present = shuffled_batches(
            job.real,
            self._options.batch,
            num_classes=job.data.num_classes,
            augmentation=job.network_augmentation,
            random=random,
            join_last=bool(batch_norm_layers(self.network)),
        )
        for number, batch in enumerate(present):
            replayed = memory.draw(self._options.replay_batch, random.generator("replay", number))
            yield [(stage, batch), *((s, self._augment(s, b, random.at(number))) for s, b in replayed)]

    def _augment(self, stage: int, batch: Batch, random: Randomness) -> Batch:
        job = self._stages[stage]
        augmentation = job.network_augmentation
        draws = augmentation.draw(
            len(batch), job.data.shape, random.generator("augment-replayed", stage), per_batch=True
        )
        return apply_draws(augmentation, batch, dict(draws), torch.arange(len(batch)), job.data.num_classes)

    def _step(self, parts: Parts, now: int, optimiser: torch.optim.Optimizer) -> None:
        """One update by the mean loss of current and replayed images, in a single forward pass."""
        optimiser.zero_grad(set_to_none=True)
        logits = self.network(torch.cat([batch.images for _, batch in parts]))
        self.heads.loss(logits, [(stage, batch.labels) for stage, batch in parts], now).backward()
        optimiser.step()

"""Training a network on images that are already on the device."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from dcc_core.compute import Chunks, Criterion, Randomness, seeded
from dcc_core.data import Batch
from dcc_core.engine.augmentation import Augmentation, apply_draws
from dcc_core.engine.batch_statistics import batch_norm_layers


class TrainingImages(Protocol):
    """What networks are trained on: a `Batch`, or `RealImages`, which are normalised batch by batch."""

    def __len__(self) -> int: ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        ...

    @property
    def device(self) -> torch.device: ...

    def batch(self, indices: Tensor) -> Batch:
        """The images at these indices (int64), normalised, on the device, with their labels."""
        ...


def train_epoch(
    network: nn.Module,
    data: TrainingImages,
    optimiser: torch.optim.Optimizer,
    *,
    batch_size: int,
    chunks: Chunks,
    num_classes: int,
    criterion: Criterion,
    augmentation: Augmentation,
    random: Randomness,
    images: int | None = None,
) -> int:
    """One pass over the data in random order; draws of the augmentation per image, dropout from `random`.

    images: stop after this number, in that order. Returns the number of images that the network has seen.
    Networks without batch statistics see a batch in chunks. A last batch of a single image joins the one before it
    if the network has batch statistics to take.
    """
    network.train()
    whole = bool(batch_norm_layers(network))
    batches = shuffled_batches(
        data,
        batch_size,
        num_classes=num_classes,
        augmentation=augmentation,
        random=random,
        images=images,
        join_last=whole,
    )
    shown = 0
    with seeded(random.generator("network"), data.device):
        for batch in batches:
            work = functools.partial(_gather, network, batch, optimiser, criterion, None if whole else chunks)
            chunks.within_memory(work)
            optimiser.step()
            shown += len(batch)
    return shown


def train_stack_epoch(
    stack: nn.Module,
    data: TrainingImages,
    optimiser: torch.optim.Optimizer,
    *,
    batch_size: int,
    num_classes: int,
    criterion: Criterion,
    augmentation: Augmentation,
    randoms: Sequence[Randomness],
) -> int:
    """`train_epoch` for every network of a `Stack` at once, each with its own order and draws.

    Returns the number of images that each was shown.
    """
    stack.train()
    each = [
        shuffled_batches(data, batch_size, num_classes=num_classes, augmentation=augmentation, random=random)
        for random in randoms
    ]
    shown = 0
    for batches in zip(*each, strict=True):
        labels = torch.stack([b.labels for b in batches])
        optimiser.zero_grad(set_to_none=True)
        logits = stack(torch.stack([b.images for b in batches]))
        (criterion(logits.flatten(0, 1), labels.flatten(0, 1)).sum() / labels.shape[1]).backward()
        optimiser.step()
        shown += labels.shape[1]
    return shown


def shuffled_batches(
    data: TrainingImages,
    batch_size: int,
    *,
    num_classes: int,
    augmentation: Augmentation,
    random: Randomness,
    images: int | None = None,
    join_last: bool = False,
) -> Iterator[Batch]:
    """Augmented batches of the data in random order, of the first `images` in it if a number is given.

    join_last: a last single image joins the batch before it.
    """
    batches = list(epoch_order(len(data), random)[:images].split(batch_size))
    if join_last and len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    for number, chosen in enumerate(batches):
        draws = augmentation.draw(len(chosen), data.shape, random.generator("augment", number), per_batch=True)
        yield apply_draws(augmentation, data.batch(chosen), dict(draws), torch.arange(len(chosen)), num_classes)


def epoch_order(count: int, random: Randomness) -> Tensor:
    """The order (count,) in which an epoch's batches take `count` images: indices, int64."""
    return torch.randperm(count, generator=random.generator("order"))


def _gather(
    network: nn.Module, batch: Batch, optimiser: torch.optim.Optimizer, criterion: Criterion, chunks: Chunks | None
) -> None:
    """The gradient of the batch's mean loss, in chunks unless they are none."""
    optimiser.zero_grad(set_to_none=True)
    whole = [(batch.images, batch.labels)]
    for images, labels in chunks.split(batch.images, batch.labels) if chunks else whole:
        (criterion(network(images), labels).sum() / len(batch.labels)).backward()

"""Training a network on images that are already on the device."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from dcc_core.compute import NO_GRAPHS, Chunks, Criterion, Graphs, Randomness, descend, seeded
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
    graphs: Graphs = NO_GRAPHS,
) -> int:
    """One pass over the data in random order; draws of the augmentation per image, dropout from `random`.

    images: stop after this number, in that order. graphs: replay steps of SGD on a GPU. Returns the number of images
    that the network has seen.
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

    def gather() -> functools.partial[None]:
        return functools.partial(_gather, criterion=criterion, size=None if whole else chunks.images)

    with seeded(random.generator("network"), data.device):
        for batch in batches:
            descend(network, batch.images, batch.labels, optimiser, gather, graphs, chunks.within_memory)
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
    graphs: Graphs = NO_GRAPHS,
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
        together = torch.stack([b.images for b in batches]), torch.stack([b.labels for b in batches])
        gather = functools.partial(_gather_stack, criterion=criterion)
        descend(stack, *together, optimiser, lambda gather=gather: gather, graphs)
        shown += len(batches[0])
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


def _gather(network: nn.Module, images: Tensor, labels: Tensor, *, criterion: Criterion, size: int | None) -> None:
    """The gradient of the batch's mean loss, in chunks of a size unless it is none."""
    for x, y in zip(images.split(size or len(images)), labels.split(size or len(labels)), strict=True):
        (criterion(network(x), y).sum() / len(labels)).backward()


def _gather_stack(stack: nn.Module, images: Tensor, labels: Tensor, *, criterion: Criterion) -> None:
    """The gradient of every network's mean loss. images (N, B, C, H, W), labels (N, B) or (N, B, K)."""
    logits = stack(images)
    (criterion(logits.flatten(0, 1), labels.flatten(0, 1)).sum() / labels.shape[1]).backward()

"""Training a network on a small set that is already on the device."""

from __future__ import annotations

import functools

import torch
from torch import nn

from dcc_core.api import Augmentation, Batch
from dcc_core.batch_statistics import keepers
from dcc_core.chunks import Chunks
from dcc_core.criterion import Criterion
from dcc_core.rng import Randomness, seeded
from dcc_core.step import augmented


def train_epoch(
    network: nn.Module,
    data: Batch,
    optimiser: torch.optim.Optimizer,
    *,
    batch_size: int,
    chunks: Chunks,
    num_classes: int,
    criterion: Criterion,
    augmentation: Augmentation,
    random: Randomness,
) -> None:
    """One pass over the data in random order; draws of the augmentation per image, dropout from `random`.

    Networks without batch statistics see a batch in chunks.
    A last batch of a single image joins the one before it where the network has batch statistics to take.
    """
    network.train()
    n = len(data.images)
    shape = (data.images.shape[1], data.images.shape[2], data.images.shape[3])
    order = torch.randperm(n, generator=random.generator("order"))
    batches = list(order.split(batch_size))
    parts = None if keepers(network) else chunks
    if len(batches) > 1 and len(batches[-1]) == 1 and parts is None:
        batches[-2:] = [torch.cat(batches[-2:])]
    with seeded(random.generator("network"), data.images.device):
        for number, chosen in enumerate(batches):
            indices = chosen.to(data.images.device)
            batch = Batch(data.images[indices], data.labels[indices])
            draws = augmentation.draw(len(chosen), shape, random.generator("augment", number), per_batch=True)
            batch = augmented(augmentation, batch, dict(draws), torch.arange(len(chosen)), num_classes)
            chunks.within_memory(functools.partial(_gather, network, batch, optimiser, criterion, parts))
            optimiser.step()


def _gather(
    network: nn.Module, batch: Batch, optimiser: torch.optim.Optimizer, criterion: Criterion, chunks: Chunks | None
) -> None:
    """The gradient of the batch's mean loss, in chunks unless they are none."""
    optimiser.zero_grad(set_to_none=True)
    whole = [(batch.images, batch.labels)]
    for images, labels in chunks.of(batch.images, batch.labels) if chunks else whole:
        (criterion(network(images), labels).sum() / len(batch.labels)).backward()

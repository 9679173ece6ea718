"""Training a network on a small set that is already on the device."""

from __future__ import annotations

import torch
from torch import nn

from dcc_core.api import Augmentation, Batch
from dcc_core.batch_statistics import keepers
from dcc_core.criterion import Criterion
from dcc_core.rng import Randomness, seeded
from dcc_core.step import augmented


def train_epoch(
    network: nn.Module,
    data: Batch,
    optimiser: torch.optim.Optimizer,
    *,
    batch_size: int,
    num_classes: int,
    criterion: Criterion,
    augmentation: Augmentation,
    random: Randomness,
) -> None:
    """One pass over the data in random order; draws of the augmentation per image, dropout from `random`.

    A last batch of a single image joins the one before it where the network has batch statistics to take.
    """
    network.train()
    n = len(data.images)
    shape = (data.images.shape[1], data.images.shape[2], data.images.shape[3])
    order = torch.randperm(n, generator=random.generator("order"))
    batches = list(order.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1 and keepers(network):
        batches[-2:] = [torch.cat(batches[-2:])]
    with seeded(random.generator("network"), data.images.device):
        for number, chosen in enumerate(batches):
            indices = chosen.to(data.images.device)
            batch = Batch(data.images[indices], data.labels[indices])
            draws = augmentation.draw(len(chosen), shape, random.generator("augment", number), per_batch=True)
            batch = augmented(augmentation, batch, dict(draws), torch.arange(len(chosen)), num_classes)
            optimiser.zero_grad(set_to_none=True)
            criterion(network(batch.images), batch.labels).mean().backward()
            optimiser.step()

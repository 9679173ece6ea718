"""Networks and the whole real training set: for selections, and for losses that need trained networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from dcc_core.compute import Randomness, seeded
from dcc_core.engine import Augmentation, RunContext, apply_draws, batch_norm_layers


def train_on_real(
    run: RunContext,
    network: nn.Module,
    epochs: int,
    random: Randomness,
    *,
    rate: float = 0.01,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    batch_size: int = 256,
    augmentation: Augmentation | None = None,
    seen: Callable[[Tensor, Tensor], None] | None = None,
) -> Iterator[int]:
    """Train a network by SGD on all real training images; yields after every epoch.

    augmentation: drawn for every image. seen: called, before every update, with the indices of the images (B,) into the
    training part and their logits (B, K).
    """
    optimiser = torch.optim.SGD(network.parameters(), lr=rate, momentum=momentum, weight_decay=weight_decay, fused=True)
    for epoch in range(epochs):
        network.train()
        order = torch.randperm(len(run.real.labels), generator=random.generator("order", epoch))
        with seeded(random.generator("network", epoch), run.device):
            for number, indices in enumerate(order.split(batch_size)):
                batch = run.real.batch(indices)
                if augmentation:
                    generator = random.generator("augment", epoch, number)
                    draws = dict(augmentation.draw(len(indices), run.data.shape, generator, per_batch=True))
                    batch = apply_draws(augmentation, batch, draws, torch.arange(len(indices)), run.num_classes)
                at_once = len(indices) if batch_norm_layers(network) else run.chunks.images
                optimiser.zero_grad(set_to_none=True)
                for part in torch.arange(len(indices)).split(at_once):
                    logits = network(batch.images[part])
                    if seen:
                        seen(indices[part], logits.detach())
                    (run.criterion(logits, batch.labels[part]).sum() / len(indices)).backward()
                optimiser.step()
        yield epoch


def over_real(run: RunContext, work: Callable[[Tensor, Tensor], Tensor], indices: Tensor | None = None) -> Tensor:
    """`work(images, labels)` over real training images, all of them unless `indices` says which, in passes that fit.

    Results (B, ...) come on the CPU, in the order of the indices, without gradients.
    """
    indices = torch.arange(len(run.real.labels)) if indices is None else indices
    results = []
    with torch.no_grad():
        for part in indices.split(run.chunks.images):
            batch = run.real.batch(part)
            results.append(work(batch.images, batch.labels).cpu())
    return torch.cat(results)

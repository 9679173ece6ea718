"""The field's way of working, written plainly: what the speed benchmark compares with.

One class after another, gradients by a forward pass for each, a data loader that gathers sample by sample, one scoring
network after another. Shapes (N, C, H, W); images normalised. `tests/test_field_loop.py` binds it to that sequence.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

ImagesOf = Callable[[int], Tensor]
Augment = Callable[[Tensor, int], Tensor]


def convnet(channels: int, classes: int, side: int, width: int, depth: int) -> nn.Module:
    """The paper's network out of torch's layers."""
    blocks: list[nn.Module] = []
    for block in range(depth):
        blocks += [
            nn.Conv2d(width if block else channels, width, 3, padding=1),
            nn.GroupNorm(width, width),
            nn.ReLU(),
            nn.AvgPool2d(2),
        ]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(width * (side // 2**depth) ** 2, classes))


def distance(real: list[Tensor], synthetic: list[Tensor]) -> Tensor:
    """Over weights, the sum over output units of 1 - cosine."""
    total = torch.zeros((), device=real[0].device)
    for r, s in zip(real, synthetic, strict=True):
        if r.ndim > 1:
            r, s = r.reshape(r.shape[0], -1), s.reshape(s.shape[0], -1)
            norms = torch.norm(r, dim=-1) * torch.norm(s, dim=-1)
            total = total + torch.sum(1 - torch.sum(r * s, dim=-1) / (norms + 1e-6))
    return total


def class_gradients(
    network: nn.Module, images_of: ImagesOf, synthetic: Tensor, ipc: int, label: int, augment: Augment | None
) -> tuple[list[Tensor], list[Tensor]]:
    """The real and the synthetic gradient of one class."""
    parameters = list(network.parameters())
    real = images_of(label)
    own = synthetic[label * ipc : (label + 1) * ipc]
    if augment:
        real, own = augment(real, label), augment(own, label)
    loss = F.cross_entropy(network(real), torch.full((len(real),), label, device=real.device))
    real_gradient = [g.detach().clone() for g in torch.autograd.grad(loss, parameters)]
    loss = F.cross_entropy(network(own), torch.full((len(own),), label, device=own.device))
    return real_gradient, list(torch.autograd.grad(loss, parameters, create_graph=True))


def collective_step(
    network: nn.Module,
    images_of: ImagesOf,
    synthetic: Tensor,
    ipc: int,
    optimiser: torch.optim.Optimizer,
    augment: Augment | None = None,
) -> float:
    """One image update of the collective loss: gradients class by class, then the distance of their sums."""
    real = synthetic_sum = [torch.zeros_like(p) for p in network.parameters()]
    for label in range(len(synthetic) // ipc):
        r, s = class_gradients(network, images_of, synthetic, ipc, label, augment)
        real = [a + b for a, b in zip(real, r, strict=True)]
        synthetic_sum = [a + b for a, b in zip(synthetic_sum, s, strict=True)]
    loss = distance(real, synthetic_sum)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()


def class_wise_step(
    network: nn.Module,
    images_of: ImagesOf,
    synthetic: Tensor,
    ipc: int,
    optimiser: torch.optim.Optimizer,
    augment: Augment | None = None,
) -> float:
    """One image update of the class-wise loss: the distances of all classes, then one backward pass."""
    loss = torch.zeros((), device=synthetic.device)
    for label in range(len(synthetic) // ipc):
        loss = loss + distance(*class_gradients(network, images_of, synthetic, ipc, label, augment))
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()


def epoch(
    network: nn.Module,
    loader: DataLoader,
    optimiser: torch.optim.Optimizer | None,
    augment: Callable[[Tensor], Tensor] | None = None,
) -> float:
    """One pass over a data loader, training where there is an optimiser; returns the accuracy."""
    network.train(optimiser is not None)
    right = count = 0
    total = 0.0
    for images, labels in loader:
        if augment and optimiser:
            images = augment(images)
        logits = network(images)
        loss = F.cross_entropy(logits, labels)
        right += int(np.sum(np.equal(np.argmax(logits.detach().numpy(), axis=-1), labels.numpy())))
        total += loss.item() * len(labels)
        count += len(labels)
        if optimiser:
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return right / count


def loader(images: Tensor, labels: Tensor, *, shuffle: bool) -> DataLoader:
    """A data loader as the field makes it: batches of 256, gathered sample by sample."""
    return DataLoader(TensorDataset(images, labels), batch_size=256, shuffle=shuffle)


def score(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    test: DataLoader,
    epochs: int,
    decay_after: int,
    augment: Callable[[Tensor], Tensor] | None = None,
) -> float:
    """Train one network from scratch by the published evaluation, and test it."""
    training = loader(images, labels, shuffle=True)
    rate = 0.01
    optimiser = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
    for index in range(epochs):
        epoch(network, training, optimiser, augment)
        if index == decay_after:
            rate *= 0.1
            optimiser = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
    with torch.no_grad():
        return epoch(network, test, None)

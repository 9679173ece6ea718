"""Training criteria: the loss of each image, for hard and soft labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

Criterion = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy per image (B,) of logits (B, K) and labels (B,) int64 or (B, K) probabilities."""
    return F.cross_entropy(logits, labels, reduction="none")


@dataclass(frozen=True)
class Tempered:
    """Cross-entropy of logits divided by a temperature."""

    temperature: float

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(logits / self.temperature, labels)


def hinge(logits: Tensor, labels: Tensor) -> Tensor:
    """Hinge loss per image (B,): max(0, 1 - (z_y - max of the other logits)).

    For two classes with logits (-w.x / 2, w.x / 2) this is max(0, 1 - y w.x), section 3.2 of the paper.
    Soft labels weigh the classes' losses.
    """
    own = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    others = logits.unsqueeze(1).masked_fill(own, -torch.inf).amax(dim=2)
    losses = (1 - (logits - others)).clamp(min=0)
    if labels.is_floating_point():
        return (losses * labels).sum(dim=1)
    return losses.gather(1, labels.unsqueeze(1)).squeeze(1)


CRITERIA: dict[str, Criterion] = {"cross-entropy": cross_entropy, "hinge": hinge}

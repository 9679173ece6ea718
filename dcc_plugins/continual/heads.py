"""The logits of a network that count for each stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dcc_core.compute import cross_entropy


@dataclass(frozen=True)
class Heads:
    """The logits of a network over all classes of all stages, side by side in the order of the stages.

    classes: number per stage. single: all classes seen so far compete; otherwise an image's stage is known, and only
    its classes compete.
    """

    classes: tuple[int, ...]
    single: bool

    @property
    def total(self) -> int:
        """Number of classes of all stages: the width of the network's last layer."""
        return sum(self.classes)

    def columns(self, stage: int, now: int) -> slice:
        """The logits that count for an image of a stage, after the stages up to `now` have been seen."""
        ends = [0, *accumulate(self.classes)]
        return slice(0, ends[now + 1]) if self.single else slice(ends[stage], ends[stage + 1])

    def labels(self, labels: Tensor, stage: int, now: int) -> Tensor:
        """A stage's own labels, (B,) int64 or (B, K) probabilities, as labels for those columns."""
        if not self.single:
            return labels
        before, width = sum(self.classes[:stage]), self.columns(stage, now).stop
        if labels.is_floating_point():
            return F.pad(labels, (before, width - before - labels.shape[1]))
        return labels + before

    def loss(self, logits: Tensor, parts: Sequence[tuple[int, Tensor]], now: int) -> Tensor:
        """Mean cross-entropy (scalar) of images of several stages; their logits (B, total) are concatenated.

        parts: stage and own labels of each piece.
        """
        pieces = logits.split([len(labels) for _, labels in parts])
        losses = [
            cross_entropy(piece[:, self.columns(stage, now)], self.labels(labels, stage, now))
            for piece, (stage, labels) in zip(pieces, parts, strict=True)
        ]
        return torch.cat(losses).mean()


class HeadOf(nn.Module):
    """A network as one stage's classifier: it returns the logits of some columns."""

    def __init__(self, network: nn.Module, columns: slice) -> None:
        super().__init__()
        self.network = network
        self.columns = columns

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)[:, self.columns]

"""A stratified, seeded split of one set of images into training and test images."""

from __future__ import annotations

import torch
from torch import Tensor

from dcc_core import Randomness

TEST_SHARE = 0.2


def split(labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of training and test images: a fifth of each class for testing, at least one, but not a class's last."""
    random = Randomness(seed)
    test = []
    for label in labels.unique().tolist():
        own = torch.nonzero(labels == label).squeeze(1)
        order = torch.randperm(len(own), generator=random.generator("test", label))
        test.append(own[order[: min(max(1, round(TEST_SHARE * len(own))), len(own) - 1)]])
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[torch.cat(test)] = True
    return torch.nonzero(~chosen).squeeze(1), torch.nonzero(chosen).squeeze(1)

"""Augmentations: differentiable transforms of images, whose draws are kept apart from their application."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from dcc_core.data import Batch
from dcc_core.errors import ContractError


class Augmentation(ABC):
    """A differentiable transform of images, with its random draw kept apart from its application."""

    kind: ClassVar[str] = "augmentation"

    @property
    def mixes_labels(self) -> bool:
        """Whether `apply` needs and returns soft labels, as Mixup and CutMix do."""
        return False

    def adapt(self, traits: frozenset[str]) -> Augmentation:
        """This augmentation as it suits the data, e.g. without flips for `mirror-changes-class`."""
        return self

    @abstractmethod
    def draw(
        self, n: int, shape: tuple[int, int, int], generator: torch.Generator, *, per_batch: bool = False
    ) -> Mapping[str, Tensor]:
        """`n` draws for images of shape (C, H, W): tensors on the CPU, leading dimension n.

        The draws are independent. With `per_batch` they belong to one training batch: an augmentation that
        picks its operation once per batch picks one, and draws only its strength n times.
        """

    @abstractmethod
    def apply(
        self, images: Tensor, labels: Tensor, params: Mapping[str, Tensor], index: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Transform images (B, C, H, W); draw `index[b]` acts on image b. Differentiable in the images.

        index: (B,) int64 on the CPU. Where `mixes_labels`, labels come and go as (B, K) probabilities.
        """


def apply_draws(
    augmentation: Augmentation, batch: Batch, params: dict[str, Tensor], index: Tensor, num_classes: int
) -> Batch:
    """A batch under drawn parameters; labels become soft if the augmentation mixes them.

    Raises ContractError if the augmentation gives something of another shape.
    """
    labels = batch.labels
    if augmentation.mixes_labels and not labels.is_floating_point():
        labels = F.one_hot(labels, num_classes).to(batch.images.dtype)
    images, mixed = augmentation.apply(batch.images, labels, params, index)
    for what, before, after in (("images", batch.images, images), ("labels", labels, mixed)):
        if before.shape != after.shape:
            raise ContractError(
                f"{type(augmentation).__name__}.apply keeps the shape of {what}; "
                f"of {tuple(before.shape)} it made {tuple(after.shape)}"
            )
    return Batch(images, mixed)

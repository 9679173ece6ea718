"""The real images during a run: uint8 on the device, normalised when drawn."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from dcc_core.compute import send
from dcc_core.data.batch import Batch
from dcc_core.data.images import RealData
from dcc_core.errors import DccError


class Normalisation:
    """Between unit space (0..1) and normalised space (mean and std removed), per channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device, dtype: torch.dtype) -> None:
        self.mean = torch.tensor(mean, device=device, dtype=dtype).view(1, -1, 1, 1)
        self.std = torch.tensor(std, device=device, dtype=dtype).view(1, -1, 1, 1)

    def normalise(self, unit: Tensor) -> Tensor:
        """Images (N, C, H, W) of unit space in normalised space."""
        return (unit - self.mean) / self.std

    def to_unit(self, images: Tensor) -> Tensor:
        """Normalised images (N, C, H, W) in unit space; not clipped."""
        return images * self.std + self.mean

    def from_bytes(self, images: Tensor) -> Tensor:
        """uint8 images (N, C, H, W) in normalised space."""
        return images.to(self.mean.dtype).div_(255).sub_(self.mean).div_(self.std)


class RealImages:
    """The training part of a data set on a device, with the indices of every class."""

    def __init__(self, data: RealData, device: torch.device, dtype: torch.dtype) -> None:
        self.normalisation = Normalisation(data.mean, data.std, device, dtype)
        self.images = data.train.images.to(device)
        self.labels = data.train.labels.to(device)
        self.by_class = [torch.nonzero(data.train.labels == k).squeeze(1) for k in range(data.num_classes)]
        for name, indices in zip(data.class_names, self.by_class, strict=True):
            if not len(indices):
                raise DccError(f"class '{name}' of data '{data.name}' has no training images")

    def only(self, by_class: Sequence[Tensor]) -> RealImages:
        """These images, of which some alone are drawn: for each class the indices (N,) int64, on the CPU."""
        view = copy.copy(self)
        view.by_class = list(by_class)
        return view

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        _, c, h, w = self.images.shape
        return c, h, w

    @property
    def device(self) -> torch.device:
        return self.images.device

    def smallest_class(self) -> int:
        """The label of the class with the fewest images."""
        return min(range(len(self.by_class)), key=lambda k: len(self.by_class[k]))

    def draw(self, label: int, n: int, generator: torch.Generator) -> Batch:
        """`n` images of a class without replacement; all of them if the class is smaller."""
        return self.draw_classes([label], n, [generator])

    def draw_classes(self, labels: Sequence[int], n: int, generators: Iterable[torch.Generator]) -> Batch:
        """`draw` for several classes, class by class, in one transfer."""
        chosen = [
            own.numpy()[torch.randperm(len(own), generator=g)[:n].numpy()]
            for own, g in zip((self.by_class[label] for label in labels), generators, strict=True)
        ]
        return self.batch(torch.from_numpy(np.concatenate(chosen)))

    def batch(self, indices: Tensor) -> Batch:
        """The images at these indices (CPU, int64), normalised, with hard labels."""
        indices = send(indices, self.images.device)
        return Batch(self.normalisation.from_bytes(self.images[indices]), self.labels[indices])

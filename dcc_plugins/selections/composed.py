"""Images composed of crops: the most realistic ones of every class, several in each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, final

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor
from torch.nn import functional as F

from dcc_core import DccError, Rows, RunContext, Selection
from dcc_plugins.crops import draw_crops
from dcc_plugins.teachers import Teacher, WithTeacher
from dcc_plugins.warping import warp

SMALL = 64
"""Height or width in pixels up to which tiles of several crops would show too little."""


@final
@dataclass(frozen=True, kw_only=True)
class Composed(WithTeacher, Selection):
    """factor × factor random crops of real images in each image: those whose class the teacher sees most clearly.

    Of every candidate image a few crops are scored by the teacher's cross-entropy for their class. The best crop of
    each image comes before any second-best one, and among these the lowest cross-entropy first. Nothing is optimised.
    Small images hold one crop, as the authors' scripts have it for CIFAR and Tiny ImageNet.
    Source: Sun et al. 2024, "On the Diversity and Realism of Distilled Dataset" (RDED), whose code scores a crop within
    a border of zeros; here it is enlarged.
    """

    factor: Annotated[
        int | None, "crops along each side of an image; none: 2, and 1 for images of at most 64 pixels", Ge(1)
    ] = None
    crops: Annotated[int, "random crops of every candidate image", Ge(1)] = 5
    smallest: Annotated[float, "smallest share of the area in a crop; the largest is 1", Gt(0), Le(1)] = 0.08
    candidates: Annotated[int, "images of every class that crops are taken of, at most", Ge(1)] = 300

    def make(self, ipc: int, run: RunContext) -> Rows:
        teacher = self.find_teacher(run)
        images = torch.cat([self._compose(label, ipc, teacher, run) for label in range(run.num_classes)])
        labels = torch.arange(run.num_classes, device=run.device).repeat_interleave(ipc)
        return Rows(images=images, labels=labels)

    def count_crops(self, run: RunContext) -> int:
        """The crops that the teacher judges, of all classes."""
        return sum(min(self.candidates, len(own)) * self.crops for own in run.real.by_class)

    def _compose(self, label: int, ipc: int, teacher: Teacher, run: RunContext) -> Tensor:
        """The images (ipc, C, H, W) of a class, in unit space."""
        random, own = run.random.at("selection", label), run.real.by_class[label]
        own = own[torch.randperm(len(own), generator=random.generator("candidates"))[: self.candidates]]
        factor = self.factor or (2 if max(run.data.shape[1:]) > SMALL else 1)
        wanted = ipc * factor**2
        if wanted > len(own) * self.crops:
            raise DccError(
                f"selection.crops: {ipc} images of class '{run.data.class_names[label]}' take {wanted} crops; there "
                f"are {self.crops} of each of {len(own)} images; raise crops or candidates, or lower factor"
            )
        indices = own.repeat_interleave(self.crops)
        matrices = draw_crops(len(indices), self.smallest, random.generator("crops"), square=True)
        losses = torch.cat(
            [
                self._losses(crops_of(run, *part), label, teacher, run)
                for part in zip(indices.split(teacher.at_once), matrices.split(teacher.at_once), strict=True)
            ]
        )
        chosen = order_of_crops(losses.view(-1, self.crops))[:wanted]
        sizes = [[len(part) for part in torch.arange(side).tensor_split(factor)] for side in run.data.shape[1:]]
        rows = chosen.view(-1, ipc).T  # each image has one of the best crops, one of the next best, and so on
        return torch.cat([self._tile(run, indices[part], matrices[part], sizes) for part in rows])

    def _losses(self, crops: Tensor, label: int, teacher: Teacher, run: RunContext) -> Tensor:
        logits = teacher.logits(run.real.normalisation.normalise(crops))
        return F.cross_entropy(logits, torch.full((len(crops),), label, device=run.device), reduction="none").cpu()

    def _tile(self, run: RunContext, indices: Tensor, matrices: Tensor, sizes: list[list[int]]) -> Tensor:
        """One image (1, C, H, W) of factor × factor crops, row by row, each shrunk smoothly to its tile."""
        crops, (heights, widths) = crops_of(run, indices, matrices), sizes
        rows = [
            torch.cat([_shrink(crops[i * len(widths) + j], h, w) for j, w in enumerate(widths)], dim=2)
            for i, h in enumerate(heights)
        ]
        return torch.cat(rows, dim=1).unsqueeze(0)


def crops_of(run: RunContext, indices: Tensor, matrices: Tensor) -> Tensor:
    """Crops (n, C, H, W) of training images, in unit space, enlarged to the whole."""
    images = run.real.images[indices.to(run.device)].to(run.dtype) / 255
    return warp(images, matrices.to(run.device, run.dtype))


def order_of_crops(losses: Tensor) -> Tensor:
    """The order in which crops are taken, of losses (images, crops): places in the flattened losses.

    Every image's best crop comes before any second-best one, and so on; within such a round, low losses first.
    """
    ranks = losses.argsort(dim=1, stable=True).argsort(dim=1).flatten()
    by_loss = losses.flatten().argsort(stable=True)
    return by_loss[ranks[by_loss].argsort(stable=True)]


def _shrink(image: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(image.unsqueeze(0), size=(height, width), mode="bilinear", antialias=True)[0]

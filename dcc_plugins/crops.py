"""Random crops, enlarged to the size of the whole, and CutMix: the augmentation of the `distilled` protocol."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, final

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from dcc_core import Augmentation, DccError, RealData, send
from dcc_plugins.cutmix import check_whole_batch, draw_box, paste_boxes
from dcc_plugins.warping import warp

Shape = tuple[int, int, int]
Params = Mapping[str, Tensor]

log = logging.getLogger("dcc")


@final
@dataclass(frozen=True, kw_only=True)
class Crops(Augmentation):
    """A random crop of every image, enlarged bilinearly to the image's size, perhaps mirrored; then CutMix.

    A crop has a share of the area from `smallest` to 1 and sides in a ratio from 3/4 to 4/3, cut off at the image's
    own. CutMix needs a training batch, as `idc`'s does. Source: `RandomResizedCrop` of torchvision (Szegedy et al.
    2015), with the smallest share of RDED (Sun et al. 2024) for 2×2 tiles; Yun et al. 2019 (CutMix).
    Raises DccError where CutMix is asked for without a training batch.
    """

    smallest: Annotated[float, "smallest share of the image's area in a crop", Gt(0), Le(1)] = 0.5
    flip: Annotated[float, "probability of a flip", Ge(0), Le(1)] = 0.5
    cutmix: Annotated[float, "probability that a batch is mixed; 0 for matching", Ge(0), Le(1)] = 0.0
    beta: Annotated[float, "both parameters of the Beta distribution of the kept share of the area", Gt(0)] = 1.0
    labels: Annotated[bool, "whether CutMix shares labels by area; false: they are of the mixed images"] = True

    @property
    def mixes_labels(self) -> bool:
        return self.cutmix > 0 and self.labels

    def adapt(self, traits: frozenset[str]) -> Crops:
        if "mirror-changes-class" not in traits or self.flip == 0:
            return self
        log.info("crops leaves out flips: mirroring changes the class of these images")
        return replace(self, flip=0.0)

    def draw(self, n: int, shape: Shape, generator: torch.Generator, *, per_batch: bool = False) -> Params:
        if self.cutmix and not per_batch:
            raise DccError(
                "aug: crops mixes the images of a training batch (CutMix), and matching gives every class a draw of "
                "its own; condense with aug.cutmix=0"
            )
        params = {"matrix": draw_crops(n, self.smallest, generator, self.flip)}
        if self.cutmix:
            params["box"] = draw_box(shape, generator, self.cutmix, self.beta).expand(n, 4)
            params["partner"] = torch.randperm(n, generator=generator)
        return params

    def apply(self, images: Tensor, labels: Tensor, params: Params, index: Tensor) -> tuple[Tensor, Tensor]:
        images = warp(images, send(params["matrix"][index], images.device, images.dtype))
        if not self.cutmix:
            return images, labels
        check_whole_batch("crops", params["partner"], index)
        mixed, shared = paste_boxes(images, labels, params["box"][0], params["partner"])
        return mixed, shared if self.labels else labels


def flips(data: RealData) -> float:
    """The probability of a flip that suits data: none where mirroring changes the class."""
    return 0.0 if "mirror-changes-class" in data.traits else 0.5


def draw_crops(
    n: int, smallest: float, generator: torch.Generator, flip: float = 0.0, *, square: bool = False
) -> Tensor:
    """Matrices (n, 2, 3) float64 that enlarge n random crops to the whole, as `warp` takes them.

    square: whether crops have the image's own ratio of sides.
    """
    share, ratio, x, y, mirrored = torch.rand(5, n, generator=generator, dtype=torch.float64)
    area = smallest + (1 - smallest) * share
    stretch = ((2 * ratio - 1) * (0 if square else math.log(4 / 3))).exp()
    sides = [(area * stretch).sqrt().clamp(max=1), (area / stretch).sqrt().clamp(max=1)]
    matrices = torch.zeros(n, 2, 3, dtype=torch.float64)
    for axis, (side, place) in enumerate(zip(sides, (x, y), strict=True)):
        matrices[:, axis, axis] = side
        matrices[:, axis, 2] = (2 * place - 1) * (1 - side)
    matrices[:, 0, 0] *= torch.where(mirrored < flip, -1.0, 1.0)
    return matrices

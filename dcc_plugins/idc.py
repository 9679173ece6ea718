"""The augmentation of the `idc` scoring protocol: flips, colour, one operation per batch, and CutMix."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal, final

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from dcc_core import DccError
from dcc_plugins.cutmix import check_whole_batch, draw_box, paste_boxes
from dcc_plugins.dsa import DSA, Strengths

Shape = tuple[int, int, int]
Params = Mapping[str, Tensor]
IDCOperation = Literal["crop", "scale", "rotate"]

log = logging.getLogger("dcc")


@final
@dataclass(frozen=True, kw_only=True)
class IDC(Strengths):
    """Flips and colour always, one operation out of `strategy` per draw, then CutMix; on normalised images.

    Strengths are DSA's. In a training batch the operation is the batch's, strengths are each image's. With probability
    `cutmix` the batch is mixed: a box, the same for all images, comes from a partner in the batch, and labels are
    shared by area. There is no cutout, which CutMix stands for. Flips are left out where mirroring changes the class.
    Raises DccError where CutMix is asked for without a training batch, as Siamese matching does: `cutmix=0` allows it.
    Source: Kim et al. 2022; Yun et al. 2019 (CutMix).
    """

    strategy: Annotated[tuple[IDCOperation, ...], "operations to draw from, beside flips and colour"] = (
        "crop",
        "scale",
        "rotate",
    )
    cutmix: Annotated[float, "probability that a batch is mixed", Ge(0), Le(1)] = 0.5
    beta: Annotated[float, "both parameters of the Beta distribution of the kept share of the area", Gt(0)] = 1.0

    def __post_init__(self) -> None:
        if not self.strategy:
            raise ValueError("strategy is empty; it holds one or more of crop, scale, rotate")

    @property
    def mixes_labels(self) -> bool:
        return self.cutmix > 0

    def adapt(self, traits: frozenset[str]) -> IDC:
        if "mirror-changes-class" not in traits or self.flip == 0:
            return self
        log.info("idc leaves out flip: mirroring changes the class of these images")
        return replace(self, flip=0.0)

    def draw(self, n: int, shape: Shape, generator: torch.Generator, *, per_batch: bool = False) -> Params:
        params = self._dsa.draw(n, shape, generator, per_batch=per_batch)
        if not self.mixes_labels:
            return params
        if not per_batch:
            raise DccError(
                "aug: idc mixes the images of a training batch (CutMix), and matching gives every class a draw of its "
                "own; condense with aug.cutmix=0, or with --aug dsa; -o run.network_aug=idc mixes in the training of "
                "networks between image updates alone"
            )
        box = draw_box(shape, generator, self.cutmix, self.beta)
        return {**params, "box": box.expand(n, 4), "partner": torch.randperm(n, generator=generator)}

    def apply(self, images: Tensor, labels: Tensor, params: Params, index: Tensor) -> tuple[Tensor, Tensor]:
        own = {name: p for name, p in params.items() if name not in ("box", "partner")}
        for operation in ("flip", "color"):
            always = replace(self._dsa, strategy=(operation,))
            images, _ = always.apply(images, labels, {**own, "operation": torch.zeros_like(own["operation"])}, index)
        images, _ = self._dsa.apply(images, labels, own, index)
        if not self.mixes_labels:
            return images, labels
        check_whole_batch("idc", params["partner"], index)
        return paste_boxes(images, labels, params["box"][0], params["partner"])

    @property
    def _dsa(self) -> DSA:
        """The operations by themselves."""
        return DSA(strategy=self.strategy, **{f.name: getattr(self, f.name) for f in fields(Strengths)})

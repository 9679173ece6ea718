"""Augmentations: none, and the jitter of the `dc` scoring protocol.

Every draw of the jitter holds the strengths of all operations; `operation` says which one acts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, final

import torch
from annotated_types import Ge, Gt, Le
from kornia.geometry.transform import rotate, scale, translate
from torch import Tensor

from dcc_core import Augmentation

Shape = tuple[int, int, int]
Params = Mapping[str, Tensor]
Action = tuple[tuple[str, ...], Callable[[Tensor, Params], Tensor]]
"""Names of parameters, and an operation on images (B, C, H, W) that gets them with a row for each image."""


@final
@dataclass(frozen=True, kw_only=True)
class NoAugmentation(Augmentation):
    """Images as they are."""

    def draw(self, n: int, shape: Shape, generator: torch.Generator, *, per_batch: bool = False) -> Params:
        return {}

    def apply(self, images: Tensor, labels: Tensor, params: Params, index: Tensor) -> tuple[Tensor, Tensor]:
        return images, labels


JitterOperation = Literal["crop", "scale", "rotate", "noise"]


@final
@dataclass(frozen=True, kw_only=True)
class Jitter(Augmentation):
    """The mild augmentation of the `dc` protocol: one operation per image, the border filled with the mean.

    The mean is that of the batch, per channel. In training batches too every image has its own operation.
    Source: the evaluation of Zhao et al. 2021 on MNIST (crop, scale, rotate) and for BatchNorm networks (crop,
    noise).
    """

    strategy: Annotated[tuple[JitterOperation, ...], "operations to draw from"] = ("crop", "scale", "rotate")
    crop: Annotated[int, "largest shift, in pixels", Ge(0)] = 4
    scale: Annotated[float, "largest relative change of the size", Ge(0), Le(0.9)] = 0.2
    rotate: Annotated[float, "largest angle, in degrees", Ge(0), Le(180)] = 45.0
    noise: Annotated[float, "standard deviation of the noise", Gt(0)] = 0.001

    def __post_init__(self) -> None:
        if not self.strategy:
            raise ValueError("strategy is empty; for no augmentation write --aug none")

    def draw(self, n: int, shape: Shape, generator: torch.Generator, *, per_batch: bool = False) -> Params:
        factor = 1 + (_uniform(generator, n) * 2 - 1) * self.scale
        params = {
            "operation": torch.randint(len(self.strategy), (n,), generator=generator),
            "shift": _shifts(generator, n, self.crop, self.crop),
            "scale": torch.stack([factor, factor], dim=1),
            "rotate": (_uniform(generator, n) - 0.5) * 2 * self.rotate,
        }
        if "noise" in self.strategy:
            noise = torch.randn((n, *shape), generator=generator, dtype=torch.float64)
            params["noise"] = noise * self.noise
        return params

    def apply(self, images: Tensor, labels: Tensor, params: Params, index: Tensor) -> tuple[Tensor, Tensor]:
        mean = images.mean(dim=(0, 2, 3), keepdim=True)
        actions: dict[str, Action] = {
            "crop": (("shift",), lambda x, p: translate(x - mean, p["shift"], align_corners=False) + mean),
            "scale": (("scale",), lambda x, p: scale(x - mean, p["scale"], align_corners=False) + mean),
            "rotate": (("rotate",), lambda x, p: rotate(x - mean, p["rotate"], align_corners=False) + mean),
            "noise": (("noise",), lambda x, p: x + p["noise"]),
        }
        return _by_operation(images, params, index, [actions[o] for o in self.strategy]), labels


def _by_operation(images: Tensor, params: Params, index: Tensor, actions: Sequence[Action]) -> Tensor:
    """Each image under the operation of its draw: one call per operation, in the images' type and device.

    An operation gets its own parameters alone: every one that it gets is selected and sent to the device.
    """
    operation = params["operation"][index]
    result = images
    for number in operation.unique().tolist():
        names, action = actions[number]
        chosen = torch.nonzero(operation == number).squeeze(1)
        draws = index[chosen]
        own = {name: _like(params[name][draws], images) for name in names}
        if len(chosen) == len(images):
            return action(images, own)
        rows = chosen.to(images.device)
        result = result.index_copy(0, rows, action(images[rows], own))
    return result


def _like(param: Tensor, images: Tensor) -> Tensor:
    return param.to(images.device, images.dtype if param.is_floating_point() else None)


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def _shifts(generator: torch.Generator, n: int, x: int, y: int) -> Tensor:
    """Whole pixels (n, 2) in x and y, uniform between plus and minus the bounds."""
    steps = [torch.randint(-bound, bound + 1, (n,), generator=generator) for bound in (x, y)]
    return torch.stack(steps, dim=1).double()

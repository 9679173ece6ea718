"""Augmentations: none, DSA, and the jitter of the `dc` scoring protocol.

Draws are kept apart from their application, so that one draw serves the real and the synthetic images of a
class. Every draw holds the strengths of all operations; `operation` says which one acts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal, final

import torch
from annotated_types import Ge, Gt, Le
from kornia.enhance import adjust_brightness, adjust_contrast
from kornia.geometry.transform import hflip, rotate, scale, translate
from torch import Tensor

from dcc_core import Augmentation, DccError

Shape = tuple[int, int, int]
Params = Mapping[str, Tensor]
Action = tuple[tuple[str, ...], Callable[[Tensor, Params], Tensor]]
"""Names of parameters, and an operation on images (B, C, H, W) that gets them with a row for each image."""

log = logging.getLogger("dcc")


@final
@dataclass(frozen=True, kw_only=True)
class NoAugmentation(Augmentation):
    """Images as they are."""

    def draw(self, n: int, shape: Shape, generator: torch.Generator, *, per_batch: bool = False) -> Params:
        return {}

    def apply(self, images: Tensor, labels: Tensor, params: Params, index: Tensor) -> tuple[Tensor, Tensor]:
        return images, labels


DSAOperation = Literal["color", "crop", "cutout", "flip", "scale", "rotate"]


@final
@dataclass(frozen=True, kw_only=True)
class DSA(Augmentation):
    """Differentiable Siamese augmentation: one operation out of `strategy` per draw, on normalised images.

    `flip` is left out where mirroring changes the class. Source: Zhao & Bilen 2021.
    """

    strategy: Annotated[tuple[DSAOperation, ...], "operations to draw from"] = (
        "color",
        "crop",
        "cutout",
        "flip",
        "scale",
        "rotate",
    )
    flip: Annotated[float, "probability of a flip", Ge(0), Le(1)] = 0.5
    scale: Annotated[float, "largest factor, in x and y independently; the smallest is its inverse", Ge(1)] = 1.2
    rotate: Annotated[float, "largest angle, in degrees", Ge(0), Le(180)] = 15.0
    crop: Annotated[float, "largest shift, as a share of the side", Ge(0), Le(1)] = 0.125
    cutout: Annotated[float, "side of the blanked square, as a share of the image's", Ge(0), Le(1)] = 0.5
    brightness: Annotated[float, "width of the range of what is added", Ge(0)] = 1.0
    saturation: Annotated[float, "largest factor around the channels' mean", Ge(0)] = 2.0
    contrast: Annotated[float, "smallest factor around the image's mean; the largest is 1 more", Ge(0)] = 0.5

    def __post_init__(self) -> None:
        if not self.strategy:
            raise ValueError("strategy is empty; for no augmentation write --aug none")

    def adapt(self, traits: frozenset[str]) -> DSA:
        if "mirror-changes-class" not in traits or "flip" not in self.strategy:
            return self
        kept = tuple(o for o in self.strategy if o != "flip")
        if not kept:
            raise DccError("aug.strategy holds only 'flip', and mirroring changes the class of these images")
        log.info("dsa leaves out flip: mirroring changes the class of these images")
        return replace(self, strategy=kept)

    def draw(self, n: int, shape: Shape, generator: torch.Generator, *, per_batch: bool = False) -> Params:
        _, height, width = shape
        ratio = 1 / self.scale
        return {
            "operation": _operations(n, len(self.strategy), generator, per_batch=per_batch),
            "brightness": (_uniform(generator, n) - 0.5) * self.brightness,
            "saturation": _uniform(generator, n) * self.saturation,
            "contrast": _uniform(generator, n) + self.contrast,
            "shift": _shifts(generator, n, round(self.crop * width), round(self.crop * height)),
            "cutout": _corners(generator, n, self._blank(height), self._blank(width), height, width),
            "flip": _uniform(generator, n) < self.flip,
            "scale": _uniform(generator, n, 2) * (self.scale - ratio) + ratio,
            "rotate": (_uniform(generator, n) - 0.5) * 2 * self.rotate,
        }

    def apply(self, images: Tensor, labels: Tensor, params: Params, index: Tensor) -> tuple[Tensor, Tensor]:
        actions: dict[str, Action] = {
            "color": (("brightness", "saturation", "contrast"), self._color),
            "crop": (("shift",), lambda x, p: translate(x, p["shift"], align_corners=False)),
            "cutout": (("cutout",), self._cutout),
            "flip": (("flip",), lambda x, p: torch.where(_column(p["flip"]), hflip(x), x)),
            "scale": (("scale",), lambda x, p: scale(x, 1 / p["scale"], align_corners=False)),
            "rotate": (("rotate",), lambda x, p: rotate(x, p["rotate"], align_corners=False)),
        }
        return _by_operation(images, params, index, [actions[o] for o in self.strategy]), labels

    def _blank(self, side: int) -> int:
        return int(side * self.cutout + 0.5)

    def _color(self, x: Tensor, p: Params) -> Tensor:
        x = adjust_brightness(x, p["brightness"], clip_output=False)
        x = _around(x, x.mean(dim=1, keepdim=True), p["saturation"])
        return _around(x, x.mean(dim=(1, 2, 3), keepdim=True), p["contrast"])

    def _cutout(self, x: Tensor, p: Params) -> Tensor:
        height, width = x.shape[-2:]
        rows = _inside(p["cutout"][:, 0], self._blank(height), height)
        columns = _inside(p["cutout"][:, 1], self._blank(width), width)
        return x.masked_fill((rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1), 0)


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
            "operation": _operations(n, len(self.strategy), generator, per_batch=False),
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


def _operations(n: int, count: int, generator: torch.Generator, *, per_batch: bool) -> Tensor:
    if per_batch:
        return torch.randint(count, (1,), generator=generator).expand(n)
    return torch.randint(count, (n,), generator=generator)


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def _shifts(generator: torch.Generator, n: int, x: int, y: int) -> Tensor:
    """Whole pixels (n, 2) in x and y, uniform between plus and minus the bounds."""
    steps = [torch.randint(-bound, bound + 1, (n,), generator=generator) for bound in (x, y)]
    return torch.stack(steps, dim=1).double()


def _corners(generator: torch.Generator, n: int, blank_h: int, blank_w: int, height: int, width: int) -> Tensor:
    """Top-left corners (n, 2) of blanked rectangles whose centres are uniform over the image."""
    sides = ((blank_h, height), (blank_w, width))
    starts = [torch.randint(s + 1 - b % 2, (n,), generator=generator) - b // 2 for b, s in sides]
    return torch.stack(starts, dim=1)


def _inside(start: Tensor, length: int, side: int) -> Tensor:
    """(B, side) true where start <= position < start + length."""
    position = torch.arange(side, device=start.device)
    return (position >= start.unsqueeze(1)) & (position < start.unsqueeze(1) + length)


def _around(x: Tensor, centre: Tensor, factor: Tensor) -> Tensor:
    return adjust_contrast(x - centre, factor, clip_output=False) + centre


def _column(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)

"""Differentiable Siamese augmentation.

A draw is kept apart from its application, so that one draw serves the real and the synthetic images of a class. Draws
are prepared on the CPU. Operations of one kind are one expression: all that move pixels, for instance, are a matrix
for each image.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple, final

import numpy as np
import torch
from annotated_types import Ge, Le
from numpy.typing import NDArray
from torch import Tensor

from dcc_core import Augmentation, DccError, send
from dcc_plugins.warping import Numbers, shift, stretch, turn, warp

Shape = tuple[int, int, int]
Params = Mapping[str, Tensor]
Drawn = Mapping[str, NDArray[Any]]
"""The drawn strengths, with a row for each image."""

log = logging.getLogger("dcc")


DSAOperation = Literal["color", "crop", "cutout", "flip", "scale", "rotate"]


@dataclass(frozen=True, kw_only=True)
class Strengths(Augmentation):
    """How strong operations are at most, for DSA and for what builds on it."""

    flip: Annotated[float, "probability of a flip", Ge(0), Le(1)] = 0.5
    scale: Annotated[float, "largest factor, in x and y independently; the smallest is its inverse", Ge(1)] = 1.2
    rotate: Annotated[float, "largest angle, in degrees", Ge(0), Le(180)] = 15.0
    crop: Annotated[float, "largest shift, as a share of the side", Ge(0), Le(1)] = 0.125
    brightness: Annotated[float, "width of the range of what is added", Ge(0)] = 1.0
    saturation: Annotated[float, "largest factor around the channels' mean", Ge(0)] = 2.0
    contrast: Annotated[float, "smallest factor around the image's mean; the largest is 1 more", Ge(0)] = 0.5


@final
@dataclass(frozen=True, kw_only=True)
class DSA(Strengths):
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
    cutout: Annotated[float, "side of the blanked square, as a share of the image's", Ge(0), Le(1)] = 0.5

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
        operation = torch.randint(len(self.strategy), (1 if per_batch else n,), generator=generator).expand(n)
        uniform = torch.rand((11, n), generator=generator, dtype=torch.float64).numpy()
        brightness, saturation, contrast, right, down, top, left, flip, rotate = uniform[:9]
        blanks = self._blanks(height, width)
        drawn = {
            "brightness": (brightness - 0.5) * self.brightness,
            "saturation": saturation * self.saturation,
            "contrast": contrast + self.contrast,
            "shift": np.stack([_pixels(right, round(self.crop * width)), _pixels(down, round(self.crop * height))], 1),
            "cutout": np.stack([_corner(u, *blank) for u, blank in zip((top, left), blanks, strict=True)], axis=1),
            "flip": flip < self.flip,
            "scale": uniform[9:].T * (self.scale - 1 / self.scale) + 1 / self.scale,
            "rotate": (rotate - 0.5) * 2 * self.rotate,
        }
        return {"operation": operation, **{name: torch.from_numpy(values) for name, values in drawn.items()}}

    def apply(self, images: Tensor, labels: Tensor, params: Params, index: Tensor) -> tuple[Tensor, Tensor]:
        rows = index.numpy()
        drawn = {name: values.numpy() for name, values in params.items()}
        operations = np.array(self.strategy)[drawn["operation"][rows]]
        groups = [(kind, np.flatnonzero(np.isin(operations, kind.operations))) for kind in KINDS]
        groups = [(kind, chosen) for kind, chosen in groups if len(chosen)]
        numbers = [
            kind.numbers(self, {name: v[rows[chosen]] for name, v in drawn.items()}, operations[chosen], images.shape)
            for kind, chosen in groups
        ]
        on_device = send(torch.from_numpy(np.concatenate([n.ravel() for n in numbers])), images.device, images.dtype)
        own = [t.view(n.shape) for t, n in zip(on_device.split([n.size for n in numbers]), numbers, strict=True)]
        if len(groups) == 1:
            return groups[0][0].act(images, own[0]), labels
        order = np.concatenate([chosen for _, chosen in groups])
        there, back = send(torch.from_numpy(np.stack([order, np.argsort(order)])), images.device)
        parts = images[there].split([len(chosen) for _, chosen in groups])
        results = [kind.act(x, n) for (kind, _), x, n in zip(groups, parts, own, strict=True)]
        return torch.cat(results)[back], labels

    def _blanks(self, height: int, width: int) -> list[tuple[int, int]]:
        """The sides of the blanked square and those of the image."""
        return [(int(side * self.cutout + 0.5), side) for side in (height, width)]

    def _colors(self, drawn: Drawn, operations: NDArray[Any], shape: torch.Size) -> Numbers:
        return np.stack([drawn["brightness"], drawn["saturation"], drawn["contrast"]], axis=1)

    def _matrices(self, drawn: Drawn, operations: NDArray[Any], shape: torch.Size) -> Numbers:
        height, width = shape[2:]
        ways = {
            "crop": lambda p: shift(p["shift"], height, width),
            "flip": lambda p: stretch(np.stack([1.0 - 2 * p["flip"], np.ones(len(p["flip"]))], axis=1)),
            "scale": lambda p: stretch(p["scale"]),
            "rotate": lambda p: turn(p["rotate"], height, width),
        }
        matrices = np.empty((len(operations), 2, 3))
        for name in np.unique(operations):
            chosen = operations == name
            matrices[chosen] = ways[name]({key: values[chosen] for key, values in drawn.items()})
        return matrices

    def _masks(self, drawn: Drawn, operations: NDArray[Any], shape: torch.Size) -> Numbers:
        """1 for blanked rows, then for blanked columns (B, H + W)."""
        corners = drawn["cutout"][:, :, None].swapaxes(0, 1)
        sides = zip(corners, self._blanks(*shape[2:]), strict=True)
        inside = [(np.arange(side) >= corner) & (np.arange(side) < corner + blank) for corner, (blank, side) in sides]
        return np.concatenate(inside, axis=1).astype(np.float64)


class Kind(NamedTuple):
    """Operations of one expression: numbers (B, ...) for each image, made on the CPU, and what these do to images."""

    operations: tuple[DSAOperation, ...]
    numbers: Callable[[DSA, Drawn, NDArray[Any], torch.Size], Numbers]
    act: Callable[[Tensor, Tensor], Tensor]


def change_colors(images: Tensor, numbers: Tensor) -> Tensor:
    """Add brightness; move away from the channels' mean, then from the image's, by a factor. numbers: (B, 3)."""
    brightness, saturation, contrast = numbers.view(-1, 3, 1, 1, 1).unbind(1)
    images = images + brightness
    images = torch.lerp(images.mean(dim=1, keepdim=True), images, saturation)
    return torch.lerp(images.mean(dim=(1, 2, 3), keepdim=True), images, contrast)


def blank_out(images: Tensor, numbers: Tensor) -> Tensor:
    """Set pixels to 0 whose row and column are masked. numbers: (B, H + W)."""
    rows, columns = numbers.bool().split(images.shape[2:], dim=1)
    return images.masked_fill((rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1), 0)


KINDS = (
    Kind(("color",), DSA._colors, change_colors),
    Kind(("crop", "flip", "scale", "rotate"), DSA._matrices, warp),
    Kind(("cutout",), DSA._masks, blank_out),
)


def _pixels(uniform: Numbers, bound: int) -> Numbers:
    """Whole pixels between plus and minus a bound."""
    return np.floor(uniform * (2 * bound + 1)) - bound


def _corner(uniform: Numbers, blank: int, side: int) -> NDArray[np.int64]:
    """The first row or column of a blanked square whose centre is uniform over the image."""
    return np.floor(uniform * (side + 1 - blank % 2)).astype(np.int64) - blank // 2

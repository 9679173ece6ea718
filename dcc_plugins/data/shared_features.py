"""A generated family of images: what classes have in common against what tells them apart, by a dial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import torch
from annotated_types import Ge, Le
from torch import Tensor
from torch.nn import functional as F

from dcc_core import DataSource, ImageSet, Randomness, RealData

CONTRAST = 0.18
"""Standard deviation of an image's pixels in unit space; beyond 0..1 they are clipped, which is rare."""


@final
@dataclass(frozen=True, kw_only=True)
class SharedFeatures(DataSource):
    """Grey images √(1 − share) · (what tells classes apart) + √share · (what they have in common) + noise.

    What tells class k apart is one smooth random pattern of its own, moved by up to `shift` pixels; what classes have
    in common is a mixture of `common` other patterns, with weights drawn for every image from one distribution for all
    classes, whose mean is not zero. Both have energy 1 a pixel, so that `share` is the common part's share of the
    signal's energy.
    """

    share: Annotated[float, "of the signal's energy that classes have in common", Ge(0), Le(1)] = 0.5
    count: Annotated[int, "classes", Ge(2)] = 10
    train: Annotated[int, "training images of each class", Ge(1)] = 200
    test: Annotated[int, "test images of each class", Ge(1)] = 100
    size: Annotated[int, "side of the images in pixels", Ge(8)] = 16
    common: Annotated[int, "patterns that classes have in common", Ge(1)] = 4
    shift: Annotated[int, "pixels that a class's pattern is moved by, at most", Ge(0)] = 2
    noise: Annotated[float, "energy of the noise, of the signal's", Ge(0)] = 0.5

    def suggestions(self) -> Mapping[str, Any]:
        return {
            "run.outer_loops": 10,
            "run.sets": 1,
            "run.real_batch": 64,
            "arch.depth": 2,
            "arch.width": 32,
            "score.nets": 3,
        }

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        random = Randomness(self.split_seed, ("shared-features",))
        own = self._patterns(self.count, random.generator("own"))
        common = self._patterns(self.common, random.generator("common"))

        def images(part: str, each: int) -> ImageSet:
            labels = torch.arange(self.count).repeat_interleave(each)
            signal = (1 - self.share) ** 0.5 * self._shift(own[labels], random.generator(part, "shift"))
            signal = signal + self.share**0.5 * self._mix(common, len(labels), random.generator(part, "mixture"))
            noise = torch.randn(signal.shape, generator=random.generator(part, "noise"))
            pixels = (signal + self.noise**0.5 * noise) / (1 + self.noise) ** 0.5
            return ImageSet((255 * (0.5 + CONTRAST * pixels)).round().clamp(0, 255).to(torch.uint8), labels)

        return RealData(
            name="shared-features",
            train=images("train", self.train),
            test=images("test", self.test),
            class_names=tuple(f"pattern {k}" for k in range(self.count)),
        )

    def _patterns(self, count: int, generator: torch.Generator) -> Tensor:
        """Smooth random patterns (count, 1, H, W) of mean 0 and energy 1 a pixel, on a torus."""
        coarse = torch.randn((count, 1, self.size // 4, self.size // 4), generator=generator)
        smooth = F.interpolate(coarse, size=(self.size, self.size), mode="bicubic")
        smooth = smooth - smooth.mean(dim=(2, 3), keepdim=True)
        return smooth / smooth.std(dim=(2, 3), keepdim=True, correction=0)

    def _shift(self, patterns: Tensor, generator: torch.Generator) -> Tensor:
        """Each pattern moved round by its own number of pixels."""
        moves = torch.randint(-self.shift, self.shift + 1, (len(patterns), 2), generator=generator).tolist()
        return torch.stack([p.roll((down, right), (1, 2)) for p, (down, right) in zip(patterns, moves, strict=True)])

    def _mix(self, patterns: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """`count` mixtures (count, 1, H, W) of energy 1 a pixel."""
        weights = torch.rand((count, len(patterns)), generator=generator)
        mixed = torch.einsum("np,pchw->nchw", weights, patterns)
        return mixed / mixed.std(dim=(2, 3), keepdim=True, correction=0)

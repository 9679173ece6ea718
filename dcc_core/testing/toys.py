"""A plugin of small components to test others beside: `job_of({"data": "blobs", "loss": "mine"}, toys)`.

They have what is easily got wrong: classes of different sizes, two channels, labels that are mixed, rows that stand for
several images, a tensor that all rows share. On the public interface alone, as a plugin of anyone's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dcc_core import (
    Architecture,
    Augmentation,
    Component,
    DataSource,
    ImageSet,
    Parametrisation,
    RealData,
    RunContext,
    hookimpl,
    seeded,
)


@final
@dataclass(frozen=True, kw_only=True)
class Blobs(DataSource):
    """Noise around a class's own pattern; class k has `counts[k]` training images."""

    counts: Annotated[tuple[int, ...], "training images of every class"] = (12, 9, 5)
    channels: Annotated[int, "channels"] = 2
    size: Annotated[int, "side of the square images"] = 8
    test: Annotated[int, "test images of every class"] = 6

    def suggestions(self) -> Mapping[str, Any]:
        return {"run.outer_loops": 2, "run.sets": 1, "score.nets": 1, "arch.depth": 1, "arch.width": 4}

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        generator = torch.Generator().manual_seed(7)
        shape = (self.channels, self.size, self.size)
        patterns = torch.rand((len(self.counts), *shape), generator=generator) * 200

        def images(numbers: Sequence[int]) -> ImageSet:
            labels = torch.tensor([k for k, n in enumerate(numbers) for _ in range(n)])
            noise = torch.rand((len(labels), *shape), generator=generator) * 55
            return ImageSet((patterns[labels] + noise).to(torch.uint8), labels)

        return RealData(
            name="blobs",
            train=images(self.counts),
            test=images([self.test] * len(self.counts)),
            class_names=tuple(f"blob {k}" for k in range(len(self.counts))),
            mean=(0.45,) * self.channels,
            std=(0.25,) * self.channels,
        )


class LinearModule(nn.Module):
    """Logits (B, K) of images (B, C, H, W); its features (B, C*H*W) are the pixels."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(inputs, classes)

    def embed(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.embed(images))


@final
@dataclass(frozen=True, kw_only=True)
class Linear(Architecture):
    """A linear classifier on pixels."""

    def build(self, *, channels: int, classes: int, size: tuple[int, int], generator: torch.Generator) -> nn.Module:
        with seeded(generator):
            return LinearModule(channels * size[0] * size[1], classes)


@final
@dataclass(frozen=True, kw_only=True)
class Mixup(Augmentation):
    """Blend each image, and its label, with its mirror position in the batch (Zhang et al. 2018)."""

    @property
    def mixes_labels(self) -> bool:
        return True

    def draw(
        self, n: int, shape: tuple[int, int, int], generator: torch.Generator, *, per_batch: bool = False
    ) -> Mapping[str, Tensor]:
        return {"share": torch.rand(n, generator=generator, dtype=torch.float64)}

    def apply(
        self, images: Tensor, labels: Tensor, params: Mapping[str, Tensor], index: Tensor
    ) -> tuple[Tensor, Tensor]:
        share = params["share"][index].to(images)
        wide = share.view(-1, 1, 1, 1)
        images = wide * images + (1 - wide) * images.flip(0)
        return images, share.unsqueeze(1) * labels + (1 - share.unsqueeze(1)) * labels.flip(0)


@final
@dataclass(frozen=True, kw_only=True)
class Half(Parametrisation):
    """Two images in the top and bottom half of one, each squeezed to half its height; a shared brightness."""

    @property
    def images_per_row(self) -> int:
        return 2

    def init(self, images: Tensor, labels: Tensor, run: RunContext) -> dict[str, Tensor]:
        squeezed = F.avg_pool2d(images, (2, 1))
        return {
            "labels": labels[::2],
            "images": torch.cat([squeezed[::2], squeezed[1::2]], dim=2).requires_grad_(),
            "shared_brightness": torch.zeros(1, dtype=images.dtype, device=images.device).requires_grad_(),
        }

    def decode(self, stored: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        halves = torch.stack(stored["images"].chunk(2, dim=2), dim=1).flatten(0, 1)
        images = halves.repeat_interleave(2, dim=2) + stored["shared_brightness"]
        return images, stored["labels"].repeat_interleave(2, dim=0)


@hookimpl
def dcc_datasets() -> Iterable[Component]:
    return [
        Component(name="blobs", target="dcc_core.testing.toys:Blobs", summary="noisy patterns"),
        Component(name="blobs-of:COUNTS", target="dcc_core.testing.toys:Blobs", summary="by counts", family=True),
    ]


@hookimpl
def dcc_architectures() -> Iterable[Component]:
    return [Component(name="linear", target="dcc_core.testing.toys:Linear", summary="linear on pixels")]


@hookimpl
def dcc_augmentations() -> Iterable[Component]:
    return [Component(name="mixup", target="dcc_core.testing.toys:Mixup", summary="blend pairs")]


@hookimpl
def dcc_parametrisations() -> Iterable[Component]:
    return [Component(name="half", target="dcc_core.testing.toys:Half", summary="two images in one")]

"""Multi-formation. Source: Kim et al. 2022, "Dataset Condensation via Efficient Synthetic-Data Parameterization"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, final

import torch
from annotated_types import Ge
from torch import Tensor
from torch.nn import functional as F

from dcc_core import DccError, Parametrisation, RunContext


@final
@dataclass(frozen=True, kw_only=True)
class MultiFormation(Parametrisation):
    """factor × factor training images in every stored one: its crops, each enlarged to the size of the whole.

    Stored: `images` (N, C, H, W), `labels`, and `shared_grey` (1, C, 1, 1), the value 0.5 of unit space, with which
    images are filled up at the bottom and on the right to a multiple of `factor`. Crops are enlarged bilinearly, row
    by row of the image, and take over its label. Raises DccError if a crop would hold nothing but grey.
    """

    factor: Annotated[int, "crops along each side of a stored image", Ge(2)] = 2

    @property
    def images_per_row(self) -> int:
        return self.factor**2

    def init(self, images: Tensor, labels: Tensor, run: RunContext) -> dict[str, Tensor]:
        """Real images shrunk, smoothly, to the part of their crop that is inside; a row's soft labels are averaged."""
        heights, widths = (self._inside(side) for side in images.shape[2:])
        places = images.unflatten(0, (-1, self.factor, self.factor))
        strips = [
            torch.cat([_shrunk(places[:, i, j], height, width) for j, width in enumerate(widths)], dim=3)
            for i, height in enumerate(heights)
        ]
        together = labels.unflatten(0, (-1, self.images_per_row))
        grey = torch.full((1, images.shape[1], 1, 1), 0.5, dtype=images.dtype, device=images.device)
        return {
            "images": torch.cat(strips, dim=2).requires_grad_(),
            "labels": together.mean(dim=1) if labels.is_floating_point() else together[:, 0],
            "shared_grey": run.real.normalisation.normalise(grey),
        }

    def decode(self, stored: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        images, f = stored["images"], self.factor
        n, c, h, w = images.shape
        height, width = -(-h // f), -(-w // f)
        whole = stored["shared_grey"].expand(n, c, f * height, f * width).clone()
        whole[:, :, :h, :w] = images
        crops = whole.view(n, c, f, height, f, width).permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
        enlarged = F.interpolate(crops, size=(h, w), mode="bilinear", align_corners=False)
        return enlarged, stored["labels"].repeat_interleave(f * f, dim=0)

    def _inside(self, side: int) -> list[int]:
        """How much of each crop along a side of the image is inside it."""
        crop = -(-side // self.factor)
        last = side - (self.factor - 1) * crop
        if last < 1:
            raise DccError(
                f"param.factor: {self.factor} crops of {crop} pixels do not fit into {side}, the last would hold "
                "nothing; give a smaller factor, or one that divides the side"
            )
        return [crop] * (self.factor - 1) + [last]


def _shrunk(images: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(images, size=(height, width), mode="bilinear", align_corners=False, antialias=True)

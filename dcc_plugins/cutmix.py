"""CutMix: a box of every image of a training batch comes from a partner in it. Source: Yun et al. 2019."""

from __future__ import annotations

import math

import torch
from scipy.special import betaincinv
from torch import Tensor

from dcc_core import DccError


def draw_box(shape: tuple[int, int, int], generator: torch.Generator, probability: float, beta: float) -> Tensor:
    """Top, left, bottom and right (4,) of what comes from the partner; an empty box if a batch is not mixed.

    Its share of the area is 1 - λ, λ from Beta(β, β), before it is clipped at the border; its centre is uniform.
    """
    mixed, quantile, *centre = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    if mixed >= probability:
        return torch.zeros(4, dtype=torch.int64)
    kept = float(betaincinv(beta, beta, quantile))
    low, high = [], []
    for side, place in zip(shape[1:], centre, strict=True):
        half, middle = int(side * math.sqrt(1 - kept)) // 2, int(side * place)
        low.append(max(0, middle - half))
        high.append(min(side, middle + half))
    return torch.tensor([*low, *high])


def check_whole_batch(name: str, partner: Tensor, index: Tensor) -> None:
    """Raise DccError unless draws are applied to the batch that they were drawn for."""
    if not torch.equal(index, torch.arange(len(partner))):
        raise DccError(f"aug: {name} mixes a whole training batch (CutMix); its draws serve no other images")


def paste_boxes(images: Tensor, labels: Tensor, box: Tensor, partner: Tensor) -> tuple[Tensor, Tensor]:
    """Images (B, C, H, W) with a box of their partners', and labels (B, K) shared by area.

    box: (4,) as `draw_box` gives it. partner: (B,) int64.
    """
    top, left, bottom, right = box.tolist()
    share = (bottom - top) * (right - left) / (images.shape[2] * images.shape[3])
    if not share:
        return images, labels
    partner = partner.to(images.device)
    rows = torch.arange(images.shape[2], device=images.device).view(-1, 1)
    columns = torch.arange(images.shape[3], device=images.device)
    inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    return torch.where(inside, images[partner], images), (1 - share) * labels + share * labels[partner]

"""Affine maps of images, each with a matrix of its own, in a few operations for all of them."""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

Numbers = NDArray[np.float64]


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Images (B, C, H, W) whose pixel at (x, y) comes from `matrix @ (x, y, 1)`, bilinearly; zero outside.

    matrices: (B, 2, 3). Coordinates go from -1 to 1 between the outer edges of the image.
    """
    height, width = images.shape[-2:]
    x, y = _coordinates(height, width, images.device, images.dtype)
    places = torch.addcmul(torch.addcmul(matrices[:, :, 2:], matrices[:, :, :1], x), matrices[:, :, 1:2], y)
    if images.is_cuda and images.requires_grad and torch.are_deterministic_algorithms_enabled():
        return sample(images, places)
    grid = places.view(-1, 2, height, width).permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, align_corners=False)


def sample(images: Tensor, places: Tensor) -> Tensor:
    """`grid_sample` by gathering, whose derivative on a GPU can be deterministic. places: (B, 2, H * W), x and y."""
    height, width = images.shape[-2:]
    pixels, result = images.flatten(2), torch.zeros_like(images).flatten(2)
    x, y = (((places[:, i] + 1) * side - 1) / 2 for i, side in enumerate((width, height)))
    left, top = x.floor(), y.floor()
    for column, by_x in ((left, left + 1 - x), (left + 1, x - left)):
        for row, by_y in ((top, top + 1 - y), (top + 1, y - top)):
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            index = torch.where(inside, row * width + column, 0).long().unsqueeze(1).expand_as(pixels)
            result = result + pixels.gather(2, index) * (inside * by_x * by_y).unsqueeze(1)
    return result.view_as(images)


def shift(pixels: Numbers, height: int, width: int) -> Numbers:
    """Matrices (n, 2, 3) that move images by pixels (n, 2), in x and y."""
    matrices = _identity(len(pixels))
    matrices[:, :, 2] = -2 * pixels / (width, height)
    return matrices


def stretch(factors: Numbers) -> Numbers:
    """Matrices (n, 2, 3) that divide the size of images by factors (n, 2), in x and y; negative ones mirror."""
    matrices = _identity(len(factors))
    matrices[:, 0, 0], matrices[:, 1, 1] = factors.T
    return matrices


def turn(degrees: Numbers, height: int, width: int) -> Numbers:
    """Matrices (n, 2, 3) that rotate images by angles (n,), anticlockwise."""
    matrices, angles = _identity(len(degrees)), np.deg2rad(degrees)
    matrices[:, 0, 0] = matrices[:, 1, 1] = np.cos(angles)
    matrices[:, 0, 1], matrices[:, 1, 0] = -np.sin(angles) * height / width, np.sin(angles) * width / height
    return matrices


def _identity(n: int) -> Numbers:
    return np.tile(np.eye(2, 3), (n, 1, 1))


@functools.lru_cache(maxsize=8)
def _coordinates(height: int, width: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """x and y of every pixel (H * W,)."""
    y, x = ((2 * torch.arange(side, dtype=torch.float64) + 1) / side - 1 for side in (height, width))
    return x.repeat(height).to(device, dtype), y.repeat_interleave(width).to(device, dtype)

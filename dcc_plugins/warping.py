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
    sides, corners = _corners(height, width, images.device, images.dtype)
    at = torch.addcmul(sides / 2 - 0.5, places, sides / 2).unsqueeze(1)  # in pixels: (B, 1, 2, H * W)
    near = at.floor() + corners  # four corners: (B, 4, 2, H * W)
    share = (1 - (at - near).abs()).prod(dim=2)
    inside = ((near >= 0) & (near < sides)).all(dim=2)
    index = torch.where(inside, near[:, :, 1] * width + near[:, :, 0], 0).long().flatten(1).unsqueeze(1)
    pixels = images.flatten(2)
    parts = pixels.gather(2, index.expand(-1, pixels.shape[1], -1)).unflatten(2, (4, -1))
    return (parts * (share * inside).unsqueeze(1)).sum(dim=2).view_as(images)


@functools.lru_cache(maxsize=8)
def _corners(height: int, width: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The sides, in x and y (2, 1), and the pixels around a place, from the first (4, 2, 1)."""
    corners = torch.tensor([(0, 0), (1, 0), (0, 1), (1, 1)]).unsqueeze(2)
    return torch.tensor([[width], [height]]).to(device, dtype), corners.to(device, dtype)


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

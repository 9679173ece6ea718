"""Distances between two gradients, given as lists of tensors (k, *weight shape): k distances each.

Computed in float32 at least, since the cosines divide by small norms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

Distance = Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]
DistanceName = Literal["layerwise", "cosine", "mse"]

EPSILON = 1e-6


def layerwise(real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> Tensor:
    """Sum over weights and over their output units of 1 - cosine: (k,).

    A weight of shape (out, ...) is read as (out, rest). Tensors of one dimension, biases and the scales of
    norms, count 0. Source: Zhao et al. 2021, appendix A.
    """
    parts = [_one_minus_cosine(r.flatten(2), s.flatten(2)).sum(dim=1) for r, s in _pairs(real, synthetic) if r.ndim > 2]
    return torch.stack(parts).sum(dim=0) if parts else _flat(synthetic).sum(dim=1) * 0


def cosine(real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> Tensor:
    """1 - cosine of the angle between all parameters, flattened: (k,)."""
    return _one_minus_cosine(_flat(real), _flat(synthetic))


def mse(real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> Tensor:
    """Squared distance, summed over all parameters: (k,)."""
    return (_flat(synthetic) - _flat(real)).square().sum(dim=1)


DISTANCES: dict[DistanceName, Distance] = {"layerwise": layerwise, "cosine": cosine, "mse": mse}


def _one_minus_cosine(a: Tensor, b: Tensor) -> Tensor:
    norms = torch.linalg.vector_norm(a, dim=-1) * torch.linalg.vector_norm(b, dim=-1)
    return 1 - (a * b).sum(dim=-1) / (norms + EPSILON)


def _pairs(real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return [(_precise(r), _precise(s)) for r, s in zip(real, synthetic, strict=True)]


def _flat(gradient: Sequence[Tensor]) -> Tensor:
    return torch.cat([_precise(g).flatten(1) for g in gradient], dim=1)


def _precise(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor

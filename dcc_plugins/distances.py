"""Distances between two gradients, given as lists of tensors (k, *weight shape): k distances each.

Computed in float32 at least, since the cosines divide by small norms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

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
    pairs = [(r.flatten(2), s.flatten(2)) for r, s in _pairs(real, synthetic) if r.ndim > 2]
    if not pairs:
        return _flat(synthetic).sum(dim=1) * 0
    if any(r.requires_grad for r, _ in pairs):
        return torch.cat([_one_minus_cosine(r, s) for r, s in pairs], dim=1).sum(dim=1)
    return _OneMinusCosines.apply(*(r for r, _ in pairs), *(s for _, s in pairs))  # pyright: ignore[reportReturnType]


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


class _OneMinusCosines(torch.autograd.Function):
    """The sum of 1 - cosine over the rows of real and synthetic matrices (k, rows, numbers), in a few operations.

    With a = <r, s>, n = |r||s| + ε, the derivative for a synthetic row s is (a |r| / |s| s - n r) / n².
    """

    @staticmethod
    def forward(ctx: Any, *matrices: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        rows = _Rows(matrices)
        ctx.save_for_backward(*matrices)
        ctx.rows = rows
        return (1 - rows.products / rows.norms).sum(dim=1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        matrices = ctx.saved_tensors
        half = len(matrices) // 2
        rows = _Rows(matrices) if torch.is_grad_enabled() else ctx.rows  # again, if it is differentiated itself
        for_real = -gradient.unsqueeze(1) / rows.norms
        for_synthetic = -for_real * rows.products * rows.real / (rows.norms * rows.synthetic.clamp(min=rows.tiny))
        sizes = [m.shape[1] for m in matrices[:half]]
        factors = zip(for_real.split(sizes, dim=1), for_synthetic.split(sizes, dim=1), strict=True)
        found = [
            torch.addcmul(a.unsqueeze(2) * r, b.unsqueeze(2), s)
            for (a, b), r, s in zip(factors, matrices[:half], matrices[half:], strict=True)
        ]
        return *[None] * half, *found


class _Rows:
    """Norms and inner products of the rows of all matrices (k, all rows)."""

    def __init__(self, matrices: Sequence[Tensor]) -> None:
        half = len(matrices) // 2
        lengths = [torch.linalg.vector_norm(m, dim=2) for m in matrices]
        self.real, self.synthetic = torch.cat(lengths[:half], dim=1), torch.cat(lengths[half:], dim=1)
        pairs = zip(matrices[:half], matrices[half:], strict=True)
        self.products = torch.cat([torch.einsum("krn,krn->kr", r, s) for r, s in pairs], dim=1)
        self.norms = self.real * self.synthetic + EPSILON
        self.tiny = torch.finfo(self.real.dtype).tiny


def _pairs(real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return [(_precise(r), _precise(s)) for r, s in zip(real, synthetic, strict=True)]


def _flat(gradient: Sequence[Tensor]) -> Tensor:
    return torch.cat([_precise(g).flatten(1) for g in gradient], dim=1)


def _precise(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor

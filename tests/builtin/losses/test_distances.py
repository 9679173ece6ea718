"""The layer-wise distance's own derivative equals that of its formula, and can be differentiated again."""

import pytest
import torch

from dcc_plugins.distances import EPSILON, layerwise

GENERATOR = torch.Generator().manual_seed(0)
SHAPES = [(3, 4, 2, 3, 3), (3, 4), (3, 5, 7)]


def gradients(zero_row=False):
    found = [torch.randn(shape, generator=GENERATOR, dtype=torch.float64) for shape in SHAPES]
    if zero_row:
        found[0][0, 0] = 0
    return found


def formula(real, synthetic):
    total = torch.zeros(3, dtype=torch.float64)
    for r, s in zip(real, synthetic, strict=True):
        if r.ndim > 2:
            r, s = r.flatten(2), s.flatten(2)
            norms = torch.linalg.vector_norm(r, dim=2) * torch.linalg.vector_norm(s, dim=2)
            total = total + (1 - (r * s).sum(dim=2) / (norms + EPSILON)).sum(dim=1)
    return total


@pytest.mark.parametrize("zero_row", [False, True])
@pytest.mark.parametrize("real_too", [False, True])
def test_value_and_both_derivatives(zero_row, real_too):
    real = [r.requires_grad_(real_too) for r in gradients()]
    synthetic = [s.requires_grad_() for s in gradients(zero_row)]
    wanted = [t for t in (synthetic + real if real_too else synthetic) if t.ndim > 2]
    found = []
    for distance in (layerwise, formula):
        value = distance(real, synthetic)
        first = torch.autograd.grad((value * torch.arange(1, 4)).sum(), wanted, create_graph=True)
        second = torch.autograd.grad(sum(g[1:].square().sum() for g in first), synthetic[2])
        found.append([value, *first, *second])
    for own, other in zip(*found, strict=True):
        assert torch.allclose(own, other, rtol=1e-12, atol=1e-12)

"""Training criteria, for hard and soft labels."""

import pytest
import torch

from dcc_core.compute.criterion import cross_entropy, hinge


def logits(seed, n=7, k=4):
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_hinge_of_two_classes_is_the_papers():
    """L = max(0, 1 - y w.x) for logits (-w.x / 2, w.x / 2): section 3.2."""
    score = logits(0, 20, 1)[:, 0] * 2
    labels = torch.arange(20) % 2
    y = labels * 2.0 - 1
    expected = torch.stack([max(torch.tensor(0.0), 1 - a * b) for a, b in zip(y, score, strict=True)])
    assert torch.allclose(hinge(torch.stack([-score / 2, score / 2], dim=1), labels), expected)


def test_hinge_of_more_classes_is_the_margin_to_the_best_other():
    z, labels = logits(1), torch.tensor([0, 1, 2, 3, 0, 1, 2])
    for i, loss in enumerate(hinge(z, labels).tolist()):
        others = [z[i, k].item() for k in range(4) if k != labels[i]]
        assert loss == pytest.approx(max(0.0, 1 - (z[i, labels[i]].item() - max(others))))


@pytest.mark.parametrize("criterion", [cross_entropy, hinge])
def test_soft_labels_weigh_the_hard_ones(criterion):
    z, shares = logits(2), logits(3).softmax(dim=1)
    expected = sum(shares[:, k] * criterion(z, torch.full((7,), k)) for k in range(4))
    assert torch.allclose(criterion(z, shares), expected)
    hard = torch.tensor([3, 1, 0, 2, 2, 1, 0])
    assert torch.allclose(criterion(z, torch.eye(4, dtype=torch.float64)[hard]), criterion(z, hard))

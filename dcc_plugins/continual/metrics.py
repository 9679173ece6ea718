"""Metrics of a sequence from its matrix of accuracies.

Row i holds the accuracies a[i][j] (0..1) on the stages j = 0 to i after stage i has been learned.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

Matrix = Sequence[Sequence[float]]


def average_accuracy(a: Matrix) -> list[float]:
    """Mean accuracy on the stages seen so far, after each stage: figures 7 and 8 of the paper.

    Source: Lopez-Paz & Ranzato 2017.
    """
    return [statistics.fmean(row[: i + 1]) for i, row in enumerate(a)]


def forgetting(a: Matrix) -> list[float | None]:
    """Drop of accuracies from their best, mean over the earlier stages; none after the first stage.

    Negative if they have risen. Source: Chaudhry et al. 2018.
    """
    return [_mean([max(a[k][j] for k in range(j, i)) - a[i][j] for j in range(i)]) for i in range(len(a))]


def backward_transfer(a: Matrix) -> list[float | None]:
    """Change of accuracies since each stage was learned, mean over the earlier stages; none after the first.

    Source: Lopez-Paz & Ranzato 2017.
    """
    return [_mean([a[i][j] - a[j][j] for j in range(i)]) for i in range(len(a))]


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None

"""The kernel of matching and its velocity, as an observer of any run (`--log ntk-velocity`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from dcc_core import Observer, RunInfo, StepReport, hookimpl
from dcc_plugins.observers import append_row, head_steps

HEADS = ("set", "outer", "inner", "velocity", "trace")


def kernel(gradients: Mapping[str, Tensor]) -> Tensor:
    """The Gram matrix K = J Jᵀ (N, N), in float64 on the CPU, of a step's gradients, as `StepReport` has them.

    Row i of J (N, D) is the derivative of the matching loss with respect to synthetic sample i, ∂L/∂s_i: what the
    engine's backward has gathered, so that the kernel is that of the loss as it was run, whatever loss that is. A
    sample is a stored image; of parametrisations without images, a row of their first tensor. Source: section 3.3 of
    the paper.
    """
    samples = gradients["images"] if "images" in gradients else next(iter(gradients.values()))
    jacobian = samples.flatten(1).double().cpu()
    return jacobian @ jacobian.T


def velocity(before: Tensor, after: Tensor) -> float:
    """How far a kernel has turned in one step, 0 to 1: 1 − ⟨K, K'⟩ / (‖K‖ ‖K'‖), in Frobenius norms.

    Source: the kernel distance of Fort et al. 2020, over one step.
    """
    norms = before.norm() * after.norm()
    return float(1 - (before * after).sum() / norms) if norms > 0 else 0.0


class Velocities:
    """Follows the kernel of one set from step to step."""

    def __init__(self) -> None:
        self._before: tuple[tuple[int, int], Tensor] | None = None

    def step(self, report: StepReport, inner_loops: int) -> tuple[float | None, float]:
        """The velocity since the step before, none if that was not seen, and the kernel's trace."""
        now = kernel(report.gradients)
        place = (report.set, report.outer * inner_loops + report.inner)
        before, self._before = self._before, (place, now)
        turned = None
        if before and before[0] == (place[0], place[1] - 1):
            turned = velocity(before[1], now)
        return turned, float(torch.trace(now))


@final
@dataclass(frozen=True, kw_only=True)
class NtkVelocity(Observer):
    """`ntk_velocity.csv` in the run's folder: how fast the kernel of the matching loss turns, a row for each step.

    The kernel is the Gram matrix of the Jacobian of the loss with respect to the synthetic samples, the velocity its
    distance from the step before, 0 to 1: empty for a set's first step and after a resume. Peaks show where the
    direction of the updates changes, as at a new network. The trace is the squared norm of the gradient.
    """

    def listen(self, run: RunInfo) -> _NtkVelocityFile:
        file = Path(run.out or ".") / "ntk_velocity.csv"
        head_steps(file, HEADS, run.resumes_at)
        return _NtkVelocityFile(file, run.inner_loops)


class _NtkVelocityFile:
    def __init__(self, file: Path, inner_loops: int) -> None:
        self._file, self._inner_loops = file, inner_loops
        self._velocities = Velocities()

    @hookimpl
    def dcc_step_finished(self, report: StepReport) -> None:
        turned, trace = self._velocities.step(report, self._inner_loops)
        words = "" if turned is None else f"{turned:.6g}"
        append_row(self._file, [report.set, report.outer, report.inner, words, f"{trace:.6g}"])

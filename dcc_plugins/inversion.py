"""Inversion of a teacher: images that it takes for their class, and whose maps have the statistics that it knows.

Source: Yin et al. 2023, "Squeeze, Recover and Relabel: Dataset Condensation at ImageNet Scale From A New Perspective"
(SRe2L), the second of the three steps.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, final

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn
from torch.nn import functional as F

from dcc_core import DccError, MatchingLoss, RunContext, Schedule, State, Step, Synthetic, Total
from dcc_plugins.crops import Crops, flips
from dcc_plugins.teachers import Teacher, WithTeacher


class Teachers(State):
    """The teachers of a run. They come again from their options, so that a checkpoint holds nothing of them."""

    def __init__(self, teachers: list[Teacher]) -> None:
        self.teachers = teachers


@final
@dataclass(frozen=True, kw_only=True)
class Inversion(WithTeacher, MatchingLoss):
    """L = Σ_images CE(f(x), y) + weight · Σ_layers (|μ − μ_BN| + |σ² − σ²_BN|), of random crops x of the images.

    f is a trained teacher, μ_BN and σ²_BN are what its BatchNorm layers have learned of real images. Crops have shares
    of the area from `smallest` to 1 (multi-resolution). The statistics are those of `batch` images at a time, of as
    many classes as there are. Outer loops take several teachers in turn. Raises DccError if a teacher has no BatchNorm.

    Departures: images are updated by SGD with momentum, not Adam, and the first layer weighs as much as the others.
    """

    weight: Annotated[float, "of the statistics; 0: cross-entropy alone", Ge(0)] = 0.05
    batch: Annotated[int, "images whose statistics are compared together", Ge(2)] = 100
    smallest: Annotated[float, "smallest share of the image's area in a crop", Gt(0), Le(1)] = 0.08
    teachers: Annotated[int, "teachers, of seeds that follow teacher_seed", Ge(1)] = 1

    def schedule(self, ipc: int) -> Schedule:
        return Schedule(inner_loops=1, network_steps=0)

    def image_rate(self, ipc: int, outer_loops: int) -> float:
        return 1.0

    def setup(self, run: RunContext, synthetic: Synthetic) -> Teachers:
        """Finds or trains the teachers."""
        seeds = range(self.teacher_seed, self.teacher_seed + self.teachers)
        found = [replace(self, teacher_seed=seed).find_teacher(run) for seed in seeds]
        if self.weight and not all(batch_norms(teacher.network) for teacher in found):
            raise DccError(
                "loss.teacher: inversion compares with BatchNorm's statistics, and the teacher has none; take a "
                "network with them, e.g. -o arch.norm=batch, or loss.weight=0"
            )
        return Teachers(found)

    def terms(self, step: Step, state: Any) -> Iterator[Total]:
        network = state.teachers[step.outer % len(state.teachers)].network
        everything = range(step.num_classes)
        for number, chosen in enumerate(mixed_order(step.synthetic.owners_of(everything)).split(self.batch)):
            whole = step.synthetic.batch(*everything)
            images, labels = whole.images[chosen], whole.labels[chosen]
            crops = Crops(smallest=self.smallest, flip=flips(step.run.data))
            draws = crops.draw(len(chosen), step.run.data.shape, step.generator("crops", number))
            images, _ = crops.apply(images, labels, draws, torch.arange(len(chosen)))
            with compare_statistics(network) as distances:
                entropy = F.cross_entropy(network(images), labels, reduction="sum")
            statistics = sum(distances, entropy.new_zeros(()))
            yield Total(entropy + self.weight * len(chosen) * statistics)


def mixed_order(owners: Tensor) -> Tensor:
    """Places (N,) of images of classes (N,), ascending, in an order in which classes take turns."""
    firsts = torch.searchsorted(owners, owners)
    return (torch.arange(len(owners)) - firsts).argsort(stable=True)


def batch_norms(network: nn.Module) -> list[nn.Module]:
    """The layers that have learned statistics of maps."""
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and m.running_mean is not None]


@contextlib.contextmanager
def compare_statistics(network: nn.Module) -> Iterator[list[Tensor]]:
    """A list to which each BatchNorm layer adds how far its input's statistics are from those it has learned."""
    distances: list[Tensor] = []

    def compare(layer: Any, inputs: tuple[Tensor, ...]) -> None:
        mean, variance = inputs[0].mean(dim=(0, 2, 3)), inputs[0].var(dim=(0, 2, 3), unbiased=False)
        distances.append((mean - layer.running_mean).norm() + (variance - layer.running_var).norm())

    hooks = [layer.register_forward_pre_hook(compare) for layer in batch_norms(network)]
    try:
        yield distances
    finally:
        for hook in hooks:
            hook.remove()

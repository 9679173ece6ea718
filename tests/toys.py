"""A plugin written on the public interface alone: the smallest useful component of every kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, final

import torch
from torch import Tensor
from torch.func import functional_call

from dcc_core import (
    Component,
    MatchingLoss,
    Parametrisation,
    Part,
    RunContext,
    Schedule,
    Selection,
    State,
    Total,
    hookimpl,
)
from dcc_core.testing.toys import Blobs, Half, Linear, LinearModule, Mixup

__all__ = ["Blobs", "Half", "Linear", "LinearModule", "Mixup"]
"""Those that plugin authors have too, under this plugin's name."""


@final
@dataclass(frozen=True, kw_only=True)
class DistributionMatching(MatchingLoss):
    """Match class means of features under random networks (Zhao & Bilen 2023)."""

    def schedule(self, ipc: int) -> Schedule:
        return Schedule(inner_loops=1, network_steps=0)

    def terms(self, step, state):
        for label in step.classes:
            real = step.augment(step.real(label), label)
            synthetic = step.augment(step.synthetic.batch(label), label)
            with torch.no_grad():
                target = step.embed(real.images).mean(dim=0)
            yield Part((step.embed(synthetic.images).mean(dim=0) - target).square().sum())


class Expert(State):
    """A network's weights along its training on real images."""

    def __init__(self, trajectory: list[dict[str, Tensor]]) -> None:
        self.trajectory = trajectory


@final
@dataclass(frozen=True, kw_only=True)
class TrajectoryMatching(MatchingLoss):
    """Match where a student trained on synthetic images ends (Cazenavette et al. 2022); learns its step size."""

    student_steps: Annotated[int, "steps of the student"] = 3
    step_size: Annotated[float, "initial step size of the student"] = 0.05

    def schedule(self, ipc: int) -> Schedule:
        return Schedule(inner_loops=1, network_steps=0)

    def setup(self, run, synthetic) -> Expert:
        synthetic.learn("step_size", self.step_size, rate=1e-3)
        network = run.build(run.random.generator("expert"))
        optimiser = torch.optim.SGD(network.parameters(), lr=0.05)
        trajectory = []
        for epoch in range(4):
            trajectory.append({k: p.detach().clone() for k, p in network.named_parameters()})
            order = torch.randperm(len(run.real.images), generator=run.random.generator("expert", epoch))
            batch = run.real.batch(order)
            optimiser.zero_grad()
            run.criterion(network(batch.images), batch.labels).mean().backward()
            optimiser.step()
        return Expert(trajectory)

    def terms(self, step, state: Expert):
        start, target = state.trajectory[0], state.trajectory[-1]
        weights = {k: p.clone().requires_grad_() for k, p in start.items()}
        for _ in range(self.student_steps):
            batch = step.synthetic.batch(*step.classes)
            logits = functional_call(step.network, weights, (batch.images,))
            loss = step.run.criterion(logits, batch.labels).mean()
            gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
            rate = step.synthetic.learned["step_size"]
            weights = {k: p - rate * g for (k, p), g in zip(weights.items(), gradients, strict=True)}
        missed = sum((weights[k] - target[k]).square().sum() for k in weights)
        moved = sum((start[k] - target[k]).square().sum() for k in weights)
        yield Total(missed / moved)


@final
@dataclass(frozen=True, kw_only=True)
class Scaled(Parametrisation):
    """One picture for all rows, random at first, times a number per row; the labels are the rows' order."""

    def init(self, images: Tensor, labels: Tensor, run: RunContext) -> dict[str, Tensor]:
        picture = torch.randn(images.shape[1:], generator=run.random.generator("picture"), dtype=run.dtype)
        scale = labels.to(run.dtype) + 1
        return {"shared_picture": picture.to(run.device).requires_grad_(), "scale": scale.requires_grad_()}

    def decode(self, stored: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        scale = stored["scale"]
        return scale.view(-1, 1, 1, 1) * stored["shared_picture"], scale.detach().round().long().clamp(1, 3) - 1


@final
@dataclass(frozen=True, kw_only=True)
class First(Selection):
    """The first images of each class."""

    def select(self, data, ipc, run):
        return [own[:ipc] for own in run.real.by_class]


@hookimpl
def dcc_losses():
    return [
        Component(name="means", target="toys:DistributionMatching", summary="feature means"),
        Component(name="mtt", target="toys:TrajectoryMatching", summary="trajectories"),
    ]


@hookimpl
def dcc_augmentations():
    return [Component(name="mixup", target="toys:Mixup", summary="blend pairs")]


@hookimpl
def dcc_architectures():
    return [Component(name="linear", target="toys:Linear", summary="linear on pixels")]


@hookimpl
def dcc_datasets():
    return [
        Component(name="blobs", target="toys:Blobs", summary="noisy patterns"),
        Component(name="blobs-of:COUNTS", target="toys:Blobs", summary="by counts", family=True),
    ]


@hookimpl
def dcc_parametrisations():
    return [
        Component(name="half", target="toys:Half", summary="half the size"),
        Component(name="scaled", target="toys:Scaled", summary="one picture, scaled"),
    ]


@hookimpl
def dcc_selections():
    return [Component(name="first", target="toys:First", summary="the first")]

"""Matching training trajectories: learn the set on which a network moves as experts do on real images.

Source: Cazenavette et al. 2022, "Dataset Distillation by Matching Training Trajectories", algorithm 1, and its
published code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

import platformdirs
import torch
from annotated_types import Ge, Gt
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parameters_to_vector

from dcc_core import (
    Batch,
    DccError,
    MatchingLoss,
    Randomness,
    RunContext,
    Schedule,
    State,
    Step,
    Synthetic,
    Total,
    train_on_real,
)


class Experts(State):
    """The weights of every expert, flat, before and after every epoch: (experts, epochs + 1, weights), on the CPU."""

    def __init__(self, trajectories: Tensor) -> None:
        self.trajectories = trajectories


@final
@dataclass(frozen=True, kw_only=True)
class Mtt(MatchingLoss):
    """L = |θ_student − θ*_{t+M}|² / |θ*_t − θ*_{t+M}|².

    θ* is the trajectory of an expert, trained on real images; the student begins at its epoch t, takes N steps on the
    synthetic images with a learned step size, and should arrive if the expert is M epochs later. Augmentation is
    drawn for every image in both trainings. Experts are recorded once, and kept in a folder for later runs.

    Source: eq. 2 and algorithm 1; defaults as published for CIFAR-10 with one image per class, except `experts`
    (100 there), `expert_epochs` (50) and `student_steps` (50).
    """

    experts: Annotated[int, "networks trained on real images", Ge(1)] = 5
    expert_epochs: Annotated[int, "epochs of each", Ge(1)] = 10
    expert_rate: Annotated[float, "learning rate of the experts", Gt(0)] = 0.01
    latest_start: Annotated[int, "largest epoch t that a student begins at", Ge(0)] = 2
    span: Annotated[int, "epochs M of the expert that a student is to cover", Ge(1)] = 2
    student_steps: Annotated[int, "steps N of a student", Ge(1)] = 10
    student_batch: Annotated[int | None, "synthetic images in each of them; none: all", Ge(1)] = None
    step_size: Annotated[float, "initial step size of the student", Gt(0)] = 0.01
    step_size_rate: Annotated[float, "learning rate of the step size", Gt(0)] = 1e-5
    cache: Annotated[Path | None, "folder for recorded experts; none: the user's cache folder"] = None

    def schedule(self, ipc: int) -> Schedule:
        return Schedule(inner_loops=1, network_steps=0)

    def image_rate(self, ipc: int, outer_loops: int) -> float:
        return 100.0

    def setup(self, run: RunContext, synthetic: Synthetic) -> Experts:
        """Records the experts, or reads them. Raises DccError if they are shorter than a student's way."""
        if self.latest_start + self.span > self.expert_epochs:
            raise DccError(
                f"loss.latest_start={self.latest_start} and loss.span={self.span} go beyond the "
                f"{self.expert_epochs} epochs of the experts; raise loss.expert_epochs"
            )
        synthetic.learn("step_size", self.step_size, rate=self.step_size_rate)
        file = (self.cache or Path(platformdirs.user_cache_dir("dcc"))) / f"mtt-{self._key(run)}.safetensors"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            whole = torch.stack([self._trajectory(run, expert) for expert in range(self.experts)])
            partial = file.with_suffix(".tmp")
            save_file({"trajectories": whole}, partial)
            partial.replace(file)
        return Experts(load_file(file)["trajectories"])

    def terms(self, step: Step, state: Experts) -> Iterator[Total]:
        place = step.generator("start")
        expert = int(torch.randint(self.experts, (), generator=place))
        t = int(torch.randint(self.latest_start + 1, (), generator=place))
        start, target = (state.trajectories[expert, at].to(step.run.device) for at in (t, t + self.span))
        weights = start.clone().requires_grad_()
        for number in range(self.student_steps):
            batch = self._student_batch(step, number)
            logits = functional_call(step.network, _shape_like(step.network, weights), (batch.images,))
            loss = step.run.criterion(logits, batch.labels).mean()
            (gradient,) = torch.autograd.grad(loss, weights, create_graph=True)
            weights = weights - step.synthetic.learned["step_size"] * gradient
        yield Total((weights - target).square().sum() / (start - target).square().sum())

    def _student_batch(self, step: Step, number: int) -> Batch:
        """Synthetic images of all classes, or some of them, each with an augmentation of its own."""
        batch = step.synthetic.batch(*range(step.num_classes))
        chosen = torch.randperm(len(batch.images), generator=step.generator("student", number))[: self.student_batch]
        chosen = chosen.to(batch.images.device)
        return step.augment_each(Batch(batch.images[chosen], batch.labels[chosen]), "student", number)

    def _random(self, run: RunContext, expert: int) -> Randomness:
        """The same for all sets of a seed: they share their experts."""
        return Randomness(run.random.seed, ("mtt", expert))

    def _trajectory(self, run: RunContext, expert: int) -> Tensor:
        random = self._random(run, expert)
        network = run.build(random.generator("network"))
        weights = [_flat(network)]
        how = {"rate": self.expert_rate, "momentum": 0.0, "weight_decay": 0.0}
        for _ in train_on_real(run, network, self.expert_epochs, random, augmentation=run.augmentation, **how):
            weights.append(_flat(network))
        return torch.stack(weights)

    def _key(self, run: RunContext) -> str:
        """Of everything that experts depend on: data, network with its initial weights, augmentation, and how long."""
        network = run.build(self._random(run, 0).generator("network"))
        about = (
            self.experts,
            self.expert_epochs,
            self.expert_rate,
            run.augmentation,
            network,
            run.data.mean,
            run.data.std,
        )
        digest = hashlib.blake2b(repr(about).encode(), digest_size=8)
        for tensor in (_flat(network), run.data.train.images, run.data.train.labels):
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()


def _flat(network: nn.Module) -> Tensor:
    return parameters_to_vector(network.parameters()).detach().cpu().clone()


def _shape_like(network: nn.Module, flat: Tensor) -> dict[str, Tensor]:
    """Flat weights as a network's parameters, by name."""
    named = dict(network.named_parameters())
    parts = flat.split([p.numel() for p in named.values()])
    return {name: part.view(p.shape) for (name, p), part in zip(named.items(), parts, strict=True)}

"""Neural characteristic function matching. Source: Wang et al. 2025, "Dataset Distillation with Neural Characteristic
Function: A Minmax Perspective", and its published code."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, final

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn
from torch.nn import functional as F

from dcc_core import (
    Batch,
    MatchingLoss,
    Part,
    Randomness,
    RealImages,
    RunContext,
    Schedule,
    State,
    Step,
    Synthetic,
    send,
    train_on_real,
)

Weights = dict[str, Tensor]
SMALLEST = 1e-12
"""Below it no square root is taken, whose derivative would not be finite."""
_TRAINED: weakref.WeakKeyDictionary[RealImages, dict[object, list[tuple[Weights, Weights]]]]
_TRAINED = weakref.WeakKeyDictionary()
"""Networks of a job before and after their training, by seed and options: its forecast and all its sets share them."""


@dataclass
class Networks(State):
    """weights: of each network before and after its training. blend, trained: modules that take them in turn."""

    weights: list[tuple[Weights, Weights]]
    blend: nn.Module
    trained: nn.Module

    def state_dict(self) -> dict[str, Tensor]:
        return {
            f"{i}.{moment}.{name}": t
            for i, moments in enumerate(self.weights)
            for moment, weights in enumerate(moments)
            for name, t in weights.items()
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        for i, moments in enumerate(self.weights):
            for moment, weights in enumerate(moments):
                weights.update({name: state[f"{i}.{moment}.{name}"] for name in weights})


@final
@dataclass(frozen=True, kw_only=True)
class CharacteristicFunctions(MatchingLoss):
    """L = Σ_c w E_t √(α (|φ_X| − |φ_S|)² + (1 − α) 2 (|φ_X||φ_S| − Re φ_X φ̄_S)) + λ CE(S_c), φ = φ(t).

    φ_X(t) = mean of exp(i t·f) over the images of a class, f their features scaled to length 1, t normal. The network
    lies between an untrained one and the same after training, at a place drawn for every update. CE: the cross-entropy
    of the synthetic images under the trained one, the published code's calibration.
    """

    networks: Annotated[int, "networks that are trained on all real images", Ge(1)] = 20
    epochs: Annotated[int, "epochs that each is trained for", Ge(0)] = 60
    rate: Annotated[float, "learning rate of that training", Gt(0)] = 0.01
    frequencies: Annotated[int, "arguments t at which characteristic functions are compared", Ge(1)] = 4096
    amplitude: Annotated[float, "share of the difference in amplitude, α; the rest is that in phase", Ge(0), Le(1)] = (
        0.5
    )
    weight: Annotated[float, "of the characteristic functions, w", Gt(0)] = 300.0
    calibration: Annotated[float, "of the cross-entropy, λ", Ge(0)] = 1.0

    def schedule(self, ipc: int) -> Schedule:
        return Schedule(inner_loops=1, network_steps=0)

    def setup(self, run: RunContext, synthetic: Synthetic) -> Networks:
        jobs = _TRAINED.setdefault(run.real, {})
        key = (run.random.seed, self.networks, self.epochs, self.rate)
        if key not in jobs:
            jobs[key] = [self._train(run, Randomness(run.random.seed, ("ncfm", i))) for i in range(self.networks)]
        blend, trained = (run.build(run.random.generator("ncfm")) for _ in range(2))
        return Networks([(dict(before), dict(after)) for before, after in jobs[key]], blend, trained.eval())

    def _train(self, run: RunContext, random: Randomness) -> tuple[Weights, Weights]:
        """The weights of a network before and after its training."""
        module = run.build(random.generator("network"))
        before = _copy(module)
        for _ in train_on_real(run, module, self.epochs, random, rate=self.rate):
            pass
        return before, _copy(module)

    def terms(self, step: Step, state: Networks) -> Iterator[Part]:
        generator = step.generator("network")
        before, after = state.weights[int(torch.randint(len(state.weights), (), generator=generator))]
        share = float(torch.rand((), generator=generator))
        state.blend.load_state_dict(
            {n: torch.lerp(t, after[n], share) if t.is_floating_point() else after[n] for n, t in before.items()}
        )
        state.trained.load_state_dict(after)
        step = step.with_network(state.blend)
        arguments: Tensor | None = None
        for label in step.classes:
            with torch.no_grad():
                real = _features(step, step.augment(step.real(label), label))
            if arguments is None:
                normal = torch.randn((self.frequencies, real.shape[1]), generator=step.generator("frequencies"))
                arguments = send(normal, real.device, real.dtype)
            batch = step.augment(step.synthetic.batch(label), label)
            distance = self._distance(arguments, real, _features(step, batch))
            yield Part(self.weight * distance + self.calibration * self._cross_entropy(step, state.trained, batch))

    def _distance(self, arguments: Tensor, real: Tensor, synthetic: Tensor) -> Tensor:
        """Of the characteristic functions of features (N, D) and (M, D), at arguments (T, D)."""
        (a, b), (x, y) = (_characteristic(arguments, features) for features in (real, synthetic))
        of_real, of_synthetic = torch.hypot(a, b), (x.square() + y.square()).clamp(min=SMALLEST).sqrt()
        amplitude = (of_real - of_synthetic).square()
        phase = 2 * (of_real * of_synthetic - a * x - b * y)
        return (self.amplitude * amplitude + (1 - self.amplitude) * phase).clamp(min=SMALLEST).sqrt().mean()

    def _cross_entropy(self, step: Step, network: nn.Module, batch: Batch) -> Tensor:
        parts = step.run.chunks.split(batch.images, batch.labels)
        return torch.cat([step.run.criterion(network(images), labels) for images, labels in parts]).mean()


def _characteristic(arguments: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary part (T,) of the mean of exp(i t·f) over features (N, D)."""
    angles = arguments @ features.T
    return angles.cos().mean(dim=1), angles.sin().mean(dim=1)


def _features(step: Step, batch: Batch) -> Tensor:
    """Features (N, D) of length 1, as many images at once as the run takes."""
    return torch.cat([F.normalize(step.embed(images), dim=1) for (images,) in step.run.chunks.split(batch.images)])


def _copy(module: nn.Module) -> Weights:
    return {name: t.detach().clone() for name, t in module.state_dict().items()}

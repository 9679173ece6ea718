"""Kernel Inducing Points: learn the set on which kernel ridge regression predicts the labels of real images.

Source: Nguyen, Chen & Lee 2021, "Dataset Meta-Learning from Kernel Ridge-Regression", and its published code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, final

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor
from torch.nn import functional as F

from dcc_core import Batch, DccError, MatchingLoss, Parametrisation, Part, RunContext, Schedule, State, Step

KernelName = Literal["ntk", "nngp"]

SAME_DIRECTION = 1e-12
"""Two vectors whose cosine is this close to 1 count as parallel: an angle of 1.4e-6."""


def infinite_kernel(
    a: Tensor, b: Tensor, *, name: KernelName = "ntk", depth: int = 1, weight_std: float, bias_std: float
) -> Tensor:
    """The kernel (A, B) of an infinitely wide, fully connected ReLU network between rows (A, D) and (B, D).

    depth: hidden layers. Every layer computes weight_std W x / sqrt(its inputs) + bias_std b, with W and b standard
    normal (the `ntk` parametrisation). `nngp` is the covariance of the outputs of random networks, `ntk` the Gram
    matrix of their derivatives with respect to W and b. Differentiable, with finite derivatives everywhere.

    Source: Cho & Saul 2009 (arc-cosine kernels of degree 0 and 1); Jacot et al. 2018, theorem 1.
    """
    weight, bias = weight_std**2, bias_std**2
    per_input = weight / a.shape[1]
    covariance = per_input * (a @ b.T) + bias
    of_a, of_b = (per_input * x.square().sum(dim=1) + bias for x in (a, b))
    tangent = covariance
    for _ in range(depth):
        product, slope = relu_moments(covariance, of_a.unsqueeze(1), of_b)
        covariance = weight * product + bias
        of_a, of_b = (weight * x / 2 + bias for x in (of_a, of_b))
        tangent = covariance + weight * slope * tangent
    return tangent if name == "ntk" else covariance


def relu_moments(covariance: Tensor, of_a: Tensor, of_b: Tensor) -> tuple[Tensor, Tensor]:
    """E[relu(u) relu(v)] and E[relu'(u) relu'(v)] of centred Gaussians with this covariance and variances > 0.

    Where u and v are parallel the angle has no derivative: on the diagonal of a kernel it is constant, and between two
    equal images it has a kink. Both get 0 there, and the first moment its true derivatives, 1/2 and 0.
    """
    norm = (of_a * of_b).sqrt()
    cosine = covariance / norm
    apart = cosine.abs() < 1 - SAME_DIRECTION
    # Chosen before the functions of infinite slope as well as after them: 0 times infinity would be NaN.
    safe = torch.where(apart, cosine, 0)
    angle = torch.where(apart, safe.arccos(), torch.where(cosine > 0, 0.0, math.pi))
    sine = torch.where(apart, (1 - safe.square()).sqrt(), 0)
    return norm * (sine + (math.pi - angle) * cosine) / (2 * math.pi), (math.pi - angle) / (2 * math.pi)


@final
@dataclass(frozen=True, kw_only=True)
class Kip(MatchingLoss):
    """L = D/2 mean |y_t - K_ts (K_ss + lambda I)^-1 y_s|^2, s the whole synthetic set, t real images.

    The mean is over real images, |.|^2 a sum over classes (the published code averages over classes too: its values
    are smaller by their number). D, the values of an image, is a departure: kernels divide by it, and so would the
    images' gradient; with it one image rate suits images of every size. Labels are one-hot or soft, less 1 / classes;
    lambda is `ridge` times the mean of the diagonal of K_ss. No network is built or trained. Computed in float64, as
    published.

    Augmentation: one draw for all images, real and synthetic. A draw per class, as Siamese matching has it, would let
    the regression tell classes by their augmentation.

    Source: the KIP loss and algorithm 1 of Nguyen et al. 2021; standard deviations and ridge from the published code.
    """

    kernel: Annotated[KernelName, "of the infinitely wide network"] = "ntk"
    depth: Annotated[int, "hidden layers of that network", Ge(1)] = 1
    weight_std: Annotated[float, "standard deviation of its weights, before 1 / sqrt(inputs)", Gt(0)] = math.sqrt(2)
    bias_std: Annotated[float, "standard deviation of its biases", Gt(0)] = 0.1
    ridge: Annotated[float, "regularisation, in units of the mean diagonal of the kernel", Ge(0)] = 1e-6
    batch: Annotated[int | None, "real images per class in a step; none: the run's real batch", Ge(1)] = None

    def schedule(self, ipc: int) -> Schedule:
        return Schedule(inner_loops=1, network_steps=0)

    def image_rate(self, ipc: int, outer_loops: int) -> float:
        return 1.0

    def terms(self, step: Step, state: State) -> Iterator[Part]:
        """One Part, over the real images of this process's classes. Raises DccError where K_ss is singular."""
        if not step.classes:
            return
        x_s, y_s = _flat(step.augment(step.synthetic.batch(*range(step.num_classes)), 0), step.num_classes)
        real = [step.real(k, self.batch) for k in step.classes]
        together = Batch(torch.cat([b.images for b in real]), torch.cat([b.labels for b in real]))
        x_t, y_t = _flat(step.augment(together, 0), step.num_classes)
        predicted = self._between(x_t, x_s) @ self._solve(self._between(x_s, x_s), y_s)
        yield Part(x_s.shape[1] * (predicted - y_t).square().sum() / (2 * self._targets(step)))

    def _between(self, a: Tensor, b: Tensor) -> Tensor:
        return infinite_kernel(
            a, b, name=self.kernel, depth=self.depth, weight_std=self.weight_std, bias_std=self.bias_std
        )

    def _solve(self, k_ss: Tensor, y_s: Tensor) -> Tensor:
        """(K_ss + lambda I)^-1 y_s."""
        diagonal = self.ridge * k_ss.diagonal().mean()
        unit = torch.eye(len(k_ss), dtype=k_ss.dtype, device=k_ss.device)
        factor, failed = torch.linalg.cholesky_ex(k_ss + diagonal * unit)
        if failed:
            raise DccError(
                f"the kernel of the {len(k_ss)} synthetic images is not positive definite with "
                f"loss.ridge={self.ridge:g}: some are (nearly) equal; raise it, e.g. -o loss.ridge=1e-4"
            )
        return torch.cholesky_solve(y_s, factor)

    def _targets(self, step: Step) -> int:
        """Real images of this step over all processes."""
        asked = self.batch or step.run.real_batch
        return sum(min(asked, len(own)) for own in step.run.real.by_class)


@final
@dataclass(frozen=True, kw_only=True)
class SoftLabels(Parametrisation):
    """The stored images are the training images; their labels are learned too, as probabilities.

    Stored: `images` (N, C, H, W) and `label_logits` (N, K), whose softmax the labels are. Not under the name `labels`:
    whoever reads those from a set file takes them for probabilities.

    Departure: the published code learns labels without bounds, on which no classifier can be trained by cross-entropy.
    """

    confidence: Annotated[float, "initial probability of an image's own class", Gt(0), Lt(1)] = 0.9

    def init(self, images: Tensor, labels: Tensor, run: RunContext) -> dict[str, Tensor]:
        """Soft labels (N, K), of a set to start from, are taken as they are."""
        if not labels.is_floating_point():
            other = (1 - self.confidence) / max(run.num_classes - 1, 1)
            own = F.one_hot(labels, run.num_classes).to(images.dtype)
            labels = other + (self.confidence - other) * own
        logits = labels.clamp(min=torch.finfo(labels.dtype).tiny).log()
        return {"images": images.clone().requires_grad_(), "label_logits": logits.requires_grad_()}

    def decode(self, stored: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return stored["images"], stored["label_logits"].softmax(dim=1)


def _flat(batch: Batch, classes: int) -> tuple[Tensor, Tensor]:
    """Rows (B, C*H*W) and centred labels (B, K), in float64: a solve in float32 would lose the small eigenvalues."""
    labels = batch.labels if batch.labels.is_floating_point() else F.one_hot(batch.labels, classes)
    return batch.images.flatten(1).double(), labels.double() - 1 / classes

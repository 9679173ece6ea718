"""Neural feature regression. Source: Zhou, Nezhadarya & Ba 2022, "Dataset Distillation using Neural Feature
Regression" (FRePo)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, final

import torch
from annotated_types import Gt
from torch import Tensor
from torch.nn import functional as F

from dcc_core import Batch, MatchingLoss, Part, Schedule, State, Step


@final
@dataclass(frozen=True, kw_only=True)
class FeatureRegression(MatchingLoss):
    """L = N D/2 mean |y_t − K_ts (K_ss + λ I)⁻¹ y_s|², K = f(x)·f(z), s the whole synthetic set, t real images.

    f: features of the step's network before its head. The mean is over real images, |.|² a sum over classes. Labels are
    one-hot or soft, less 1 / classes; λ is `ridge` times the mean of the diagonal of K_ss. The factor N D departs from
    the paper: an image's gradient is the same in a set of copies of it, at a ridge that grows likewise. N synthetic
    images have D values each.

    The published networks come from a pool that the synthetic set trains; here one network after another is trained on
    it, a step after each image update. The published ridge is 1e-6; 1 and the image rate were chosen on CIFAR-10 at one
    image per class (benchmarks/results/samples.md).

    Augmentation: one draw for all images, real and synthetic. A draw per class would let the regression tell classes by
    their augmentation.
    """

    ridge: Annotated[float, "regularisation, in units of the mean diagonal of the kernel", Gt(0)] = 1.0

    def schedule(self, ipc: int) -> Schedule:
        return Schedule(inner_loops=50, network_steps=1)

    def image_rate(self, ipc: int, outer_loops: int) -> float:
        return 3.0

    def terms(self, step: Step, state: State) -> Iterator[Part]:
        """One Part, over the real images of this process's classes."""
        if not step.classes:
            return
        x_s, y_s = _regression_rows(step, step.synthetic.batch(*range(step.num_classes)))
        real = [step.real(k) for k in step.classes]
        with torch.no_grad():
            together = Batch(torch.cat([b.images for b in real]), torch.cat([b.labels for b in real]))
            x_t, y_t = _regression_rows(step, together)
        k_ss = x_s @ x_s.T
        ridge = self.ridge * k_ss.diagonal().mean() * torch.eye(len(k_ss), dtype=k_ss.dtype, device=k_ss.device)
        error = (x_t @ x_s.T) @ torch.linalg.solve(k_ss + ridge, y_s) - y_t
        targets = sum(min(step.run.real_batch, len(own)) for own in step.run.real.by_class)
        yield Part(len(x_s) * math.prod(step.run.data.shape) * error.square().sum() / (2 * targets))


def _regression_rows(step: Step, batch: Batch) -> tuple[Tensor, Tensor]:
    """Features (B, F) of augmented images, as many at once as the run takes, and labels (B, K) about 0."""
    batch = step.augment(batch, 0)
    features = torch.cat([step.embed(images) for (images,) in step.run.chunks.split(batch.images)])
    labels = batch.labels if batch.labels.is_floating_point() else F.one_hot(batch.labels, step.num_classes)
    return features.to(step.run.dtype), labels.to(step.run.dtype) - 1 / step.num_classes

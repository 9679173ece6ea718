"""Mixed-class images and groups of classes in matching.

Source: the future work of Lee et al. 2022, section 5. Mixup: Zhang et al. 2018; CutMix: Yun et al. 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, final

import torch
from annotated_types import Ge, Gt, Le
from scipy.special import betaincinv
from torch import Tensor
from torch.nn import functional as F

from dcc_core import (
    Batch,
    DccError,
    MatchingLoss,
    Part,
    RunContext,
    Schedule,
    State,
    Step,
    Synthetic,
    Total,
    over_real,
    train_on_real,
)

Groups = list[list[int]]


@dataclass(frozen=True, kw_only=True)
class Around(MatchingLoss):
    """A loss around another one, whose schedule and image rate it takes over."""

    inner: Annotated[MatchingLoss, "the loss inside, e.g. collective"]

    def schedule(self, ipc: int) -> Schedule:
        return self.inner.schedule(ipc)

    def image_rate(self, ipc: int, outer_loops: int) -> float:
        return self.inner.image_rate(ipc, outer_loops)

    def phase(self, step: Step) -> str:
        return self.inner.phase(step)


@final
@dataclass(frozen=True, kw_only=True)
class Mixed(Around):
    """The inner loss on images that are mixed with those of another class, both real and synthetic.

    Siamese, in that a class has one draw per step: whether it is mixed, its partner, the share λ from Beta(β, β) that
    it keeps, and the box. Partners go round a random circle of all classes, so that every class is one once. Image i is
    mixed with the partner's image i, counted round; labels are mixed in the same way. The augmentation comes after.
    """

    how: Annotated[Literal["cutmix", "mixup"], "a box from the partner, or the sum of both"] = "cutmix"
    probability: Annotated[float, "that a class is mixed in a step", Gt(0), Le(1)] = 0.5
    beta: Annotated[float, "both parameters of the Beta distribution of the kept share", Gt(0)] = 1.0

    def setup(self, run: RunContext, synthetic: Synthetic) -> State:
        if run.num_classes < 2:
            raise DccError("loss mixed: there is one class, and nothing to mix it with")
        return self.inner.setup(run, synthetic)

    def terms(self, step: Step, state: State) -> Iterator[Part | Total]:
        circle = torch.randperm(step.num_classes, generator=step.generator("circle")).tolist()
        partner = dict(zip(circle, circle[1:] + circle[:1], strict=True))

        def mixed(label: int, of: Callable[[int], Batch]) -> Batch:
            own = _soft(of(label), step.num_classes)
            chance, quantile, *centre = torch.rand(4, generator=step.generator("mix", label)).tolist()
            if chance >= self.probability:
                return own
            share = float(betaincinv(self.beta, self.beta, quantile))
            other = _soft(of(partner[label]), step.num_classes)
            other = other.batch(torch.arange(len(own)) % len(other))
            kept = self._keep(own.shape, share, centre).to(own.images)
            share = kept.mean()
            return Batch(kept * own.images + (1 - kept) * other.images, share * own.labels + (1 - share) * other.labels)

        return self.inner.terms(step.with_images(mixed), state)

    def _keep(self, shape: tuple[int, int, int], share: float, centre: list[float]) -> Tensor:
        """How much of an image stays at each place, (H, W): all but a box, clipped at the border; or its share."""
        kept = torch.full(shape[1:], share if self.how == "mixup" else 1.0, dtype=torch.float64)
        if self.how == "cutmix":
            halves = [int(side * math.sqrt(1 - share)) // 2 for side in shape[1:]]
            places = [int(side * c) for side, c in zip(shape[1:], centre, strict=True)]
            rows, columns = (slice(max(0, p - half), p + half) for p, half in zip(places, halves, strict=True))
            kept[rows, columns] = 0
        return kept


@dataclass(frozen=True)
class GroupedState(State):
    """The inner loss's state, and groups that stay the same."""

    inner: State
    fixed: Groups

    def state_dict(self) -> dict[str, Tensor]:
        return self.inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.inner.load_state_dict(state)


@final
@dataclass(frozen=True, kw_only=True)
class Grouped(Around):
    """The inner loss within each group of classes; the objective is the sum over groups.

    Groups are as few and as equal as `size` allows. `by`: at random, again in every outer loop (`loop`) or step
    (`step`); or by `features`: a class far from the middle of those left and the ones nearest to it, by mean features
    of a network trained for `epochs` on real images. `given` says the group of every class instead.
    """

    size: Annotated[int, "classes in a group, at most", Ge(1)] = 10
    by: Annotated[Literal["loop", "step", "features"], "how classes are divided"] = "loop"
    epochs: Annotated[int, "features: epochs of the network's training on all real images", Ge(0)] = 0
    given: Annotated[tuple[int, ...], "the group of every class, e.g. 0,0,1,1; empty: as `by` says"] = ()

    def setup(self, run: RunContext, synthetic: Synthetic) -> GroupedState:
        if self.given and len(self.given) != run.num_classes:
            raise DccError(
                f"loss.given: {len(self.given)} groups are given for {run.num_classes} classes; name one each"
            )
        fixed: Groups = [[k for k, g in enumerate(self.given) if g == group] for group in dict.fromkeys(self.given)]
        if not self.given and self.by == "features":
            fixed = nearest(self._class_means(run), self._sizes(run.num_classes))
        return GroupedState(self.inner.setup(run, synthetic), fixed)

    def terms(self, step: Step, state: GroupedState) -> Iterator[Part | Total]:
        for group in state.fixed or self._draw(step):
            if set(group) & set(step.everywhere):
                yield from self.inner.terms(step.within(group), state.inner)

    def _draw(self, step: Step) -> Groups:
        by_step = self.by == "step"
        random = step.generator("groups") if by_step else step.run.random.generator("groups", step.outer)
        order = torch.randperm(step.num_classes, generator=random)
        return [part.tolist() for part in order.split(self._sizes(step.num_classes))]

    def _sizes(self, classes: int) -> list[int]:
        count = -(-classes // self.size)
        return [classes // count + (i < classes % count) for i in range(count)]

    def _class_means(self, run: RunContext) -> Tensor:
        """Mean features (K, D) of the real images of every class."""
        random = run.random.at("groups")
        network = run.build(random.generator("network"))
        for _ in train_on_real(run, network, self.epochs, random):
            pass
        network.eval()
        return torch.stack(
            [over_real(run, lambda images, _: network.embed(images), own).mean(dim=0) for own in run.real.by_class]
        )


def nearest(means: Tensor, sizes: list[int]) -> Groups:
    """Groups of these sizes of points (K, D): each the one farthest from the middle of those left, and its nearest."""
    left = torch.arange(len(means))
    groups: Groups = []
    for size in sizes:
        points = means[left]
        outermost = (points - points.mean(dim=0)).norm(dim=1).argmax()
        order = (points - points[outermost]).norm(dim=1).argsort(stable=True)
        groups.append(sorted(left[order[:size]].tolist()))
        left = left[order[size:].sort().values]
    return groups


def _soft(batch: Batch, classes: int) -> Batch:
    """The batch with labels as probabilities (B, K)."""
    labels = batch.labels
    soft = labels if labels.is_floating_point() else F.one_hot(labels, classes).to(batch.images.dtype)
    return Batch(batch.images, soft)

"""Selections by place: images that stand for their class in a space of features."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, final

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor

from dcc_core import RealData, RunContext, Selection, over_real, train_on_real


@dataclass(frozen=True, kw_only=True)
class InFeatureSpace(Selection):
    """Picks from the features (n, D) of every class on its own."""

    features: Annotated[
        Literal["network", "pixels"], "where images are compared: before a trained network's head, or as they are"
    ] = "network"
    epochs: Annotated[int, "epochs that the network is trained for on all real images", Ge(0)] = 10

    def select(self, data: RealData, ipc: int, run: RunContext) -> Sequence[Tensor]:
        features = self._features(run)
        return [own[self.pick(over_real(run, features, own).double(), ipc)] for own in run.real.by_class]

    @abstractmethod
    def pick(self, features: Tensor, n: int) -> Tensor:
        """`n` different rows (int64) of a class's features (N, D), float64."""

    def _features(self, run: RunContext) -> Callable[[Tensor, Tensor], Tensor]:
        if self.features == "pixels":
            return lambda images, labels: images.flatten(1)
        random = run.random.at("selection", "network")
        network = run.build(random.generator())
        for _ in train_on_real(run, network, self.epochs, random):
            pass
        network.eval()
        return lambda images, labels: network.embed(images)  # pyright: ignore[reportCallIssue]


@final
@dataclass(frozen=True, kw_only=True)
class Herding(InFeatureSpace):
    """One image after the other, so that the mean of those picked stays as near the class mean as it can.

    Source: Welling 2009; Rebuffi et al. 2017, algorithm 4, without the normalisation of features.
    """

    def pick(self, features: Tensor, n: int) -> Tensor:
        mean = features.mean(dim=0)
        total, picked = torch.zeros_like(mean), []
        free = torch.zeros(len(features), dtype=features.dtype)
        for k in range(1, n + 1):
            missed = (mean - (total + features) / k).square().sum(dim=1) + free
            best = int(missed.argmin())
            picked.append(best)
            total += features[best]
            free[best] = torch.inf
        return torch.tensor(picked)


@final
@dataclass(frozen=True, kw_only=True)
class KCenter(InFeatureSpace):
    """The image nearest to the class mean; then always the one farthest from all that are picked.

    Source: greedy k-center; Sener & Savarese 2018, algorithm 1, begun as Zhao et al. 2021 do.
    """

    def pick(self, features: Tensor, n: int) -> Tensor:
        first = int((features - features.mean(dim=0)).square().sum(dim=1).argmin())
        picked = [first]
        nearest = (features - features[first]).square().sum(dim=1)
        while len(picked) < n:
            nearest[picked] = -1.0  # among equal images, one that is not picked yet
            picked.append(int(nearest.argmax()))
            nearest = torch.minimum(nearest, (features - features[picked[-1]]).square().sum(dim=1))
        return torch.tensor(picked)


@final
@dataclass(frozen=True, kw_only=True)
class KMeans(InFeatureSpace):
    """The image nearest to each centre of k-means, with as many clusters as images are picked.

    Source: the representative samples of DREAM, Liu et al., ICCV 2023.
    """

    def pick(self, features: Tensor, n: int) -> Tensor:
        from sklearn import cluster

        points = features.numpy()
        distances = cluster.KMeans(n, n_init=1, random_state=0).fit(points).transform(points)
        picked: list[int] = []
        for own in distances.T:  # of two centres with one nearest image, the second takes its next
            own[picked] = np.inf
            picked.append(int(own.argmin()))
        return torch.tensor(picked)

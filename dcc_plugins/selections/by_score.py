"""Selections by difficulty: a number for every image, and the easiest or the hardest of each class."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, final

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from dcc_core import DccError, Randomness, RealData, RunContext, Selection, over_real, train_on_real

Keep = Literal["easiest", "hardest"]


@dataclass(frozen=True, kw_only=True)
class ByScore(Selection):
    """Sorts the images of every class by a difficulty; of equal ones, the earlier image comes first."""

    keep: Annotated[Keep, "which images of a class to keep"] = "easiest"

    def select(self, data: RealData, ipc: int, run: RunContext) -> Sequence[Tensor]:
        difficulty = self.difficulty(data, run)
        return [
            own[difficulty[own].sort(stable=True, descending=self.keep == "hardest").indices[:ipc]]
            for own in run.real.by_class
        ]

    @abstractmethod
    def difficulty(self, data: RealData, run: RunContext) -> Tensor:
        """A number for each training image (N,); the larger, the harder."""


@dataclass(frozen=True, kw_only=True)
class ByNetworks(ByScore):
    """The mean of a difficulty over networks, each trained on its own on all real images.

    Source: section 4.1: the average over 10 independently trained models; the most typical images are kept.
    """

    nets: Annotated[int, "networks to average over", Ge(1)] = 10
    epochs: Annotated[int, "epochs that each is trained for", Ge(0)] = 10

    def difficulty(self, data: RealData, run: RunContext) -> Tensor:
        total = torch.zeros(len(data.train.labels), dtype=torch.float64)
        for net in range(self.nets):
            total += self.by_one(run, run.random.at("selection", "net", net)).double()
        return total / self.nets

    @abstractmethod
    def by_one(self, run: RunContext, random: Randomness) -> Tensor:
        """The difficulty (N,) of each training image by one network, on the CPU."""

    def trained(self, run: RunContext, random: Randomness) -> nn.Module:
        """A trained network in evaluation mode."""
        network = run.build(random.generator("network"))
        for _ in train_on_real(run, network, self.epochs, random):
            pass
        return network.eval()


@final
@dataclass(frozen=True, kw_only=True)
class EL2N(ByNetworks):
    """The error vector's length, ‖softmax(f(x)) − y‖₂. Source: Paul et al. 2021, definition 2.2."""

    def by_one(self, run: RunContext, random: Randomness) -> Tensor:
        network = self.trained(run, random)

        def error(images: Tensor, labels: Tensor) -> Tensor:
            truth = F.one_hot(labels, run.num_classes)
            return (network(images).softmax(dim=1) - truth).norm(dim=1)

        return over_real(run, error)


@final
@dataclass(frozen=True, kw_only=True)
class GraNd(ByNetworks):
    """The length of the gradient of an image's loss in all weights. Source: Paul et al. 2021, definition 2.1."""

    def by_one(self, run: RunContext, random: Randomness) -> Tensor:
        network = self.trained(run, random)
        weights = {name: p.detach() for name, p in network.named_parameters()}

        def loss(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
            return run.criterion(functional_call(network, weights, (image[None],)), label[None])[0]

        def length(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
            gradients = grad(loss)(weights, image, label)
            return torch.stack([g.square().sum() for g in gradients.values()]).sum().sqrt()

        return over_real(run, lambda images, labels: vmap(length, in_dims=(None, 0, 0))(weights, images, labels))


@final
@dataclass(frozen=True, kw_only=True)
class Forgetting(ByNetworks):
    """How often training gets an image right and later wrong again; one that it never gets right counts most.

    Looked at whenever the image is in a training batch. The forgotten ones are kept, as in the field's comparisons.
    Source: Toneva et al. 2019, definition 2.1 and section 3.
    """

    keep: Annotated[Keep, "which images of a class to keep"] = "hardest"
    nets: Annotated[int, "networks to average over", Ge(1)] = 1
    epochs: Annotated[int, "epochs that each is trained for", Ge(1)] = 20

    def by_one(self, run: RunContext, random: Randomness) -> Tensor:
        labels = run.data.train.labels
        events = torch.zeros(len(labels), dtype=torch.int64)
        right, ever = torch.zeros(2, len(labels), dtype=torch.bool)

        def seen(indices: Tensor, logits: Tensor) -> None:
            now = logits.argmax(dim=1).cpu() == labels[indices]
            events[indices] += (right[indices] & ~now).long()
            right[indices] = now
            ever[indices] |= now

        network = run.build(random.generator("network"))
        for _ in train_on_real(run, network, self.epochs, random, seen=seen):
            pass
        return torch.where(ever, events, self.epochs)


@final
@dataclass(frozen=True, kw_only=True)
class CScore(ByScore):
    """Consistency scores from a file, one for each training image in the order in which the data source loads them.

    A NumPy file: `.npy`, or `.npz` with one array or one named `scores`. Images of high score are typical: the
    easiest. Source: Jiang et al. 2021, who publish scores for CIFAR-10 and CIFAR-100.
    """

    scores: Annotated[Path, "NumPy file of scores, one for each training image"]

    def difficulty(self, data: RealData, run: RunContext) -> Tensor:
        part = data.train
        loaded = part.loaded or len(part.labels)
        scores = _read(self.scores)
        if scores.shape != (loaded,):
            raise DccError(
                f"selection.scores: '{self.scores}' holds {tuple(scores.shape)} numbers; data '{data.name}' has "
                f"{loaded} training images: expected one for each, ({loaded},)"
            )
        if not np.isfinite(scores).all():
            raise DccError(f"selection.scores: '{self.scores}' holds NaN or infinite numbers")
        difficulty = -torch.from_numpy(scores.astype(np.float64))
        return difficulty if part.places is None else difficulty[part.places]


def _read(path: Path) -> np.ndarray:
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.lib.npyio.NpzFile):
            name = found.files[0] if len(found.files) == 1 else "scores"
            found = found[name]
    except Exception as error:  # numpy raises whatever a damaged file leads it to
        raise DccError(
            f"selection.scores: '{path}' cannot be read: {error}; expected .npy, or .npz with an array 'scores'"
        ) from error
    if not np.issubdtype(found.dtype, np.number):
        raise DccError(f"selection.scores: '{path}' holds {found.dtype}; expected numbers")
    return found

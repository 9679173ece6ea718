"""An inner step as a matching loss sees it."""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from dcc_core.compute import IMAGES_AT_ONCE, send
from dcc_core.data import Batch, RealImages
from dcc_core.engine.augmentation import apply_draws
from dcc_core.engine.batch_statistics import batch_norm_layers, move_statistics
from dcc_core.engine.gradients import WeightGradient, add_up
from dcc_core.engine.run_context import RunContext
from dcc_core.engine.synthetic import Change, Synthetic
from dcc_core.errors import breaches_of
from dcc_core.renamed import old_name


@dataclass(frozen=True, kw_only=True)
class ClassGradients:
    """Mean loss gradients of `k` classes: lists over weights of tensors (k, *weight shape)."""

    classes: tuple[int, ...]
    real: list[Tensor]
    synthetic: list[Tensor]


@dataclass(frozen=True, kw_only=True)
class SummedGradients:
    """One weighted sum over classes of mean loss gradients: lists over weights."""

    real: list[Tensor]
    synthetic: list[Tensor]


class Step:
    """One inner step, as a matching loss sees it. Images are normalised, (B, C, H, W).

    outer, inner: loop indices from 0. everywhere: the labels of all processes together. classes: those of this process;
    with more processes than classes, some have none. synthetic: the set; `synthetic.batch(label)` decodes a class.
    """

    def __init__(
        self, run: RunContext, synthetic: Synthetic, *, outer: int, inner: int, network: Callable[[], nn.Module]
    ) -> None:
        self.run = run
        self.synthetic = synthetic
        self.outer = outer
        self.inner = inner
        self.everywhere: tuple[int, ...] = tuple(range(run.num_classes))
        self.classes: tuple[int, ...] = tuple(run.group.share(self.everywhere))
        self._network = network
        self._change: Change | None = None
        self._draws: dict[int, dict[str, Tensor]] = {}
        self._random = run.random.at("outer", outer, "inner", inner)

    @property
    def num_classes(self) -> int:
        """Classes of the data set."""
        return self.run.num_classes

    @cached_property
    def network(self) -> nn.Module:
        """The network for matching: no dropout; BatchNorm statistics moved towards those of real images, then frozen.

        Built on first use. Do not change its weights.
        """
        network = self._network()
        n = self.run.norm_batch
        if n and batch_norm_layers(network):
            generators = [self._random.generator("batch-norm", k) for k in range(self.num_classes)]
            batch = self.run.real.draw_classes(range(self.num_classes), n, generators)
            move_statistics(network, batch.images, self.run.norm_momentum)
        return network.eval()

    def generator(self, *purpose: str | int) -> torch.Generator:
        """This step's CPU generator for a purpose, e.g. `generator("start", label)`."""
        return self._random.generator("loss", *purpose)

    def real(self, label: int, n: int | None = None) -> Batch:
        """`n` real images of a class (default: the run's real batch; fewer if the class is smaller).

        The same call in the same step returns the same images. Not augmented.
        """

        def draw(k: int) -> Batch:
            return self.run.real.draw(k, n or self.run.real_batch, self._random.generator("real", k))

        return self._change(label, draw) if self._change else draw(label)

    def within(self, classes: Sequence[int]) -> Step:
        """This step restricted to some classes, e.g. for a loss within a group: same network, images and draws."""
        view = self._copy()
        view.classes = tuple(k for k in self.classes if k in classes)
        view.everywhere = tuple(k for k in self.everywhere if k in classes)
        return view

    def with_images(self, change: Change) -> Step:
        """This step with real and synthetic images replaced before augmentation.

        change: `change(label, of)` returns the images to use for a class, as many as `of(label)`. `of` returns the
        original images of any class, real or synthetic. Labels may become soft.
        """
        view = self._copy()
        before = self._change
        view._change = change if before is None else lambda k, of: change(k, lambda other: before(other, of))
        view.synthetic = self.synthetic.with_images(change)
        return view

    def with_network(self, network: nn.Module) -> Step:
        """This step with another network, which a loss has made, or its own with other weights fixed."""
        view, own = copy.copy(self), vars(self).get("network") is network  # whose BatchNorm statistics have moved
        for name in ("_gradient",) if own else ("network", "_gradient"):
            vars(view).pop(name, None)
        view._network = lambda: network
        return view

    def with_real(self, real: RealImages) -> Step:
        """This step with other real images to draw from, e.g. some of each class (`RealImages.only`)."""
        view = self._copy()
        view.run = replace(self.run, real=real)
        return view

    changed = old_name("changed", "with_images")

    def _copy(self) -> Step:
        """A copy. Builds the network first, for both: building it twice would move BatchNorm's statistics twice."""
        _ = self._gradient
        return copy.copy(self)

    def augment(self, batch: Batch, owners: Tensor | int, draw: int = 0) -> Batch:
        """Siamese augmentation: one draw per class and step, the same for real and synthetic images.

        owners: the class of each image (B,) int64 on the CPU, or one label for all. draw: the index of the draw, for
        a loss that needs several independent ones.
        """
        if isinstance(owners, int):
            owners = torch.from_numpy(np.full(len(batch.images), owners))
        if draw not in self._draws:
            generator = self._random.generator("augment", draw)
            self._draws[draw] = dict(self.run.augmentation.draw(self.num_classes, self.run.data.shape, generator))
        with breaches_of(self.run.title_of_section("aug")):
            return apply_draws(self.run.augmentation, batch, self._draws[draw], owners, self.num_classes)

    def augment_each(self, batch: Batch, *purpose: str | int) -> Batch:
        """Augmentation as in network training: one draw per image. purpose: address of the random numbers."""
        generator = self._random.generator("augment-each", *purpose)
        draws = self.run.augmentation.draw(len(batch.images), self.run.data.shape, generator, per_batch=True)
        every = torch.arange(len(batch.images))
        with breaches_of(self.run.title_of_section("aug")):
            return apply_draws(self.run.augmentation, batch, dict(draws), every, self.num_classes)

    def embed(self, images: Tensor) -> Tensor:
        """Features (B, D) of the network before its head."""
        return self.network.embed(images)  # pyright: ignore[reportCallIssue]

    def all_sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Sums over processes of tensors that depend on a process's classes; on one process, the tensors themselves.

        The derivative is the identity: each process contributes the gradient of its own images, and the engine sums
        these. So use a sum in a `Total`, and do not sum what depends on an earlier sum. Every process must call this
        equally often, with tensors of the same shapes, even if it has no class.
        """
        return self.run.group.all_sum(tensors, anchor=self.synthetic.leaves()[0])

    def class_gradients(self, classes: Sequence[int] | None = None) -> Iterator[ClassGradients]:
        """Mean gradients of each class (default: this process's), real and synthetic, with Siamese augmentation.

        Yielded in groups of classes that share no graph.
        """
        how = {"device": self.run.device, "dtype": self.run.dtype}
        equal_weights = functools.cache(lambda n: torch.full((n,), 1 / n, **how))
        for labels in self._equal_classes(self.classes if classes is None else classes):
            batches = (self.augment(batch, k) for k, batch in self._real_batches(labels))
            real = [self._gradient.value(b.images, b.labels, equal_weights(len(b))) for b in batches]
            owners = self.synthetic.owners_of(labels)
            batch = self.augment(self.synthetic.batch(*labels), owners)
            weights = self._image_weights(torch.ones(self.num_classes), owners)
            yield ClassGradients(
                classes=tuple(labels),
                real=[torch.stack(of_weight) for of_weight in zip(*real, strict=True)],
                synthetic=self._gradient.by_group(batch.images, batch.labels, weights, len(labels)),
            )

    def _equal_classes(self, classes: Sequence[int]) -> Iterator[list[int]]:
        """Groups of classes with equally many synthetic images, as many classes as fit in one pass."""
        images = self.run.parametrisation.images_per_row
        for count, run in itertools.groupby(classes, key=lambda k: self.synthetic.counts[k]):
            labels = list(run)
            size = self._gradient.groups_at_once(count * images, self.run.data.shape)
            yield from (labels[i : i + size] for i in range(0, len(labels), size))

    def summed_gradients(self, weights: Tensor | None = None) -> SummedGradients:
        """The sum over all classes of `weights[class]` times the mean gradient of the class, over all processes.

        weights: (num_classes,) constants, default all ones. Siamese augmentation is applied.
        """
        w = torch.ones(self.num_classes) if weights is None else weights.detach().cpu()
        real = self._summed_real(w)
        self.run.group.add(real)
        return SummedGradients(real=real, synthetic=self.all_sum(self._summed_synthetic(w)))

    def _summed_real(self, weights: Tensor) -> list[Tensor]:
        """The real part of `summed_gradients`, for this process's classes."""
        if not self.classes:
            return [torch.zeros_like(p) for p in self._gradient.parameters]

        def parts() -> Iterator[list[Tensor]]:
            for labels, batch, sizes in self._load_real(self.classes):
                owners = torch.from_numpy(np.repeat(labels, sizes))
                batch = self.augment(batch, owners)
                yield self._gradient.value(batch.images, batch.labels, self._image_weights(weights, owners))

        return add_up(parts())

    def _summed_synthetic(self, weights: Tensor) -> list[Tensor]:
        """The synthetic part of `summed_gradients`, for this process's classes."""
        if not self.classes:
            return [torch.zeros_like(p) for p in self._gradient.parameters]
        owners = self.synthetic.owners_of(self.classes)
        batch = self.augment(self.synthetic.batch(*self.classes), owners)
        return self._gradient.differentiable(batch.images, batch.labels, self._image_weights(weights, owners))

    def checksum_of_state(self) -> Tensor:
        """Checksum of what must be the same on every process: the synthetic set, and the network if it is built."""
        network = self.network.state_dict().values() if "network" in vars(self) else []
        return self.run.group.checksum([*self.synthetic.tensors().values(), *network])

    def synchronise_network(self) -> None:
        """Build the network on every process if any has built it: building moves its statistics."""
        if self.run.group.any_process("network" in vars(self)):
            _ = self.network

    @cached_property
    def _gradient(self) -> WeightGradient:
        return WeightGradient(
            self.network,
            self.run.criterion,
            self.run.chunks,
            plain=self.run.plain_operations,
            by_layer=self.run.by_layer,
            check_graph=self.outer == self.inner == 0,
            compiler=self.run.compiler,
            passes=self.run.outer_loops * self.run.inner_loops,
        )

    def _load_real(self, labels: Sequence[int]) -> Iterator[tuple[list[int], Batch, list[int]]]:
        """Real images of classes, as many classes at a time as are loaded at once: labels, images, number of each."""
        n = self.run.real_batch
        at_once = max(1, max(IMAGES_AT_ONCE, self.run.chunks.images) // n)
        for first in range(0, len(labels), at_once):
            own = list(labels[first : first + at_once])
            if self._change:
                batches = [self.real(k) for k in own]
                whole = Batch(torch.cat([b.images for b in batches]), torch.cat([b.labels for b in batches]))
                yield own, whole, list(map(len, batches))
            else:
                generators = (self._random.generator("real", k) for k in own)
                sizes = [min(n, len(self.run.real.by_class[k])) for k in own]
                yield own, self.run.real.draw_classes(own, n, generators), sizes

    def _real_batches(self, labels: Sequence[int]) -> Iterator[tuple[int, Batch]]:
        """Labels with the real images of their class, from `_load_real`."""
        for own, whole, sizes in self._load_real(labels):
            yield from zip(own, map(Batch, whole.images.split(sizes), whole.labels.split(sizes)), strict=True)

    def _image_weights(self, weights: Tensor, owners: Tensor) -> Tensor:
        """Weights per image (B,): each class contributes `weights[class]` times its mean."""
        counts = np.bincount(owners.numpy(), minlength=self.num_classes).clip(min=1)
        values = (weights.double().numpy() / counts)[owners.numpy()]
        return send(torch.from_numpy(values), self.run.device, self.run.dtype)

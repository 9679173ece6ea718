"""Pieces of work both ways: the field's (`field_loop`) and ours, on the same data with the same options."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, final

import field_loop
import torch

import dcc_plugins.manifest
from dcc_core import Component, DataSource, ImageSet, Randomness, RealData, Step, hookimpl
from dcc_core.config.settings import Rank, Settings
from dcc_core.engine.image_update import update
from dcc_core.jobs.configuration import resolve
from dcc_core.jobs.job import Job
from dcc_core.plugins.registry import Origin, Registry

Way = Callable[[], object]


@final
@dataclass(frozen=True, kw_only=True)
class Noise(DataSource):
    """Random images: speed does not depend on what they show."""

    count: Annotated[int, "classes"] = 10
    images: Annotated[int, "training images of each"] = 256
    side: Annotated[int, "height and width"] = 32
    tests: Annotated[int, "test images of each"] = 100

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        generator = torch.Generator().manual_seed(0)

        def some(n: int) -> ImageSet:
            shape = (n * self.count, 3, self.side, self.side)
            labels = torch.arange(self.count).repeat_interleave(n)
            return ImageSet(torch.randint(256, shape, generator=generator, dtype=torch.uint8), labels)

        names = tuple(map(str, range(self.count)))
        return RealData(
            name="noise",
            train=some(self.images),
            test=some(self.tests),
            class_names=names,
            mean=(0.5,) * 3,
            std=(0.25,) * 3,
        )


@hookimpl
def dcc_datasets() -> list[Component]:
    return [Component(name="noise", target="ways:Noise", summary="random images")]


def job_of(**options: Any) -> Job:
    """A job on random images unless `data` says otherwise."""
    registry = Registry([dcc_plugins.manifest, sys.modules[__name__]], [Origin("builtin"), Origin("ways")])
    settings = Settings()
    settings.add({"data": "noise", **{k.replace("__", "."): v for k, v in options.items()}}, "benchmark", Rank.FLAG)
    return Job(resolve(registry, settings), registry)


def field_network(job: Job) -> torch.nn.Module:
    """The job's ConvNet as the field builds it."""
    channels, side, _ = job.data.shape
    width, depth = job.config.table()["arch.width"], job.config.table()["arch.depth"] or 3
    return field_loop.convnet(channels, job.data.num_classes, side, width, depth)


def matching(job: Job, *, class_wise: bool) -> tuple[Way, Way]:
    """One image update both ways, on one network."""
    run, synthetic, state = job.start()
    network, plain = job.build(run.random.generator("network")), field_network(job).to(run.device)
    images = synthetic.stored["images"].detach().clone().requires_grad_()
    optimiser = torch.optim.SGD([images], lr=0.1, momentum=0.5)
    own = run.real.by_class
    normalised = run.real.normalisation.from_bytes(run.real.images)
    step_of = field_loop.class_wise_step if class_wise else field_loop.collective_step
    count = iter(range(10**9))

    def images_of(label: int) -> torch.Tensor:
        return normalised[own[label][torch.randperm(len(own[label]))[: run.real_batch]]]

    def augment(x: torch.Tensor, label: int) -> torch.Tensor:
        generator = Randomness(round_[0]).generator("augment", label)
        draw = run.augmentation.draw(1, run.data.shape, generator)
        index = torch.zeros(len(x), dtype=torch.int64)
        return run.augmentation.apply(x, index, draw, index)[0]

    round_ = [0]

    def field() -> None:
        round_[0] = next(count)
        wanted = None if job.config.names["aug"] == "none" else augment
        step_of(plain, images_of, images, run.ipc, optimiser, wanted)

    def ours() -> None:
        step = Step(run, synthetic, outer=1, inner=next(count), network=lambda: network)
        update(step, job.config.loss, state)

    return field, ours


def scoring(networks: int, epochs: int) -> tuple[Way, Way]:
    """Networks trained from scratch on one image per class, and tested."""
    job = job_of(arch__width=32, score__nets=networks)
    s = job.freeze(job.start().synthetic, 0)
    scorer = job.scorer(s)
    scorer = replace(scorer, protocol=replace(scorer.protocol, epochs=epochs, decays=(epochs // 2,)))
    data = job.decode(s)
    test = field_loop.loader(scorer.test.images, scorer.test.labels, shuffle=False)

    def field() -> None:
        for _ in range(networks):
            field_loop.score(field_network(job), data.images, data.labels, test, epochs, epochs // 2)

    return field, lambda: scorer.score(data, networks)


def digits(outer_loops: int) -> tuple[Way, Way]:
    """The default job on `digits`, all of it: condensing with network steps, and scoring of the set."""
    job = job_of(data="digits", run__outer_loops=outer_loops)

    def ours() -> None:
        s = job.condense()
        job.scorer(s).score(job.decode(s), job.config.score.nets)

    def field() -> None:
        run, synthetic, _ = job.start()
        images = synthetic.stored["images"].detach().clone().requires_grad_()
        labels = synthetic.stored["labels"]
        optimiser = torch.optim.SGD([images], lr=0.1, momentum=0.5)
        normalised = run.real.normalisation.from_bytes(run.real.images)
        own = run.real.by_class

        def images_of(label: int) -> torch.Tensor:
            return normalised[own[label][torch.randperm(len(own[label]))[: run.real_batch]]]

        for outer in range(outer_loops):
            network = field_network(job)
            training = torch.optim.SGD(network.parameters(), lr=0.01)
            for inner in range(run.inner_loops):
                warm = outer < outer_loops // 4 and inner < 10
                step = field_loop.class_wise_step if warm else field_loop.collective_step
                step(network, images_of, images, run.ipc, optimiser)
                if inner < run.inner_loops - 1:
                    loader = field_loop.loader(images.detach(), labels, shuffle=True)
                    for _ in range(run.network_steps):
                        field_loop.epoch(network, loader, training)
        s = job.freeze(synthetic, 0)
        scorer = job.scorer(s)
        test = field_loop.loader(scorer.test.images, scorer.test.labels, shuffle=False)
        p = scorer.protocol
        for _ in range(job.config.score.nets):
            field_loop.score(field_network(job), images.detach(), labels, test, p.epochs, *p.decays)

    return field, ours


WIDE = {"loss": "collective-bare"}
MANY = {"data__count": 100, "data__images": 16, "run__real_batch": 16, "arch__width": 32, "loss": "class-wise"}
WAYS: dict[str, Callable[[], tuple[Way, Way]]] = {
    "collective": lambda: matching(job_of(**WIDE), class_wise=False),
    "collective-dsa": lambda: matching(job_of(aug="dsa", **WIDE), class_wise=False),
    "class-wise": lambda: matching(job_of(**MANY), class_wise=True),
    "scoring": lambda: scoring(20, 30),
    "digits": lambda: digits(30),
}
"""The field's way and ours, by the key of the table's line."""


def fields_way(key: str) -> Way:
    """The field's way of a piece of work."""
    return WAYS[key]()[0]


def our_way(key: str) -> Way:
    """Ours."""
    return WAYS[key]()[1]

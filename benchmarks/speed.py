"""Speed against the field's way of working, in one process, the two in turn.

    python benchmarks/speed.py [--only collective,class-wise,...] [--rounds 5] [--data-root DIR] [--out PATH]

Prints a Markdown table of ratios, each the median over rounds with its range; "at least" bounds the field's time over
ours. With `--out` it writes PATH.json and PATH.md. Exits with 1 where a median does not keep to its bound.
"""

from __future__ import annotations

import functools
import json
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import click
import field_loop
import torch
from processes import forecast_ratios, memory_ratio, start_ratio

import dcc_plugins.manifest
from dcc_core import Component, DataSource, ImageSet, Randomness, RealData, Step, hookimpl
from dcc_core.config import resolve
from dcc_core.engine import update
from dcc_core.job import Job
from dcc_core.registry import Origin, Registry
from dcc_core.settings import Rank, Settings


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
    return [Component(name="noise", target="speed:Noise", summary="random images")]


def job_of(**options: Any) -> Job:
    """A job on random images unless `data` says otherwise."""
    registry = Registry([dcc_plugins.manifest, sys.modules[__name__]], [Origin("builtin"), Origin("speed")])
    settings = Settings()
    settings.add({"data": "noise", **{k.replace("__", "."): v for k, v in options.items()}}, "benchmark", Rank.FLAG)
    return Job(resolve(registry, settings), registry)


def field_network(job: Job) -> torch.nn.Module:
    """The job's ConvNet as the field builds it."""
    channels, side, _ = job.data.shape
    width, depth = job.config.table()["arch.width"], job.config.table()["arch.depth"] or 3
    return field_loop.convnet(channels, job.data.num_classes, side, width, depth)


Way = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """A line of the table. ratios: measured in so many rounds. bound: the least median, or the largest."""

    work: str
    bound: float
    ratios: Callable[[int], list[float]]
    most: bool = False

    def holds(self, median: float) -> bool:
        """Whether a median keeps to the bound."""
        return median <= self.bound if self.most else median >= self.bound


def in_turn(field: Way, ours: Way) -> Callable[[int], list[float]]:
    """Seconds of one way in units of the other's, round by round, after one round that is thrown away."""

    def ratios(rounds: int) -> list[float]:
        seconds: list[tuple[float, float]] = []
        for _ in range(rounds + 1):
            pair = []
            for way in (field, ours):
                start = time.perf_counter()
                way()
                pair.append(time.perf_counter() - start)
            seconds.append((pair[0], pair[1]))
        return [a / b for a, b in seconds[1:]]

    return ratios


def matching(job: Job, *, class_wise: bool) -> tuple[Way, Way]:
    """One image update both ways, on one network."""
    run, synthetic, state = job.start()
    network, plain = job.build(run.random.generator("network")), field_network(job)
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
    from dataclasses import replace

    job = job_of(arch__width=32, score__nets=networks)
    s = job.frozen(job.start().synthetic, 0)
    scorer = job.scorer(s)
    scorer = replace(scorer, protocol=replace(scorer.protocol, epochs=epochs, decays=(epochs // 2,)))
    data = job.decoded(s)
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
        job.scorer(s).score(job.decoded(s), job.config.score.nets)

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
        s = job.frozen(synthetic, 0)
        scorer = job.scorer(s)
        test = field_loop.loader(scorer.test.images, scorer.test.labels, shuffle=False)
        p = scorer.protocol
        for _ in range(job.config.score.nets):
            field_loop.score(field_network(job), images.detach(), labels, test, p.epochs, *p.decays)

    return field, ours


def convolutions(job: Job) -> Way:
    """The convolutions alone of one collective step's real images: forward, and the gradients of inputs and weights."""
    network = job.build(Randomness(0).generator("network"))
    layers = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    count, side = job.config.run.real_batch * job.data.num_classes, job.data.shape[1]
    at_once = job.context().chunks.images
    images = [torch.randn(at_once, m.in_channels, side >> i, side >> i) for i, m in enumerate(layers)]

    def run() -> None:
        for _ in range(count // at_once):
            for i, (layer, x) in enumerate(zip(layers, images, strict=True)):
                wanted = [layer.weight, layer.bias, *([x.requires_grad_()] if i else [])]
                out = layer(x)
                torch.autograd.grad(out, wanted, torch.ones_like(out))

    return run


def rows(data_root: Path | None) -> dict[str, Callable[[], Row]]:
    """The lines of the table, made when they are wanted."""
    wide = {"loss": "collective-bare"}
    many = {"data__count": 100, "data__images": 16, "run__real_batch": 16, "arch__width": 32, "loss": "class-wise"}

    def against_convolutions(rounds: int) -> list[float]:
        job = job_of(**wide)
        _, ours = matching(job, class_wise=False)
        return in_turn(ours, convolutions(job))(rounds)

    @functools.cache
    def forecasts(rounds: int) -> list[tuple[float, float]]:
        return [forecast_ratios() for _ in range(rounds)]

    def errors(which: int) -> Callable[[int], list[float]]:
        return lambda rounds: [abs(pair[which] - 1) for pair in forecasts(rounds)]

    table = {
        "collective": lambda: Row(
            "collective step, ConvNet-3-128, 10 × 256 real, ipc 1",
            1.6,
            in_turn(*matching(job_of(**wide), class_wise=False)),
        ),
        "convolutions": lambda: Row("the same, over its convolutions alone", 1.5, against_convolutions, most=True),
        "collective-dsa": lambda: Row(
            "the same with DSA", 2.0, in_turn(*matching(job_of(aug="dsa", **wide), class_wise=False))
        ),
        "class-wise": lambda: Row(
            "class-wise step, 100 × 16 real, ConvNet-3-32, ipc 1",
            1.3,
            in_turn(*matching(job_of(**many), class_wise=True)),
        ),
        "scoring": lambda: Row(
            "scoring 20 networks, ConvNet-3-32, ipc 1, 30 epochs, 1000 test images", 2.0, in_turn(*scoring(20, 30))
        ),
        "digits": lambda: Row("30 outer loops of the default job on digits", 2.0, in_turn(*digits(30))),
        "memory": lambda: Row(
            "peak memory of a collective step, 1000 classes / 10",
            1.3,
            lambda rounds: [memory_ratio() for _ in range(rounds)],
            most=True,
        ),
        "forecast-time": lambda: Row("time of a run against --dry-run, relative error", 0.25, errors(0), most=True),
        "forecast-memory": lambda: Row("memory of a run against --dry-run, likewise", 0.15, errors(1), most=True),
    }
    if data_root:
        table["start"] = lambda: Row(
            "start on CIFAR-10 until the first image update / importing torch and kornia and reading the data",
            1.3,
            lambda rounds: [start_ratio(data_root) for _ in range(rounds)],
            most=True,
        )
    return table


@click.command()
@click.option("--only", default="", help="lines, by key")
@click.option("--rounds", default=5)
@click.option("--data-root", type=click.Path(path_type=Path), help="folder that holds CIFAR-10")
@click.option("--out", type=click.Path(path_type=Path))
def main(only: str, rounds: int, data_root: Path | None, out: Path | None) -> None:
    warnings.simplefilter("ignore")
    lines = ["| work | bound | median | range |", "|---|---|---|---|"]
    results = []
    for key, make in rows(data_root).items():
        if only and key not in only.split(","):
            continue
        row = make()
        ratios = row.ratios(rounds)
        median = statistics.median(ratios)
        results.append(
            {"key": key, "work": row.work, "bound": row.bound, "most": row.most, "ratios": ratios, "median": median}
            | {"holds": row.holds(median)}
        )
        bound = f"{'at most' if row.most else 'at least'} {row.bound}"
        lines.append(f"| {row.work} | {bound} | {median:.2f} | {min(ratios):.2f} to {max(ratios):.2f} |")
        click.echo(lines[-1], err=True)
    where = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    text = "\n".join([*lines, "", f"{where}; {rounds} rounds."])
    click.echo(text)
    if out:
        out.with_suffix(".md").write_text(text + "\n")
        out.with_suffix(".json").write_text(
            json.dumps({"where": where, "rounds": rounds, "results": results}, indent=1)
        )
    if not all(r["holds"] for r in results):
        sys.exit(1)


if __name__ == "__main__":
    main()

"""What bounds a run on many cards: a simulator of one inner step that takes measured costs.

    python benchmarks/scaling.py                      the tables of docs/scaling.md
    python benchmarks/scaling.py --processes 4 --processes 16 --classes 100 --side 64 --bandwidth 12e9
    python benchmarks/scaling.py --measure            the ratios of costs, on this machine

Everything is arithmetic on the assumptions that are printed; `--measure` alone takes any time.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import click
import torch

from dcc_core import Batch
from dcc_core.engine.network_training import train_epoch
from dcc_core.testing import job_of
from dcc_plugins.networks.convnet import ConvNet

NUMBER = 4
"""Bytes of a number in float32."""
COMPARED = 32
"""Bytes that every process gives to comparisons in a step: objective, Totals, finiteness, checksum."""
MEGA, GIGA = 1e6, 1e9


def bytes_per_step(weights: float, stored: float, *, collective: bool) -> float:
    """Bytes that a process gives to sums and comparisons in one inner step.

    weights: bytes of the network's weights; a collective step sums two gradients of that size, a class-wise step none.
    stored: bytes of everything that is learned, whose gradient every step sums.
    """
    return 2 * weights * collective + stored + COMPARED


def ring(payload: float, processes: int, bandwidth: float, latency: float) -> float:
    """Seconds of an all-reduce: each process sends and receives its payload nearly twice, in 2 (p - 1) messages."""
    rounds = 2 * (processes - 1)
    return rounds / processes * payload / bandwidth + rounds * latency


@dataclass(frozen=True, kw_only=True)
class Costs:
    """One inner step and what it runs on. image: seconds of the gradient of one real image on one card.

    second: the gradient of a synthetic image's gradient, in units of `image`; training: an image in the network's
    training, likewise; both measured. steps: epochs T of that training. bandwidth: bytes per second and card between
    cards, latency: seconds of a message.
    """

    classes: int = 1000
    ipc: int = 10
    side: int = 224
    real_batch: int = 64
    weights: int = 14 * 10**6
    steps: int = 1
    image: float = 3 * 2 * 4e9 / 150e12
    second: float = 4.2
    training: float = 1.0
    bandwidth: float = 40e9
    latency: float = 10e-6

    @property
    def stored(self) -> float:
        """Bytes of the synthetic images."""
        return self.classes * self.ipc * 3 * self.side**2 * NUMBER

    def parts(self, processes: int) -> dict[str, float]:
        """Seconds of a collective inner step on so many processes, by what they go to."""
        own = math.ceil(self.classes / processes)
        between = {"bandwidth": self.bandwidth, "latency": self.latency}
        return {
            "real gradient": own * self.real_batch * self.image,
            "synthetic gradient": own * self.ipc * self.second * self.image,
            "network training": self.steps * self.classes * self.ipc * self.training * self.image,
            "sums of weights": ring(2 * self.weights * NUMBER, processes, **between),
            "sum of the set": ring(self.stored, processes, **between),
        }

    def seconds(self, processes: int) -> float:
        """Seconds of a collective inner step."""
        return sum(self.parts(processes).values())


def table(costs: Costs, processes: tuple[int, ...]) -> str:
    """Seconds by part, speedup and efficiency, in Markdown."""
    names = list(costs.parts(1))
    lines = [f"| processes | {' | '.join(names)} | a step | speedup | efficiency |", "|---" * (len(names) + 4) + "|"]
    for p in processes:
        parts = costs.parts(p)
        speedup = costs.seconds(1) / costs.seconds(p)
        cells = [f"{1e3 * parts[name]:.1f} ms" for name in names]
        whole = f"{1e3 * costs.seconds(p):.0f} ms"
        lines.append(f"| {p} | {' | '.join(cells)} | {whole} | {speedup:.1f} | {speedup / p:.0%} |")
    return "\n".join(lines)


def report(costs: Costs, processes: tuple[int, ...]) -> str:
    """The tables of docs/scaling.md: with and without the network's training, and class counts that grow with cards."""
    payload = bytes_per_step(NUMBER * costs.weights, costs.stored, collective=True)
    sent = (
        f"{payload / GIGA:.2f} GB given to sums in a step: 2 × {NUMBER * costs.weights / MEGA:.0f} MB of weights and "
    )
    grown = "\n".join(
        f"| {p} | {8 * p} | {1e3 * one.seconds(p):.0f} ms | {one.stored / GIGA:.2f} GB |"
        for p in processes
        for one in [replace(costs, classes=8 * p, steps=0)]
    )
    return "\n\n".join(
        [
            f"{costs.classes} classes at {costs.side} pixels, ipc {costs.ipc}, {costs.real_batch} real images a class: "
            f"{sent}{costs.stored / GIGA:.2f} GB of images.",
            f"Network training of {costs.steps} epoch(s) on the set after each image update:",
            table(costs, processes),
            "Without it (matching under networks as they are initialised, or `run.network_steps=0`):",
            table(replace(costs, steps=0), processes),
            "Eight classes a card, without it:",
            f"| processes | classes | a step | images |\n|---|---|---|---|\n{grown}",
        ]
    )


def measured(side: int = 32, images: int = 64, repeats: int = 5) -> dict[str, float]:
    """`second` and `training` of `Costs`, by medians of times taken in turn, on a CPU."""
    run = job_of({"data": "digits", "run.device": "cpu"}).context()
    network = ConvNet().build(channels=3, classes=10, size=(side, side), generator=torch.Generator())
    parameters = list(network.parameters())
    optimiser = torch.optim.SGD(parameters, lr=0.01)
    batch = Batch(torch.randn(images, 3, side, side), torch.arange(images) % 10)
    how = {"chunks": run.chunks, "num_classes": 10, "criterion": run.criterion, "augmentation": run.augmentation}

    def gradient(inputs: torch.Tensor, *, graph: bool) -> list[torch.Tensor]:
        loss = run.criterion(network(inputs), batch.labels).mean()
        return list(torch.autograd.grad(loss, parameters, create_graph=graph))

    def second() -> None:
        inputs = batch.images.clone().requires_grad_()
        torch.autograd.grad(sum(g.square().sum() for g in gradient(inputs, graph=True)), inputs)

    works: dict[str, Callable[[], object]] = {
        "real": lambda: gradient(batch.images, graph=False),
        "second": second,
        "training": lambda: train_epoch(network, batch, optimiser, batch_size=256, random=run.random, **how),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(t[1:]) for name, t in times.items()}
    return {name: medians[name] / medians["real"] for name in ("second", "training")}


@click.command()
@click.option("--processes", multiple=True, type=int, default=(1, 8, 64, 512))
@click.option("--classes", type=int)
@click.option("--ipc", type=int)
@click.option("--side", type=int)
@click.option("--real-batch", type=int)
@click.option("--weights", type=int, help="numbers in the network's weights")
@click.option("--steps", type=int, help="epochs of the network's training after each image update")
@click.option("--image", type=float, help="seconds of one real image's gradient on one card")
@click.option("--second", type=float)
@click.option("--training", type=float)
@click.option("--bandwidth", type=float, help="bytes per second and card")
@click.option("--latency", type=float, help="seconds of a message")
@click.option("--measure", is_flag=True)
def main(processes: tuple[int, ...], measure: bool, **given: float | None) -> None:
    if measure:
        click.echo(measured())
        return
    click.echo(report(Costs(**{k: v for k, v in given.items() if v is not None}), processes))


if __name__ == "__main__":
    main()

"""What the sum over classes keeps of their gradients, along a run: why the collective loss moves images less.

    python benchmarks/class_gradients.py --data cifar10 --data-root DIR --ipc 1 --loss collective --loops 30 \
        [--at 0 --at 10 --at 29] [-o KEY=VALUE ...]

At some outer loops, before the first and the last image update of each, both losses look at the same images, real
batches and network. Printed as Markdown, means over classes or images:

- norm: of a class's real gradient, over all weights
- cosine: between the real gradients of two classes
- kept: the norm of the sum of the real gradients, by the sum of their norms; 0: they cancel out, 1: they agree
- pull: the norm of an image's gradient under `collective-bare`, by that under `class-wise`
- direction: the cosine between the two gradients of an image
"""

from __future__ import annotations

from pathlib import Path

import click
import torch
from torch import Tensor

from dcc_core import MatchingLoss, State, Step
from dcc_core.config import Rank, Settings
from dcc_core.engine import Network, update
from dcc_core.jobs import Job, resolve
from dcc_core.plugins import Registry
from dcc_plugins.losses import ClassWise, CollectiveBare


@click.command()
@click.option("--data", default="cifar10")
@click.option("--data-root", type=click.Path(path_type=Path))
@click.option("--ipc", type=int, multiple=True, default=(1,))
@click.option("--loss", "losses", multiple=True, default=("class-wise", "collective"))
@click.option("--loops", type=int, default=30)
@click.option("--at", type=int, multiple=True, default=(0, 10, 29))
@click.option("-o", "pairs", multiple=True)
def main(
    data: str,
    data_root: Path | None,
    ipc: tuple[int, ...],
    losses: tuple[str, ...],
    loops: int,
    at: tuple[int, ...],
    pairs: tuple[str, ...],
) -> None:
    registry = Registry.installed()
    click.echo("| ipc | run | outer | inner | norm | cosine | kept | pull | direction |" + "\n" + "|---" * 9 + "|")
    for n in ipc:
        for loss in losses:
            settings = Settings()
            own = {"data": data, "loss": loss, "run.ipc": n, "run.outer_loops": loops, "run.data_root": data_root}
            settings.add(own, "benchmark", Rank.OPTION)
            settings.add_options(pairs)
            follow(Job(resolve(registry, settings), registry), f"| {n} | {loss} |", at)


def follow(job: Job, head: str, at: tuple[int, ...]) -> None:
    """Run a job's algorithm, and print a row before the first and the last update of the loops `at`."""
    run, synthetic, state = job.start()
    for outer in range(run.outer_loops):
        network = Network(run, outer)
        for inner in range(run.inner_loops):
            step = Step(run, synthetic, outer=outer, inner=inner, network=network.module)
            if outer in at and inner in (0, run.inner_loops - 1):
                numbers = " | ".join(f"{value:.3g}" for value in measure(step))
                click.echo(f"{head} {outer} | {inner} | {numbers} |")
            update(step, job.config.loss, state)
            if inner < run.inner_loops - 1:
                network.train(synthetic, inner)


def measure(step: Step) -> tuple[float, ...]:
    """Norm, cosine, kept, pull and direction at a step; the synthetic set stays as it is."""
    real = torch.cat([torch.cat([g.flatten(1) for g in chunk.real], dim=1) for chunk in step.class_gradients()])
    norms = real.norm(dim=1)
    unit = real / norms.unsqueeze(1)
    cosines = (unit @ unit.T)[~torch.eye(len(real), dtype=torch.bool)]
    alone, together = (image_gradients(step, loss) for loss in (ClassWise(), CollectiveBare()))
    return (
        float(norms.mean()),
        float(cosines.mean()),
        float(real.sum(dim=0).norm() / norms.sum()),
        float((together.norm(dim=1) / alone.norm(dim=1)).mean()),
        float(torch.nn.functional.cosine_similarity(together, alone).mean()),
    )


def image_gradients(step: Step, loss: MatchingLoss) -> Tensor:
    """The gradient of each stored image (N, D) under a loss."""
    leaves = step.synthetic.leaves()
    gradients = [torch.zeros_like(leaf) for leaf in leaves]
    for term in loss.terms(step, State()):
        for total, g in zip(gradients, torch.autograd.grad(term.value, leaves, allow_unused=True), strict=True):
            if g is not None:
                total += g
    return torch.cat(gradients).flatten(1)


if __name__ == "__main__":
    main()

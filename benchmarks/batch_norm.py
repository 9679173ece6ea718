"""A network with BatchNorm, condensed with its statistics moved towards real images' and, for comparison, left alone.

    python benchmarks/batch_norm.py --data-root DIR [--arch timm/resnet18] [-o KEY=VALUE ...] [--sets 1] [--nets 3]

DIR holds CIFAR-10. Sets of images of one size are scored by the same protocol: condensed with statistics that one
forward of real images moved all the way (`run.norm_momentum=1`) or a tenth of it (the layers' own momentum), or not at
all (`run.norm_batch=0`); the random real images that all of them began from, and others. Prints a Markdown table.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, pstdev

import click
import torch

from dcc_core.config import resolve
from dcc_core.coreset import random_set
from dcc_core.job import Job
from dcc_core.registry import Registry
from dcc_core.settings import Rank, Settings

WAYS = (("real, all the way", 16, 1.0), ("real, a tenth of the way", 16, None), ("as training left them", 0, None))
BEFORE = "(the random real images they began from)"
RANDOM = "(other random real images)"


@click.command()
@click.option("--data-root", type=click.Path(path_type=Path), required=True)
@click.option("--arch", default="timm/resnet18")
@click.option("-o", "pairs", multiple=True)
@click.option("--sets", default=1)
@click.option("--nets", default=3)
def main(data_root: Path, arch: str, pairs: tuple[str, ...], sets: int, nets: int) -> None:
    registry = Registry.installed()
    accuracies: dict[str, list[list[float]]] = {}
    for name, batch, momentum in WAYS:
        settings = Settings()
        settings.add_options(pairs)
        settings.add({"data": "cifar10", "arch": arch, "run.data_root": data_root}, "benchmark", Rank.FLAG)
        settings.add({"run.norm_batch": batch, "run.norm_momentum": momentum}, "benchmark", Rank.FLAG)
        job = Job(resolve(registry, settings), registry)
        for index in range(sets):
            start = job.start(index)
            before = job.frozen(start.synthetic, index)
            s = job.condense(index, start=start)
            subjects = {name: s}
            if not accuracies.get(RANDOM, [])[index:]:
                subjects |= {BEFORE: before, RANDOM: random_set(job, s)}
            for subject, one in subjects.items():
                score = job.scorer(one).score(job.decoded(one), nets)
                accuracies.setdefault(subject, []).append(list(score.accuracies))
                click.echo(f"set {index}, {subject}: {score.accuracies}", err=True)
    click.echo(f"torch {torch.__version__}, {torch.get_num_threads()} thread(s), protocol {score.protocol}\n")
    click.echo("| statistics while matching | accuracy, % | std over all | by set |\n|---|---|---|---|")
    for subject, by_set in accuracies.items():
        every = [a for one in by_set for a in one]
        means = ", ".join(f"{100 * fmean(one):.1f}" for one in by_set)
        click.echo(f"| {subject} | {100 * fmean(every):.1f} | {100 * pstdev(every):.1f} | {means} |")


if __name__ == "__main__":
    main()

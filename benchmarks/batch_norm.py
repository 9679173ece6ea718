"""A network with BatchNorm, condensed with its statistics set from real images and, for comparison, left alone.

    python benchmarks/batch_norm.py --data-root DIR [--arch timm/resnet18] [-o KEY=VALUE ...] [--sets 1] [--nets 3]

DIR holds CIFAR-10. Three sets of images of one size are scored by the same protocol: condensed with frozen real
statistics (`run.norm_batch=16`), condensed with those that training left (`run.norm_batch=0`), and random real images.
Prints a Markdown table.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, pstdev

import click
import torch

from dcc_core.config import resolve
from dcc_core.job import Job
from dcc_core.registry import Registry
from dcc_core.settings import Rank, Settings


@click.command()
@click.option("--data-root", type=click.Path(path_type=Path), required=True)
@click.option("--arch", default="timm/resnet18")
@click.option("-o", "pairs", multiple=True)
@click.option("--sets", default=1)
@click.option("--nets", default=3)
def main(data_root: Path, arch: str, pairs: tuple[str, ...], sets: int, nets: int) -> None:
    registry = Registry.installed()
    accuracies: dict[str, list[list[float]]] = {}
    for norm_batch, name in ((16, "set from real images, frozen"), (0, "as training left them")):
        settings = Settings()
        settings.add_options(pairs)
        settings.add({"data": "cifar10", "arch": arch, "run.data_root": data_root}, "benchmark", Rank.FLAG)
        settings.add({"run.norm_batch": norm_batch}, "benchmark", Rank.FLAG)
        job = Job(resolve(registry, settings), registry)
        for index in range(sets):
            s = job.condense(index)
            subjects = {name: s} | ({"random real images": job.random_set(s)} if norm_batch else {})
            for subject, one in subjects.items():
                score = job.scorer(one).score(job.decoded(one), nets)
                accuracies.setdefault(subject, []).append(list(score.accuracies))
                click.echo(f"set {index}, {subject}: {score.accuracies}", err=True)
    click.echo(f"torch {torch.__version__}, {torch.get_num_threads()} thread(s), protocol {score.protocol}\n")
    click.echo("| statistics while matching | accuracy, % | std over all |\n|---|---|---|")
    for subject, by_set in accuracies.items():
        every = [a for one in by_set for a in one]
        click.echo(f"| {subject} | {100 * fmean(every):.1f} | {100 * pstdev(every):.1f} |")


if __name__ == "__main__":
    main()

"""A network with BatchNorm, condensed with its statistics moved towards real images' and, for comparison, left alone.

    python benchmarks/batch_norm.py --data-root DIR [--arch timm/resnet18] [-o KEY=VALUE ...] [--sets 1] [--nets 3]
        [--test N] [--epochs N]

DIR holds CIFAR-10. Sets of images of one size are scored by the same protocol: condensed with statistics that one
forward of real images moved a tenth of the way (the layers' own momentum, the default) or all the way
(`run.norm_momentum=1`), or not at all (`run.norm_batch=0`); the random real images that all of them began from, and
others. A set's networks begin with the same weights in every row. --test takes the first N test images alone,
--epochs shortens the protocol.

Prints a Markdown table after every set. "gain" is what a row has over the images that its sets began from: the mean
over sets, and its standard error.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean, pstdev, stdev

import click
import torch

from dcc_core.config.settings import Rank, Settings
from dcc_core.data.batch import Batch
from dcc_core.jobs.configuration import resolve
from dcc_core.jobs.coreset import random_set
from dcc_core.jobs.job import Job
from dcc_core.plugins.registry import Registry
from dcc_core.sets.condensed_set import CondensedSet

WAYS: dict[str, tuple[int, float | None]] = {
    "real, a tenth of the way": (16, None),
    "as training left them": (0, None),
    "real, all the way": (16, 1.0),
}
BEFORE = "(the random real images they began from)"
RANDOM = "(other random real images)"
Accuracies = dict[str, list[list[float]]]


@click.command()
@click.option("--data-root", type=click.Path(path_type=Path), required=True)
@click.option("--arch", default="timm/resnet18")
@click.option("-o", "pairs", multiple=True)
@click.option("--sets", default=1)
@click.option("--nets", default=3)
@click.option("--test", default=None, type=int)
@click.option("--epochs", default=None, type=int)
def main(
    data_root: Path, arch: str, pairs: tuple[str, ...], sets: int, nets: int, test: int | None, epochs: int | None
) -> None:
    jobs = {name: job_of(data_root, arch, pairs, *how) for name, how in WAYS.items()}
    found: Accuracies = {name: [] for name in (BEFORE, RANDOM, *WAYS)}

    def score(subject: str, job: Job, one: CondensedSet) -> None:
        scorer = job.scorer(one)
        part = Batch(scorer.test.images[:test], scorer.test.labels[:test])
        protocol = scorer.protocol.with_epochs(epochs)
        accuracies = replace(scorer, test=part, protocol=protocol).score(job.decode(one), nets).accuracies
        found[subject].append([100 * a for a in accuracies])
        click.echo(f"set {one.provenance.set}, {subject}: {accuracies}", err=True)

    for index in range(sets):
        for name, job in jobs.items():
            start = job.start(index)
            before = job.freeze(start.synthetic, index)
            if name == next(iter(jobs)):
                score(BEFORE, job, before)
            score(name, job, job.condense(index, start=start))
        score(RANDOM, job, random_set(job, before))
        click.echo(f"\nsets: {index + 1}, torch {torch.__version__}, {torch.get_num_threads()} thread(s)\n")
        click.echo(table(found))


def job_of(data_root: Path, arch: str, pairs: tuple[str, ...], batch: int, momentum: float | None) -> Job:
    registry = Registry.installed()
    settings = Settings()
    settings.add_options(pairs)
    settings.add({"data": "cifar10", "arch": arch, "run.data_root": data_root}, "benchmark", Rank.FLAG)
    settings.add({"run.norm_batch": batch, "run.norm_momentum": momentum}, "benchmark", Rank.FLAG)
    return Job(resolve(registry, settings), registry)


def table(found: Accuracies) -> str:
    lines = ["| statistics while matching | accuracy, % | std over all | by set | gain |", "|---|---|---|---|---|"]
    for subject, by_set in found.items():
        every = [a for one in by_set for a in one]
        means = ", ".join(f"{fmean(one):.1f}" for one in by_set)
        gains = [fmean(one) - fmean(first) for one, first in zip(by_set, found[BEFORE], strict=True)]
        error = f" ± {stdev(gains) / len(gains) ** 0.5:.1f}" if len(gains) > 1 else ""
        gain = f"{fmean(gains):+.1f}{error}" if subject in WAYS else ""
        lines.append(f"| {subject} | {fmean(every):.1f} | {pstdev(every):.1f} | {means} | {gain} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

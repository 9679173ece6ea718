"""Which image rate is best at which budget: validation accuracies over a grid of rates, for every loss.

    python benchmarks/rates.py measure --data cifar10 --data-root DIR --out rates.jsonl --ipc 1 --loss collective \
        --rate 0.3 --rate 1 --rate 3 --loops 10 --loops 30 --loops 100 --seed 0 --seed 1 [-o KEY=VALUE ...]

A tenth of the training images is set apart; the test images are not touched. ConvNet of width 32, 64 real images a
class.
A loss whose schedule does not depend on the number of outer loops is read along one run; `collective`, whose warm-up
is a share of them, runs once for every number. Lines that --out has already are not measured again.

    python benchmarks/rates.py table rates.jsonl ...

prints what was measured as Markdown.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import click

from dcc_core import DccError, Registry, StepReport
from dcc_core.config.settings import Rank, Settings
from dcc_core.jobs.configuration import resolve
from dcc_core.jobs.job import Job

NETS = 3
PLACE = ("data", "ipc", "loss", "loops")
NARROW = {
    "arch.width": 32,
    "run.real_batch": 64,
    "run.sets": 1,
    "data.validation": 0.1,
    "data.missing": "skip",
    "score.part": "validation",
    "score.protocol": "dc",
}


@click.group()
def main() -> None:
    """Measure, or print what was measured."""


@main.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
def table(files: tuple[Path, ...]) -> None:
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    rates = sorted({row["rate"] for row in rows})
    click.echo("| data | ipc | loss | outer loops | " + " | ".join(f"{rate:g}" for rate in rates) + " |")
    click.echo("|---" * (len(rates) + 4) + "|")
    for place in sorted({tuple(row[k] for k in PLACE) for row in rows}):
        cells = []
        for rate in rates:
            own = [row for row in rows if tuple(row[k] for k in PLACE) == place and row["rate"] == rate]
            own.sort(key=lambda row: row["seed"])
            cells.append(
                ", ".join(f"{100 * fmean(row['accuracies']):.1f}" if row["accuracies"] else "–" for row in own)
            )
        click.echo("| " + " | ".join([*map(str, place), *cells]) + " |")


@main.command()
@click.option("--data", required=True)
@click.option("--data-root", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--ipc", type=int, default=1)
@click.option("--loss", "losses", multiple=True, default=("class-wise", "collective"))
@click.option("--aug", default="none")
@click.option("--rate", "rates", type=float, multiple=True, required=True)
@click.option("--loops", type=int, multiple=True, required=True)
@click.option("--seed", "seeds", type=int, multiple=True, default=(0, 1))
@click.option("-o", "pairs", multiple=True)
def measure(
    data: str,
    data_root: Path | None,
    out: Path,
    ipc: int,
    losses: tuple[str, ...],
    aug: str,
    rates: tuple[float, ...],
    loops: tuple[int, ...],
    seeds: tuple[int, ...],
    pairs: tuple[str, ...],
) -> None:
    logging.getLogger("dcc").setLevel(logging.WARNING)
    registry = Registry.installed()
    done = {_place(json.loads(line)) for line in out.read_text().splitlines()} if out.exists() else set()
    for seed in seeds:
        for loss in losses:
            for rate in rates:
                row = {"data": data, "ipc": ipc, "loss": loss, "aug": aug, "rate": rate, "seed": seed}
                missing = sorted(n for n in loops if _place(row | {"loops": n}) not in done)
                for group in [[n] for n in missing] if loss == "collective" else [missing] if missing else []:
                    own = {"run.outer_loops": group[-1], "run.image_rate": rate, "run.ipc": ipc, "run.seed": seed}
                    settings = Settings()
                    settings.add({"data": data, "loss": loss, "aug": aug} | NARROW | own, "benchmark", Rank.OPTION)
                    settings.add_options(pairs)
                    if data_root:
                        settings.add({"run.data_root": data_root}, "benchmark", Rank.FLAG)
                    for found in _read(Job(resolve(registry, settings), registry), group):
                        with out.open("a") as file:
                            file.write(json.dumps(row | found) + "\n")


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[k] for k in ("data", "ipc", "loss", "aug", "rate", "seed", "loops"))


def _read(job: Job, loops: list[int]) -> Iterator[dict[str, Any]]:
    """Validation accuracies after so many outer loops, along one run; none after images that are not finite."""
    start, found, began = job.start(), {}, time.process_time()

    def watch(report: StepReport) -> None:
        if report.inner == start.run.inner_loops - 1 and report.outer + 1 in loops:
            spent = time.process_time() - began
            s = job.freeze(start.synthetic, 0)
            found[report.outer + 1] = spent, job.scorer(s).score(job.decode(s), NETS).accuracies

    try:
        job.condense(0, watch, start)
    except DccError as error:
        click.echo(error, err=True)
    for n in loops:
        spent, accuracies = found.get(n, (None, None))
        yield {"loops": n, "cpu_seconds": spent, "accuracies": accuracies}


if __name__ == "__main__":
    main()

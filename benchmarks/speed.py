"""Speed against the field's way of working, the two in turn.

    python benchmarks/speed.py [--only collective,class-wise,...] [--rounds 5] [--data-root DIR] [--out PATH]

Prints a Markdown table of ratios, each the median over rounds with its range; "at least" bounds the field's time over
ours. The last column is the ratio where the field's process keeps freed memory as ours does (`dcc_core/allocator.py`),
which its code does not ask for. With `--out` it writes PATH.json and PATH.md. Exits with 1 where a median does not keep
to its bound.
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

import click
import torch
from processes import forecast_ratios, memory_ratio, start_ratio
from turns import Apart, in_turn
from ways import WIDE, Way, fields_way, job_of, matching, our_way

from dcc_core import Randomness
from dcc_core.jobs.job import Job

Ratios = list[tuple[float, ...]]
"""Round by round: the ratio, and that of equal allocators where there is one."""


@dataclass(frozen=True)
class Row:
    """A line of the table. ratios: measured in so many rounds. bound: the least median, or the largest."""

    work: str
    bound: float
    ratios: Callable[[int], Ratios]
    most: bool = False

    def holds(self, median: float) -> bool:
        """Whether a median keeps to the bound."""
        return median <= self.bound if self.most else median >= self.bound


def against_field(key: str) -> Callable[[int], Ratios]:
    """The field's time in units of ours: as its code runs, and keeping freed memory."""
    field, ours = functools.partial(fields_way, key), functools.partial(our_way, key)

    def ratios(rounds: int) -> Ratios:
        sides = [Apart(field, keeps=False), Apart(field, keeps=True), Apart(ours, keeps=True)]
        return [(plain / own, keeping / own) for plain, keeping, own in in_turn(sides, rounds)]

    return ratios


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


def against_convolutions(rounds: int) -> Ratios:
    """Our time in units of the convolutions'."""
    job = job_of(**WIDE)
    _, ours = matching(job, class_wise=False)
    alone = convolutions(job)
    return [(_seconds(ours) / _seconds(alone),) for _ in range(rounds + 1)][1:]


def _seconds(way: Way) -> float:
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


def rows(data_root: Path | None) -> dict[str, Row]:
    """The lines of the table."""

    @functools.cache
    def forecasts(rounds: int) -> list[tuple[float, float]]:
        return [forecast_ratios() for _ in range(rounds)]

    def errors(which: int) -> Callable[[int], Ratios]:
        return lambda rounds: [(abs(pair[which] - 1),) for pair in forecasts(rounds)]

    def ratio(one: Callable[[], float]) -> Callable[[int], Ratios]:
        return lambda rounds: [(one(),) for _ in range(rounds)]

    steps = {
        "collective": ("collective step, ConvNet-3-128, 10 × 256 real, ipc 1", 1.6),
        "collective-dsa": ("the same with DSA", 2.0),
        "class-wise": ("class-wise step, 100 × 16 real, ConvNet-3-32, ipc 1", 1.3),
        "scoring": ("scoring 20 networks, ConvNet-3-32, ipc 1, 30 epochs, 1000 test images", 2.0),
        "digits": ("30 outer loops of the default job on digits", 2.0),
    }
    table = {key: Row(work, bound, against_field(key)) for key, (work, bound) in steps.items()}
    table |= {
        "convolutions": Row(
            "collective step as above, over its convolutions alone", 1.5, against_convolutions, most=True
        ),
        "memory": Row("peak memory of a collective step, 1000 classes / 10", 1.3, ratio(memory_ratio), most=True),
        "forecast-time": Row("time of a run against --dry-run, relative error", 0.25, errors(0), most=True),
        "forecast-memory": Row("memory of a run against --dry-run, likewise", 0.15, errors(1), most=True),
    }
    if data_root:
        table["start"] = Row(
            "start on CIFAR-10 until the first image update / importing torch and kornia and reading the data",
            1.3,
            ratio(lambda: start_ratio(data_root)),
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
    lines = ["| work | bound | median | range | field keeps memory too |", "|---|---|---|---|---|"]
    results = []
    for key, row in rows(data_root).items():
        if only and key not in only.split(","):
            continue
        ratios, *alike = (list(column) for column in zip(*row.ratios(rounds), strict=True))
        median = statistics.median(ratios)
        results.append(
            {"key": key, "work": row.work, "bound": row.bound, "most": row.most, "ratios": ratios, "median": median}
            | {"holds": row.holds(median), "ratios_field_keeps_memory": alike[0] if alike else None}
        )
        bound = f"{'at most' if row.most else 'at least'} {row.bound}"
        same = f"{statistics.median(alike[0]):.2f}" if alike else ""
        lines.append(f"| {row.work} | {bound} | {median:.2f} | {min(ratios):.2f} to {max(ratios):.2f} | {same} |")
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

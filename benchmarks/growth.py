"""How the time of an image update grows with classes, images per class, image size and width.

    pip install matplotlib && python benchmarks/growth.py [--rounds 5] [--out benchmarks/results/growth]

The points of a line take turns. Prints a table of times, each in units of its line's first, and the slope of every line
in a doubly logarithmic plot: 1 is linear. With `--out` it writes PATH.json, PATH.md and PATH.svg. Exits with 1 where a
slope is above its bound.
"""

from __future__ import annotations

import json
import math
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from ways import job_of

from dcc_core import Step
from dcc_core.engine.image_update import update

SMALL = {"arch__width": 16, "run__real_batch": 8, "data__images": 64}
SLACK = 1.15
"""A slope that still counts as linear, measured on a noisy machine."""


@dataclass(frozen=True)
class Line:
    """What grows, in which values, and how fast the work itself grows with it (the slope of its arithmetic)."""

    name: str
    values: tuple[int, ...]
    options: Callable[[int], dict[str, Any]]
    work: float = 1.0


LINES = (
    Line("classes", (10, 30, 100, 300, 1000), lambda n: {**SMALL, "data__count": n, "data__images": 8}),
    Line("ipc", (1, 5, 10, 20, 50), lambda n: {**SMALL, "run__ipc": n}),
    Line("image side", (32, 64, 128), lambda n: {**SMALL, "data__side": n, "data__images": 8, "arch__depth": 3}, 2.0),
    Line("width", (16, 32, 64, 128), lambda n: {**SMALL, "arch__width": n}, 2.0),
)
LOSSES = ("collective-bare", "class-wise")


def stepper(options: dict[str, Any]) -> Callable[[], object]:
    """A function that does one image update."""
    job = job_of(**options)
    run, synthetic, state = job.start()
    network = job.build(run.random.generator("network"))
    step = Step(run, synthetic, outer=1, inner=0, network=lambda: network)
    return lambda: update(step, job.config.loss, state)


def times(line: Line, loss: str, rounds: int) -> list[float]:
    """Median seconds at every value, after one round that is thrown away."""
    steps = [stepper({"loss": loss, **line.options(value)}) for value in line.values]
    seconds: list[list[float]] = [[] for _ in steps]
    for _ in range(rounds + 1):
        for step, own in zip(steps, seconds, strict=True):
            start = time.perf_counter()
            step()
            own.append(time.perf_counter() - start)
    return [statistics.median(own[1:]) for own in seconds]


def slope(values: tuple[int, ...], seconds: list[float]) -> float:
    """Of the straight line through the logarithms."""
    return statistics.linear_regression([math.log(v) for v in values], [math.log(s) for s in seconds]).slope


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """One panel for every line."""
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(LINES), figsize=(4 * len(LINES), 3.5), layout="constrained")
    for panel, line in zip(panels, LINES, strict=True):
        for row in results:
            if row["line"] == line.name:
                panel.loglog(row["values"], row["relative"], marker="o", label=f"{row['loss']}: {row['slope']:.2f}")
        work = [(v / line.values[0]) ** line.work for v in line.values]
        panel.loglog(line.values, work, linestyle=":", color="grey", label=f"arithmetic, at most: {line.work:g}")
        panel.set_xlabel(line.name)
        panel.set_xticks(line.values, [str(v) for v in line.values])
        panel.minorticks_off()
        panel.legend(fontsize="small")
    panels[0].set_ylabel("time of an image update, relative")
    figure.savefig(path)


@click.command()
@click.option("--rounds", default=5)
@click.option("--out", type=click.Path(path_type=Path))
def main(rounds: int, out: Path | None) -> None:
    warnings.simplefilter("ignore")
    results: list[dict[str, Any]] = []
    lines = ["| what grows | loss | times, relative | slope | at most |", "|---|---|---|---|---|"]
    for line in LINES:
        for loss in LOSSES:
            seconds = times(line, loss, rounds)
            relative = [s / seconds[0] for s in seconds]
            results.append({"line": line.name, "loss": loss, "values": line.values, "relative": relative})
            results[-1] |= {"slope": slope(line.values, seconds), "bound": SLACK * line.work}
            cells = ", ".join(f"{v}: {r:.1f}" for v, r in zip(line.values, relative, strict=True))
            lines.append(f"| {line.name} | {loss} | {cells} | {results[-1]['slope']:.2f} | {SLACK * line.work:.2f} |")
            click.echo(lines[-1], err=True)
    where = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}; {rounds} rounds."
    text = "\n".join([*lines, "", where])
    click.echo(text)
    if out:
        out.with_suffix(".md").write_text(text + "\n")
        out.with_suffix(".json").write_text(json.dumps({"where": where, "results": results}, indent=1))
        plot(results, out.with_suffix(".svg"))
    if any(row["slope"] > row["bound"] for row in results):
        sys.exit(1)


if __name__ == "__main__":
    main()

"""Accuracy against time for every method: collects what `dcc table frontier` has measured, and draws it.

    dcc table frontier --scale narrow --cells 'cifar10/ipc1/*/3m/seed0' --data-root DIR --out RUNS
    python benchmarks/frontier.py collect RUNS --rows benchmarks/results/frontier.jsonl --machine "2-core CPU"
    python benchmarks/frontier.py draw benchmarks/results/frontier.jsonl --out benchmarks/results/frontier
    python benchmarks/frontier.py expect benchmarks/results/frontier.jsonl --method fast

On a machine that does other work a budget says little. Then

    python benchmarks/frontier.py sample NAME --rows benchmarks/results/samples.jsonl --data-root DIR --ipc 10 \
        --loops 380 -o loss=early -o loss.of=dm -o loss.networks=2 -o loss.epochs=1

condenses for so many outer loops on CIFAR-10, with DSA and multi-formation unless -o says otherwise, and appends the
CPU seconds and the validation accuracy of one network of width 32, by protocol `dsa` with 300 epochs in place of 1000.

Cells that are done are not run again, so that a frontier grows in pieces. Rows that are there are kept; a cell that has
been measured again takes the place of its row. `draw` writes tables into the page and a picture; `expect` what runs of
a method may expect, for `dcc-run` to say.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import click
from cells import Row, collect_command, read_rows
from matplotlib.figure import Figure

from dcc_core import Registry
from dcc_core.config import Rank, Settings
from dcc_core.jobs import Job, resolve

SAMPLED = {
    **{"data": "cifar10", "aug": "dsa", "param": "multi-formation", "arch": "convnet", "arch.width": 32},
    **{
        "run.real_batch": 64,
        "run.sets": 1,
        "data.validation": 0.1,
        "score.part": "validation",
        "score.protocol": "dsa",
    },
}
OPTIONS = ("data", "run.ipc", "loss", "aug", "param", "arch", "arch.width", "run.real_batch")
"""What makes two runs alike enough to expect the same, with all options of the loss."""
MARKS = "<!-- cells: begin -->", "<!-- cells: end -->"
"""On the page, around what `draw` writes."""
Line = list[tuple[float, float]]
"""Minutes and accuracy in percent."""
PLAIN = ("dc", "dsa", "dcc", "dsac")
EXPECTED = Path(__file__).parents[1] / "dcc_plugins" / "recipes" / "expected.json"
AXES = ("data", "ipc", "method", "minutes", "seed")


@click.group()
def main() -> None:
    """Collect, or draw what was collected."""


@main.command()
@click.argument("name")
@click.option("--rows", "file", type=click.Path(path_type=Path), required=True)
@click.option("--data-root", type=click.Path(path_type=Path))
@click.option("--ipc", type=int, default=1)
@click.option("--loops", type=int, required=True)
@click.option("-o", "pairs", multiple=True)
def sample(name: str, file: Path, data_root: Path | None, ipc: int, loops: int, pairs: tuple[str, ...]) -> None:
    registry, settings = Registry.installed(), Settings()
    own = {"run.ipc": ipc, "run.outer_loops": loops, "run.data_root": data_root}
    settings.add(SAMPLED | own, "benchmark", Rank.SUGGESTION)
    settings.add_options(pairs)
    job = Job(resolve(registry, settings), registry)
    began = time.process_time()
    start = job.start()
    ready = time.process_time()
    s = job.condense(0, None, start)
    row = {"name": name, "ipc": ipc, "loops": loops, "options": pairs, "rate": job.config.image_rate}
    row |= {"setup_cpu": round(ready - began, 1), "cpu": round(time.process_time() - began, 1)}
    scorer = job.scorer(s)
    scorer = replace(scorer, protocol=replace(scorer.protocol, epochs=300, decays=(151,)))
    row |= {"accuracies": scorer.score(job.decode(s), 1).accuracies}
    with file.open("a") as rows:
        rows.write(json.dumps(row) + "\n")


main.add_command(collect_command("frontier", AXES, Path(__file__).parent / "results" / "frontier.jsonl"))


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=click.Path(path_type=Path), required=True)
def draw(file: Path, out: Path) -> None:
    groups: defaultdict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in read_rows(file):
        groups[row["scale"], row["data"], row["ipc"]].append(row)
    text = []
    methods = sorted({row["method"] for row in read_rows(file)})
    figure = Figure(figsize=(4.2 * len(groups), 3.4), layout="constrained")
    axes = figure.subplots(1, len(groups), squeeze=False)[0]
    for own, (group, rows) in zip(axes, sorted(groups.items()), strict=True):
        lines = {name: lines_of(rows, name) for name in sorted({row["method"] for row in rows})}
        text += [table_of(group, rows), table_of_ratios(lines)]
        draw_group(own, group, lines, methods)
    page = Path(f"{out}.md")
    if not page.exists() or not all(mark in page.read_text() for mark in MARKS):
        raise click.ClickException(f"'{page}' has no lines '{MARKS[0]}' and '{MARKS[1]}' to write between")
    before, after = page.read_text().split(MARKS[0])[0], page.read_text().split(MARKS[1])[1]
    page.write_text("\n\n".join([before + MARKS[0], *filter(None, text), MARKS[1] + after]))
    figure.savefig(f"{out}.svg", metadata={"Date": None, "Creator": None})


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option("--method", default="fast")
def expect(file: Path, method: str) -> None:
    found: dict[str, Row] = {}
    for row in read_rows(file):
        if row["method"] == method and " -o loss." not in row["command"]:  # which is another method
            (network,) = row["accuracies"]
            alike = {k: v for k, v in row["options"].items() if k in OPTIONS or k.startswith("loss.")}
            same = {"options": alike, "minutes": minutes_of(row), "network": network}
            same |= {"protocol": row["protocol"][network], "part": row["options"]["score.part"]}
            own = found.setdefault(json.dumps(same), same | {"accuracies": []})
            own["accuracies"].append(round(mean_of(row) / 100, 4))
    EXPECTED.write_text(json.dumps(list(found.values()), indent=1) + "\n")


def minutes_of(row: Row) -> float:
    return float(row["minutes"].removesuffix("m"))


def mean_of(row: Row) -> float:
    """The accuracy of a cell in percent."""
    (accuracies,) = row["accuracies"].values()
    return 100 * fmean(accuracies)


def lines_of(rows: list[Row], method: str) -> dict[str, Line]:
    """Minutes and mean accuracy of a method, by seed: its cells', and the moments of a plain method's longest.

    A moment's time is its share of the outer loops. What other methods prepare before the first would count as part of
    them, so that only plain methods, which prepare nothing, have moments.
    """
    found: dict[str, Line] = {}
    for seed in sorted({row["seed"] for row in rows if row["method"] == method}):
        own = [row for row in rows if (row["method"], row["seed"]) == (method, seed)]
        longest, line = max(own, key=minutes_of), [(minutes_of(row), mean_of(row)) for row in own]
        for outer, accuracies in longest["curve"] if method in PLAIN else ():
            if 0 < outer < (loops := longest["options"]["run.outer_loops"]):
                line.append((minutes_of(longest) * outer / loops, 100 * fmean(accuracies)))
        found[seed] = sorted(line)
    return found


def table_of(group: tuple[str, ...], rows: list[Row]) -> str:
    """A Markdown table, the best method first."""
    scale, data, ipc = group
    cells: defaultdict[str, defaultdict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows, key=lambda row: row["seed"]):
        cells[row["method"]][minutes_of(row)].append(mean_of(row))
    minutes = sorted({m for own in cells.values() for m in own})
    lines = [f"## {data}, {ipc}, scale {scale}", ""]
    lines += ["| method | " + " | ".join(f"{m:g} min" for m in minutes) + " |", "|---" * (len(minutes) + 1) + "|"]
    for method, own in sorted(cells.items(), key=lambda item: -max(map(fmean, item[1].values()))):
        values = (", ".join(f"{a:.1f}" for a in own.get(m, ())) or "–" for m in minutes)
        lines.append(f"| {method} | " + " | ".join(values) + " |")
    loops = "; ".join(
        f"{row['method']} {row['minutes']} {row['seed']}: {row['options']['run.outer_loops']}"
        for row in rows
        if row["options"].get("run.outer_loops")
    )
    return "\n".join([*lines, *(["", f"Outer loops that the time allowed: {loops}."] if loops else [])])


def table_of_ratios(lines: dict[str, dict[str, Line]]) -> str:
    """How much sooner than a plain method others reach the accuracy that it ends with. Nothing if there is none."""
    ends = {}
    for method in PLAIN:
        last = [line[-1] for line in lines.get(method, {}).values() if len(line) > 1]
        if last:
            ends[method] = fmean(minutes for minutes, _ in last), fmean(accuracy for _, accuracy in last)
    if not ends:
        return ""
    text = ["Time to the accuracy that a plain method has at its end: minutes, and how many times less.", ""]
    text += ["| method | " + " | ".join(f"{m}: {a:.1f} % in {t:g} min" for m, (t, a) in ends.items()) + " |"]
    text += ["|---" * (len(ends) + 1) + "|"]
    for method, by_seed in lines.items():
        cells = [
            ratio_in_words(list(by_seed.values()), *end) if method != plain else "–" for plain, end in ends.items()
        ]
        if set(cells) != {"–"}:
            text.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(text)


def ratio_in_words(lines: list[Line], minutes: float, accuracy: float) -> str:
    """The mean over seeds of minutes to an accuracy, against a plain method's; a dash if a seed does not get there."""
    times = [t for line in lines if (t := reach(line, accuracy)) is not None]
    if len(times) < len(lines):
        return "–"
    most, least = ("≤ ", "≥ ") if any(line[0][0] == t for line, t in zip(lines, times, strict=True)) else ("", "")
    return f"{most}{fmean(times):.2g} ({least}{minutes / fmean(times):.2g}×)"


def reach(line: Line, accuracy: float) -> float | None:
    """The minutes from which on a line keeps an accuracy, on straight pieces between points; None: not at its end.

    Where the first point is above it already, its time is an upper bound.
    """
    found: float | None = None
    for i, (minutes, reached) in reversed(list(enumerate(line))):
        if reached < accuracy:
            break
        found = minutes
        if i and line[i - 1][1] < accuracy:
            before, lower = line[i - 1]
            found = before + (accuracy - lower) / (reached - lower) * (minutes - before)
    return found


def draw_group(axes: Any, group: tuple[str, ...], lines: dict[str, dict[str, Line]], methods: list[str]) -> None:
    """A line for each method, over minutes, and for each seed. methods: of all groups, which look alike in each."""
    for method, by_seed in lines.items():
        i = methods.index(method)
        style = {"marker": "osv^D<>pP*X"[i % 11], "ms": 4, "lw": 1.2, "color": f"C{i % 10}"}
        for j, line in enumerate(by_seed.values()):
            axes.plot(*zip(*line, strict=True), label=None if j else method, **style)
    axes.set(xscale="log", xlim=(0.8, 40), xlabel="minutes of condensing", ylabel="accuracy, %")
    axes.set_title(f"{group[1]}, {group[2]}")
    axes.set_xticks([1, 3, 10, 30], labels=["1", "3", "10", "30"])
    axes.minorticks_off()
    axes.legend(fontsize=7)


if __name__ == "__main__":
    main()

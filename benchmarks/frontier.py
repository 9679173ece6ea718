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
been measured again takes the place of its row. `draw` writes a Markdown table and a picture, `expect` what runs of a
method may expect, for `dcc-run` to say.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import replace
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Any

import click
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
OPTIONS = ("data", "run.ipc", "loss", "loss.of", "aug", "param", "arch", "arch.width", "run.real_batch")
"""What makes two runs alike enough to expect the same."""
EXPECTED = Path(__file__).parents[1] / "dcc_plugins" / "recipes" / "expected.json"
PLACE = ("scale", "data", "ipc", "method", "minutes", "seed")


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


@main.command()
@click.argument("runs", type=click.Path(path_type=Path, exists=True))
@click.option("--rows", "file", type=click.Path(path_type=Path), required=True)
@click.option("--scale", default="narrow")
@click.option("--machine", required=True, help="what the times belong to")
def collect(runs: Path, file: Path, scale: str, machine: str) -> None:
    found = {place(row): row for row in read(file)}
    for report in sorted(runs.rglob("report.json")):
        row = read_report(report, runs, scale) | {"machine": machine, "date": date.today().isoformat()}
        if place(row) not in found or numbers(found[place(row)]) != numbers(row):
            found[place(row)] = row
    file.write_text("".join(json.dumps(row) + "\n" for row in found.values()))


def read(file: Path) -> list[dict[str, Any]]:
    """The rows of a file; none if it is missing."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def place(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[key] for key in PLACE)


def numbers(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("machine", "date")}


def read_report(report: Path, runs: Path, scale: str) -> dict[str, Any]:
    """A row of a cell's report; its folder is DATA/IPC/METHOD/MINUTES/SEED."""
    data, ipc, method, minutes, seed = report.parent.relative_to(runs).parts[-5:]
    content = json.loads(report.read_text())
    config = {key: entry["value"] for key, entry in content["config"].items()}
    ((network, scores),) = content["by_architecture"].items()
    return {
        **{"scale": scale, "data": data, "ipc": int(ipc.removeprefix("ipc")), "method": method},
        **{"minutes": float(minutes.removesuffix("m")), "seed": int(seed.removeprefix("seed"))},
        **{"accuracies": content["scores"][0]["accuracies"], "network": network},
        "protocol": scores["condensed"]["protocol"],
        "part": config["score.part"],
        "options": {key: config[key] for key in OPTIONS if key in config},
        "outer_loops": config.get("run.outer_loops"),
        "image_rate": config.get("run.image_rate"),
        "seconds": {phase: round(s, 1) for phase, s in content["seconds"].items()},
        "versions": content["versions"],
    }


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=click.Path(path_type=Path), required=True)
def draw(file: Path, out: Path) -> None:
    groups: defaultdict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in read(file):
        groups[row["scale"], row["data"], row["ipc"]].append(row)
    text = [
        "# Accuracy for the time of condensing",
        "Validation accuracy in percent by `dcc table frontier`: the mean over networks, one number for each seed.",
    ]
    figure = Figure(figsize=(4.2 * len(groups), 3.4), layout="constrained")
    axes = figure.subplots(1, len(groups), squeeze=False)[0]
    for own, (group, rows) in zip(axes, sorted(groups.items()), strict=True):
        text.append(table_of(group, rows))
        draw_group(own, group, rows)
    Path(f"{out}.md").write_text("\n\n".join(text) + "\n")
    figure.savefig(f"{out}.svg", metadata={"Date": None, "Creator": None})


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option("--method", default="fast")
def expect(file: Path, method: str) -> None:
    found: dict[tuple[str, float], dict[str, Any]] = {}
    for row in read(file):
        if row["method"] == method:
            same = {key: row[key] for key in ("options", "minutes", "network", "protocol", "part")}
            own = found.setdefault((json.dumps(row["options"]), row["minutes"]), {**same, "accuracies": []})
            own["accuracies"].append(round(fmean(row["accuracies"]), 4))
    EXPECTED.write_text(json.dumps(list(found.values()), indent=1) + "\n")


def means(rows: list[dict[str, Any]]) -> dict[str, dict[float, list[float]]]:
    """Accuracies in percent by method and minutes, one for each seed."""
    found: dict[str, dict[float, list[float]]] = {}
    for row in sorted(rows, key=lambda row: (row["minutes"], row["seed"])):
        found.setdefault(row["method"], {}).setdefault(row["minutes"], []).append(100 * fmean(row["accuracies"]))
    return found


def table_of(group: tuple[Any, ...], rows: list[dict[str, Any]]) -> str:
    """A Markdown table, the best method first."""
    scale, data, ipc = group
    minutes = sorted({row["minutes"] for row in rows})
    found = sorted(means(rows).items(), key=lambda item: -max(fmean(v) for v in item[1].values()))
    lines = [f"## {data}, {ipc} per class, scale {scale}", ""]
    lines += ["| method | " + " | ".join(f"{m:g} min" for m in minutes) + " |", "|---" * (len(minutes) + 1) + "|"]
    for method, by_minutes in found:
        cells = (", ".join(f"{a:.1f}" for a in by_minutes.get(m, ())) or "–" for m in minutes)
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    loops = "; ".join(f"{r['method']} {r['minutes']:g} min: {r['outer_loops']}" for r in rows if r["outer_loops"])
    return "\n".join([*lines, "", f"Outer loops that the time allowed: {loops}." if loops else ""])


def draw_group(axes: Any, group: tuple[Any, ...], rows: list[dict[str, Any]]) -> None:
    """A line for each method, over minutes."""
    for i, (method, by_minutes) in enumerate(sorted(means(rows).items())):
        style = {"marker": "osv^D<>pP*X"[i % 11], "ms": 4, "lw": 1.2, "color": f"C{i % 10}"}
        axes.plot(list(by_minutes), [fmean(v) for v in by_minutes.values()], label=method, **style)
    axes.set(xscale="log", xlabel="minutes of condensing", ylabel="accuracy, %", title=f"{group[1]}, ipc {group[2]}")
    axes.legend(fontsize=6)


if __name__ == "__main__":
    main()

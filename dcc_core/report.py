"""The report of a run or an evaluation: what was asked for, what came out, what it cost."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from rich.table import Table

from dcc_core.evaluate import Score
from dcc_core.job import Job
from dcc_core.memory import peak_memory
from dcc_core.options import plain

FORMAT = 1


def summary(scores: Sequence[Score]) -> dict[str, Any]:
    """Scores of several sets on one architecture in one.

    Accuracies in 0..1, spread over all, over sets, and over networks; a single set has no spread over sets (none).
    """
    every = [a for s in scores for a in s.accuracies]
    return {
        "mean": statistics.fmean(every),
        "std": statistics.pstdev(every),
        "std_over_sets": statistics.pstdev([s.mean for s in scores]) if len(scores) > 1 else None,
        "std_over_networks": statistics.fmean([s.std for s in scores]),
        "sets": len(scores),
        "networks": len(scores[0].accuracies),
        "protocol": scores[0].protocol,
        "version": scores[0].version,
        "architecture": scores[0].architecture,
        "seconds": round(sum(s.seconds for s in scores), 3),
    }


def report_of(
    job: Job, method: str, scores: Mapping[str, Sequence[Score]], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """The content of `report.json`, but for what only a run has.

    method: in a word, as set files have it. scores: by subject, `condensed` and `random`. In the report,
    `by_architecture` holds for every network what `accuracy` holds for the first.
    """
    by_architecture: dict[str, dict[str, Any]] = {}
    for label in job.config.networks:
        row: dict[str, Any] = {
            subject: summary([s for s in many if s.architecture == label]) for subject, many in scores.items()
        }
        if "random" in row:
            row["gain"] = row["condensed"]["mean"] - row["random"]["mean"]
        by_architecture[label] = row
    return {
        "format": FORMAT,
        "method": method,
        "accuracy": next(iter(by_architecture.values())),
        "by_architecture": by_architecture,
        "scores": {subject: [s.as_dict() for s in many] for subject, many in scores.items()},
        "seconds": {phase: round(s, 3) for phase, s in seconds.items()},
        "device": str(job.device),
        "threads": torch.get_num_threads(),
        "peak_memory_bytes": peak_memory(job.device),
        "versions": job.versions,
        "config": {
            key: {"value": plain(setting.value), "origin": setting.origin}
            for key, setting in job.config.entries.items()
        },
    }


def result_table(report: Mapping[str, Any]) -> Table:
    """The accuracies of a report for a terminal, in percent."""
    first = report["accuracy"]["condensed"]
    names = {"condensed": report["method"], "random": "random real images"}
    subjects = {subject: name for subject, name in names.items() if subject in report["accuracy"]}
    title = f"{report['config']['score.part']['value']} accuracy, %: protocol {first['protocol']}"
    if len(report["by_architecture"]) == 1:
        columns = ("mean", "std", "over sets", "over networks")
        keys = ("mean", "std", "std_over_sets", "std_over_networks")
        title += f", {first['architecture']}"
        rows = {s: [_percent(report["accuracy"][s][k]) for k in keys] for s in subjects}
    else:
        columns = tuple(report["by_architecture"])
        rows = {s: [_mean_and_std(r[s]) for r in report["by_architecture"].values()] for s in subjects}
    table = Table(title=title)
    for column in ("set", *columns):
        table.add_column(column, justify="left" if column == "set" else "right")
    for subject, cells in rows.items():
        table.add_row(subjects[subject], *cells)
    phases = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in report["seconds"].items())
    table.caption = f"{first['sets']} set(s) × {first['networks']} network(s); {phases}"
    return table


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _mean_and_std(row: Mapping[str, Any]) -> str:
    return f"{_percent(row['mean'])} ± {_percent(row['std'])}"

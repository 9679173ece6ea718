"""The report of a run: what was asked for, what came out, what it cost."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from rich.table import Table

from dcc_core.config import Config
from dcc_core.evaluate import Score
from dcc_core.options import plain

FORMAT = 1


def summary(scores: Sequence[Score]) -> dict[str, Any]:
    """Scores of several sets in one: accuracies in 0..1, spread over all, over sets, and over networks.

    A single set has no spread over sets (none).
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
    }


def run_report(
    config: Config,
    *,
    method: str,
    out: str,
    files: Sequence[str],
    scores: Mapping[str, Sequence[Score]],
    seconds: Mapping[str, float],
    device: torch.device,
    versions: Mapping[str, str],
) -> dict[str, Any]:
    """The content of `report.json`. scores: by subject, `condensed` and `random`."""
    accuracy: dict[str, Any] = {subject: summary(s) for subject, s in scores.items()}
    if "random" in accuracy:
        accuracy["gain"] = accuracy["condensed"]["mean"] - accuracy["random"]["mean"]
    return {
        "format": FORMAT,
        "method": method,
        "out": out,
        "files": list(files),
        "accuracy": accuracy,
        "scores": {subject: [s.as_dict() for s in many] for subject, many in scores.items()},
        "seconds": {phase: round(s, 3) for phase, s in seconds.items()},
        "device": str(device),
        "threads": torch.get_num_threads(),
        "versions": dict(versions),
        "config": {
            key: {"value": plain(setting.value), "origin": setting.origin} for key, setting in config.entries.items()
        },
    }


def result_table(report: Mapping[str, Any]) -> Table:
    """The accuracies of a report for a terminal, in percent."""
    first = report["accuracy"]["condensed"]
    part = report["config"]["score.part"]["value"]
    table = Table(title=f"{part} accuracy, %: protocol {first['protocol']}, {first['architecture']}")
    for column in ("set", "mean", "std", "over sets", "over networks"):
        table.add_column(column, justify="left" if column == "set" else "right")
    for subject in ("condensed", "random"):
        if subject in report["accuracy"]:
            row = report["accuracy"][subject]
            keys = ("mean", "std", "std_over_sets", "std_over_networks")
            name = report["method"] if subject == "condensed" else "random real images"
            table.add_row(name, *("–" if row[k] is None else f"{100 * row[k]:.1f}" for k in keys))
    phases = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in report["seconds"].items())
    table.caption = f"{first['sets']} set(s) × {first['networks']} network(s); {phases}"
    return table

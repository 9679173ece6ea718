"""Rows of a table's cells: what benchmarks keep of every run, one line of JSON each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from dcc_core import Registry
from dcc_plugins.pages.record import read_run

Row = dict[str, Any]
MADE = ("machine", "date")
"""What a row says of its making, and what does not change a row whose numbers are the same."""


def read_cells(runs: Path, table: str, scale: str, axes: Sequence[str], machine: str) -> list[Row]:
    """A row of every cell of one set that is done. axes: of the table, as the folders are nested.

    `accuracies` (0..1) and `protocol` by network that was scored; `curve`: [outer loops, accuracies on validation
    images] at every moment that was scored on the way; `options`: all that the run had; `seconds` by phase.
    """
    return [
        _read_cell(report.parent, report.parent.relative_to(runs), table, scale, axes)
        | {"machine": machine, "date": date.today().isoformat()}
        for report in sorted(runs.rglob("report.json"))
    ]


def _read_cell(path: Path, cell: Path, table: str, scale: str, axes: Sequence[str]) -> Row:
    run = read_run(path, Registry.installed())
    scores = run.report.scores["condensed"]
    return {
        **dict(zip(axes, cell.parts, strict=True)),
        "scale": scale,
        "command": f"dcc table {table} --scale {scale} --cells '{cell.as_posix()}'",
        "accuracies": {score.architecture: score.accuracies for score in scores},
        "protocol": {score.architecture: score.protocol for score in scores},
        "curve": [[row.step // (run.number("run.inner_loops") or 1), row.accuracies] for row in run.curve],
        "options": {key: entry.value for key, entry in run.report.config.items() if entry.value is not None},
        "seconds": {phase: round(s, 1) for phase, s in run.report.seconds.items()},
        "threads": run.report.threads,
        "versions": run.report.versions,
    }


def read_rows(file: Path) -> list[Row]:
    """The rows of a file; none if it is missing."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def merge_rows(file: Path, rows: Sequence[Row], keys: Sequence[str]) -> None:
    """Write rows beside those of the file, or in place of one with the same keys and other numbers."""
    found = {tuple(row[key] for key in keys): row for row in read_rows(file)}
    for row in json.loads(json.dumps(rows)):
        place = tuple(row[key] for key in keys)
        if place not in found or _numbers(found[place]) != _numbers(row):
            found[place] = row
    file.write_text("".join(json.dumps(row) + "\n" for row in found.values()))


def _numbers(row: Row) -> Row:
    return {key: value for key, value in row.items() if key not in MADE}

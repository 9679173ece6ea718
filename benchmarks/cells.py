"""Rows of a table's cells: what benchmarks keep of every run, one line of JSON each."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import click

from dcc_core import Registry
from dcc_plugins.pages.record import read_run

Row = dict[str, Any]
MADE = ("machine", "date")
"""Who measured a row, and when; a row with the same numbers keeps them."""
OWN = ("run.data_root",)
"""Options that say nothing of a run but where its files are."""


def read_cells(runs: Path, table: str, scale: str, axes: Sequence[str], machine: str) -> list[Row]:
    """A row of every cell of one set that is done. axes: of the table, as the folders are nested.

    `accuracies` (0..1) and `protocol` by network that was scored; `curve`: [outer loops, accuracies on validation
    images] at every moment that was scored on the way; `options`: all that the run had; `seconds` by phase. Raises
    ClickException if folders are nested otherwise, or if the table has no such scale.
    """
    if scale not in (known := read_table(table)["scales"]):
        raise click.ClickException(f"no scale '{scale}' in table {table}: {', '.join(known)}")
    rows = []
    for report in sorted(runs.rglob("report.json")):
        cell = report.parent.relative_to(runs)
        if len(cell.parts) != len(axes):
            raise click.ClickException(
                f"'{report.parent}' is not {'/'.join(axes)} below '{runs}'; give the table's --out"
            )
        rows.append(_read_cell(report.parent, cell, table, scale, axes) | {"machine": machine, "date": today()})
    return rows


def collect_command(table: str, axes: Sequence[str], file: Path) -> click.Command:
    """The command `collect`: adds the cells that are done to a file of rows. axes: as in `read_cells`."""

    @click.command()
    @click.argument("runs", type=click.Path(path_type=Path, exists=True))
    @click.option("--rows", type=click.Path(path_type=Path), default=file)
    @click.option("--scale", default="narrow")
    @click.option("--machine", required=True, help="what the cells ran on")
    def collect(runs: Path, rows: Path, scale: str, machine: str) -> None:
        merge_rows(rows, read_cells(runs, table, scale, axes, machine), ("scale", *axes))

    return collect


def read_table(name: str) -> Row:
    """The file of a table of the toolkit."""
    file = resources.files("dcc_plugins.tables").joinpath(f"{name.replace('-', '_')}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def today() -> str:
    return date.today().isoformat()


def _read_cell(path: Path, cell: Path, table: str, scale: str, axes: Sequence[str]) -> Row:
    run = read_run(path, Registry.installed())
    scores = run.report.scores["condensed"]
    given = [f"-o {key}={entry.value}" for key, entry in run.report.config.items() if entry.origin == "-o"]
    command = [f"dcc table {table} --scale {scale} --cells '{cell.as_posix()}'", *given]
    return {
        **dict(zip(axes, cell.parts, strict=True)),
        "scale": scale,
        "command": " ".join(command),
        "accuracies": {score.architecture: score.accuracies for score in scores},
        "protocol": {score.architecture: score.protocol for score in scores},
        "curve": [[row.step / (run.number("run.inner_loops") or 1), row.accuracies] for row in run.curve],
        "options": {k: e.value for k, e in run.report.config.items() if e.value is not None and k not in OWN},
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

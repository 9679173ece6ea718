"""What a table's cells gave, as Markdown, CSV, JSON, and for a terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from dcc_core.config import format_duration
from dcc_plugins.tables.table import NETWORKS, Cell, TableSpec

MEASURED = (
    *("mean", "std", "std_over_sets", "std_over_networks", "ci95", "ci95_over", "sets", "networks"),
    *("protocol", "version", "images_seen"),
)
COLUMNS = ("cell", "network", *MEASURED, "paper_mean", "paper_std", "seconds", "peak_memory_bytes", "failed")
NOTHING = "–"


class Results:
    """Rows for every cell and network: accuracies in 0..1, the paper's in percent, seconds of the whole cell."""

    def __init__(self, spec: TableSpec, scale: str) -> None:
        self.spec = spec
        self.scale = scale
        self.failed: dict[str, str] = {}
        self._cells: dict[str, Cell] = {}
        self._reports: dict[str, Mapping[str, Any]] = {}

    def add(self, cell: Cell, report: Mapping[str, Any]) -> None:
        self._cells[cell.name] = cell
        self._reports[cell.name] = report

    def fail(self, cell: Cell, message: str) -> None:
        self._cells[cell.name] = cell
        self.failed[cell.name] = message

    def rows(self) -> Iterator[dict[str, Any]]:
        """One for each cell and network that it was scored on, in the table's order."""
        for cell in (c for c in self.spec.cells(self.scale) if c.name in self._cells):
            report = self._reports.get(cell.name, {"by_architecture": {"": {}}, "seconds": {}})
            for network, scores in report["by_architecture"].items():
                measured = scores.get("condensed", {})
                paper = self.spec.published(cell.name, network)
                row: dict[str, Any] = {"cell": cell.name, "network": network}
                row |= {key: measured.get(key) for key in MEASURED}
                row |= {"paper_mean": paper[0] if paper else None, "paper_std": paper[1] if paper[1:] else None}
                row |= {"seconds": round(sum(report["seconds"].values()), 1) if measured else None}
                row |= {"peak_memory_bytes": report.get("peak_memory_bytes"), "failed": self.failed.get(cell.name)}
                yield row

    def files(self) -> dict[str, str]:
        """The table in its three formats, by file name."""
        return {"table.md": self.markdown(), "table.csv": self.csv(), "table.json": self.json()}

    def csv(self) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows())
        return text.getvalue()

    def json(self) -> str:
        machines = [
            {key: report[key] for key in ("device", "threads", "versions")} for report in self._reports.values()
        ]
        about = {
            "table": self.spec.name,
            "title": self.spec.file.title,
            "scale": self.scale,
            "says": self.spec.scale(self.scale).says,
            "machines": [m for i, m in enumerate(machines) if m not in machines[:i]],
        }
        return json.dumps(about | {"rows": list(self.rows())}, indent=1) + "\n"

    def markdown(self) -> str:
        heads, lines = self._grid("<br>")
        table = [heads, ["---"] * len(heads), *lines]
        said = f"Scale {self.scale}: {self.spec.scale(self.scale).says}" if self.scale else ""
        text = [line for words in (f"# {self.spec.file.title}", said, self._legend()) if words for line in (words, "")]
        text += [f"| {' | '.join(line)} |" for line in table]
        text += ["", *(f"- {cell} failed: {message.splitlines()[0]}" for cell, message in self.failed.items())]
        return "\n".join(text).rstrip("\n") + "\n"

    def terminal(self) -> Table:
        """The table for a terminal."""
        heads, lines = self._grid("\n")
        title = self.spec.file.title + (f"; scale {self.scale}" if self.scale else "")
        table = Table(title=title, caption=self._legend(), show_lines=True)
        for head in heads:
            table.add_column(head)
        for line in lines:
            table.add_row(*line)
        return table

    def _legend(self) -> str:
        paper = "in brackets the paper's; " if self.spec.file.paper else ""
        return f"Accuracy in percent ± std over all networks; {paper}time of the whole cell."

    def _grid(self, newline: str) -> tuple[list[str], list[list[str]]]:
        """Heads and lines: the axes that are rows, then a column for every value of the one that is columns."""
        file, rows = self.spec.file, list(self.rows())
        axes = [axis for axis in file.axes if axis != file.columns]
        columns: dict[str, None] = {}
        lines: dict[tuple[str, ...], dict[str, str]] = {}
        for row in rows:
            values = self._cells[row["cell"]].values
            column = row["network"] if file.columns == NETWORKS else values[file.columns]
            text = newline.join(_words(row))
            place = tuple(values[axis] for axis in axes)
            several = file.columns != NETWORKS and sum(r["cell"] == row["cell"] for r in rows) > 1
            if several:
                text = f"{row['network']}: {text}"
            held = lines.setdefault(place, {}).get(column)
            lines[place][column] = f"{held}{newline}{text}" if held else text
            columns[column] = None
        order = [c for c in columns if c] if file.columns == NETWORKS else list(columns)
        return [*axes, *order], [[*place, *(cells.get(c, NOTHING) for c in order)] for place, cells in lines.items()]


def _words(row: Mapping[str, Any]) -> list[str]:
    if row["mean"] is None:
        return ["failed"] if row["failed"] else [NOTHING]
    words = [f"{100 * row['mean']:.1f} ± {100 * row['std']:.1f}"]
    if row["paper_mean"] is not None:
        spread = "" if row["paper_std"] is None else f" ± {row['paper_std']}"
        words.append(f"[{row['paper_mean']}{spread}]")
    return [*words, format_duration(row["seconds"])]

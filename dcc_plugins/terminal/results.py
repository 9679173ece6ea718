"""The result of a run on the terminal: accuracies, spreads, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from dcc_core.config import format_size
from dcc_core.scoring import COMPOSITES

NONE = "–"
SPREADS = {"std": "std", "std_over_sets": "over sets", "std_over_networks": "over networks", "ci95": "95 % interval"}
"""Columns beside the mean in a table of one network, by the key of a summary."""
TITLES = {
    "condensed": "{}",
    "hard": "{}, hard labels",
    "random": "random real images",
    "random_soft": "random real images, the same teacher's labels",
}
"""Titles in a table of what a simple protocol measures."""
PARTS = {
    "hard": "{}, hard labels",
    "full": "all real images",
    "condensed_plain": "{}, no augmentation",
    "random_plain": "random real images, no augmentation",
}
"""Titles in a table of a composite protocol's further measurements."""


def result_table(report: Mapping[str, Any]) -> Table:
    """The accuracies of a report for a terminal, in percent, and its cost.

    For one network its spreads in columns; for several a column each, their intervals in rows of their own. A
    composite score (0..1, times 100) has a row, and so has every accuracy that went into it.
    """
    architectures = report["by_architecture"]
    first = report["accuracy"]["condensed"]
    title = f"{report['config']['score.part']['value']} accuracy, %: protocol {_protocols(report)}"
    rows = {label: _rows(report["method"], row) for label, row in architectures.items()}
    names = list(next(iter(rows.values())))
    if len(architectures) == 1:
        title += f", {first['architecture']}"
        columns = ["mean", *SPREADS.values()]
        (own,) = rows.values()
        cells = {n: [percent(own[n]["mean"]), *(percent(own[n].get(k)) for k in SPREADS)] for n in names}
    else:
        columns = list(architectures)
        cells = {n: [_mean_and_std(row[n]) for row in rows.values()] for n in names}
        cells |= {f"{n}, 95 %": [percent(row[n].get("ci95")) for row in rows.values()] for n in names}
    table = Table(title=title)
    for column in ("set", *columns):
        table.add_column(column, justify="left" if column == "set" else "right")
    for name, own in cells.items():
        if any(cell != NONE for cell in own):
            table.add_row(name, *own)
    table.caption = f"{first['sets']} set(s) × {first['networks']} network(s){_interval(first)}; {_cost(report)}"
    return table


def _rows(method: str, row: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The summaries in a network's row of the report, by their titles in a table."""
    titles = {subject: title.format(method) for subject, title in TITLES.items() if subject in row}
    rows = {title: row[subject] for subject, title in titles.items()}
    for name in (n for n in COMPOSITES if n in row):
        parts = {part: found for part, found in row[name]["parts"].items() if part not in titles}
        rows |= {PARTS[part].format(method): found for part, found in parts.items()}
        rows[f"{COMPOSITES[name].title} ({name}), × 100"] = row[name]
    return rows


def _protocols(report: Mapping[str, Any]) -> str:
    row = report["accuracy"]
    composite = "".join(f"{name} {row[name]['version']}, trained by " for name in COMPOSITES if name in row)
    return composite + row["condensed"]["protocol"]


def _interval(summary: Mapping[str, Any]) -> str:
    return "" if summary["ci95"] is None else f", 95 % intervals of the mean over {summary['ci95_over']}"


def _cost(report: Mapping[str, Any]) -> str:
    phases = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in report["seconds"].items())
    seen = 0
    for row in report["by_architecture"].values():
        composite = [row[name] for name in COMPOSITES if name in row]
        simple = [row[subject] for subject in TITLES if subject in row]
        seen += sum(found["images_seen"] for found in composite or simple)
    peak = report["peak_memory_bytes"]
    return f"{phases}; networks were shown {seen:,} images" + (
        f"; {format_size(peak)} of memory at most" if peak else ""
    )


def percent(value: float | Sequence[float] | None) -> str:
    """A share, or an interval of shares, in percent."""
    if value is None:
        return NONE
    return " to ".join(f"{100 * v:.1f}" for v in (value if isinstance(value, Sequence) else [value]))


def _mean_and_std(row: Mapping[str, Any]) -> str:
    spread = row.get("std", row.get("std_over_sets"))
    return percent(row["mean"]) if spread is None else f"{percent(row['mean'])} ± {percent(spread)}"

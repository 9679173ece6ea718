"""Tables of a comparison: for a terminal, in Markdown, in LaTeX (booktabs) and as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from dcc_core.config import format_duration
from dcc_plugins.compare.rows import Difference, Row
from dcc_plugins.compare.subjects import Subject
from dcc_plugins.pages.page import format_value
from dcc_plugins.terminal import NONE, SPREADS, percent, printable

MEASURED = ("mean", "std", "std_over_sets", "std_over_networks", "ci95_over", "sets", "networks", "images_seen")
LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "×": r"$\times$"}
LATEX |= {c: f"\\{c}" for c in "&%$#_{}"}


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table in words. lead: how many of its columns, from the left, are text; the others are numbers."""

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    lead: int
    notes: tuple[str, ...] = ()

    def terminal(self) -> Table:
        """For a terminal."""
        table = Table(title=self.title, title_justify="left", caption="\n".join(self.notes), caption_justify="left")
        for i, head in enumerate(self.heads):
            table.add_column(Text(printable(head)), justify="left" if i < self.lead else "right", overflow="fold")
        for line in self.lines:
            table.add_row(*(Text(printable(cell)) for cell in line))
        return table

    def markdown(self) -> str:
        """As a table of GitHub's Markdown."""
        rules = ["---" if i < self.lead else "---:" for i in range(len(self.heads))]
        rows = [[_in_markdown(cell) for cell in line] for line in (self.heads, *self.lines)]
        table = [f"| {' | '.join(line)} |" for line in (rows[0], rules, *rows[1:])]
        notes = [f"- {_in_markdown(note)}" for note in self.notes]
        return "\n".join([f"**{self.title}**", "", *table, *([""] if notes else []), *notes]) + "\n"

    def latex(self) -> str:
        """As a table of the package booktabs, with its notes as comments."""
        rows = [" & ".join(map(_in_latex, line)) + r" \\" for line in (self.heads, *self.lines)]
        columns = "l" * self.lead + "r" * (len(self.heads) - self.lead)
        notes = [f"% {printable(note)}" for note in (self.title, *self.notes)]
        begin, end = rf"\begin{{tabular}}{{{columns}}}", r"\end{tabular}"
        return "\n".join([*notes, begin, r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule", end]) + "\n"


def score_grid(rows: Sequence[Row], notes: Sequence[str]) -> Grid:
    """Means with their spread and interval, and the difference to the first subject."""
    first = rows[0].subject.name
    over = {row.summary["ci95_over"] for row in rows if row.summary and row.summary["ci95"]}
    legend = [f"95 % intervals of the mean are over {' or '.join(sorted(over))}, by Student's t."] if over else []
    unpaired = {f"{row.subject.name}: no difference in pairs, {row.unpaired}." for row in rows if row.unpaired}
    heads = ("run", "network", "protocol", "ipc", "sets × networks", "mean", *SPREADS.values(), f"to {first}", "time")
    return Grid(
        title="accuracy, %",
        heads=heads,
        lines=tuple(_score_line(row) for row in rows),
        lead=3,
        notes=(*legend, *sorted(unpaired), *notes),
    )


def _score_line(row: Row) -> tuple[str, ...]:
    subject, summary = row.subject, row.summary
    seconds = NONE if subject.seconds is None else format_duration(subject.seconds)
    name = f"{subject.name} (!)" if row.differs else subject.name
    if summary is None:
        return (name, row.network, NONE, format_value(subject.ipc), *[NONE] * (3 + len(SPREADS)), seconds)
    counts = f"{summary['sets']} × {summary['networks']}"
    spreads = [percent(summary[key]) for key in SPREADS]
    about = (name, row.network, row.protocol, format_value(subject.ipc), counts)
    return (*about, percent(summary["mean"]), *spreads, _difference_in_words(row.difference), seconds)


def _difference_in_words(found: Difference | None) -> str:
    if found is None:
        return NONE
    interval = "" if found.ci95 is None else f" ({' to '.join(f'{100 * v:+.1f}' for v in found.ci95)})"
    return f"{100 * found.mean:+.1f}{interval}, {found.over}"


def option_grid(subjects: Sequence[Subject], differing: Mapping[str, Sequence[Any]]) -> Grid:
    """The options that differ."""
    lines = [(key, *(NONE if v is None else format_value(v) for v in values)) for key, values in differing.items()]
    heads = ("option", *(s.name for s in subjects))
    return Grid(title="options that differ", heads=heads, lines=tuple(lines), lead=len(heads))


def score_csv(rows: Sequence[Row]) -> str:
    """Every number: accuracies and differences in 0..1, seconds of condensing one set."""
    return _csv([_record(row) for row in rows])


def _record(row: Row) -> dict[str, Any]:
    summary, subject, found = row.summary or {}, row.subject, row.difference
    low, high = summary.get("ci95") or (None, None)
    record = {"run": subject.name, "path": str(subject.path), "method": subject.method, "network": row.network}
    record |= {"protocol": row.protocol, "data": subject.config.get("data"), "ipc": subject.ipc}
    record |= {"seed": subject.config.get("run.seed"), **{key: summary.get(key) for key in MEASURED}}
    record |= {"ci95_low": low, "ci95_high": high, "seconds": subject.seconds}
    low, high = (found and found.ci95) or (None, None)
    record |= {"difference": found and found.mean, "difference_low": low, "difference_high": high}
    return record | {"difference_over": found and found.over, "differs": "; ".join(row.differs)}


def as_records(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The same, for JSON."""
    return [_record(row) for row in rows]


def _csv(records: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def _in_markdown(cell: str) -> str:
    return re.sub(r"([\\|`*_<>\[\]])", r"\\\1", printable(cell))


def _in_latex(cell: str) -> str:
    return "".join(LATEX.get(c, c) for c in printable(cell))

"""The result of `dcc inspect` as tables for the terminal."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from dcc_core.config import format_size
from dcc_core.sets import Provenance
from dcc_plugins.commands.inspection import Inspection, TensorFacts, dict_or_empty, list_or_empty
from dcc_plugins.terminal import printable

NONE = "–"
MAX_NAMES = 20
SUMMARY = (
    "method",
    "data",
    "size",
    "mean",
    "std",
    "seed",
    "set",
    "finished",
    "learned",
    "labels",
    "versions",
    "format",
)
FIELDS = {field.name for field in dataclasses.fields(Provenance)} | {"format"}


def build_tables(found: Inspection) -> Iterator[Table]:
    """Summary, tensors, and scores and options if there are any."""
    yield _make_table(f"{found.path}, {format_size(found.bytes)}", (), list(_summary_rows(found)))
    columns = ("tensor", "type", "shape", "min", "max", "mean", "outside 0..1")
    yield _make_table("tensors", columns, [(name, *_tensor_row(facts)) for name, facts in found.tensors.items()])
    scores = [_score_row(score) for score in list_or_empty(found.about.get("scores")) if isinstance(score, dict)]
    if scores:
        yield _make_table("scores", ("network", "protocol", "mean, %", "std", "networks"), scores)
    if config := dict_or_empty(found.about.get("config")):
        yield _make_table("options", ("option", "value"), [(key, _format_value(v)) for key, v in config.items()])


def _summary_rows(found: Inspection) -> Iterator[tuple[str, str]]:
    for key in SUMMARY:
        if key in found.about:
            yield key, _format_value(found.about[key])
    names = found.class_names
    yield f"{len(names)} classes", ", ".join(names[:MAX_NAMES]) + (", ..." if len(names) > MAX_NAMES else "")
    if found.counts:
        least, most = min(found.counts), max(found.counts)
        yield "stored images per class", str(most) if least == most else f"{least} to {most}"
    for note in list_or_empty(found.about.get("notes")):
        yield "note", str(note)
    if unknown := sorted(set(found.about) - FIELDS):
        yield "unknown fields", ", ".join(unknown)


def _tensor_row(facts: TensorFacts) -> tuple[str, ...]:
    numbers = [NONE if v is None else f"{v:.4g}" for v in (facts.least, facts.greatest, facts.mean)]
    outside = NONE if facts.outside is None else f"{facts.outside:.1%}"
    return facts.dtype, "×".join(map(str, facts.shape)), *numbers, outside


def _score_row(score: Mapping[str, Any]) -> tuple[str, ...]:
    percent = [f"{100 * score[k]:.1f}" if isinstance(score.get(k), int | float) else NONE for k in ("mean", "std")]
    names = [str(score.get(key, NONE)) for key in ("architecture", "protocol")]
    return *names, *percent, str(len(list_or_empty(score.get("accuracies"))) or NONE)


def _format_value(value: Any) -> str:
    """A metadata value as text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_format_value(inner)}" for key, inner in value.items()) or NONE
    if isinstance(value, list):
        return ", ".join(map(_format_value, value)) or NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _make_table(title: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Table:
    table = Table(title=Text(title), title_justify="left", show_header=bool(columns))
    for column in columns or range(len(rows[0])):
        table.add_column(str(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table

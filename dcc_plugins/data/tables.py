"""Tables in files: CSV, JSON, Label Studio's exports, and what pandas writes; all as texts in rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dcc_core import DccError

FRAMES = {".parquet": "read_parquet", ".feather": "read_feather", ".xlsx": "read_excel", ".xls": "read_excel"}
"""Endings of the files that pandas reads, and by which function. Pickles are not among them: they can run code."""

Row = Sequence[str]


def read_table(path: Path) -> tuple[Row, list[Row]]:
    """The names of a table's columns, and its rows. Of CSV without a header, the first row stands for the names.

    Raises DccError for a file that is no table.
    """
    ending = path.suffix.casefold()
    try:
        if ending in FRAMES:
            return _read_frame(path, FRAMES[ending])
        text = path.read_text(encoding="utf-8-sig")
        if ending in (".json", ".jsonl", ".ndjson"):
            return _as_table([_flatten(row) for row in _read_json(text, lines=ending != ".json")])
        return _read_csv(text)
    except DccError as error:
        raise DccError(f"csv: '{path}' {error}") from error
    except ImportError as error:
        raise DccError(f"csv: '{path}' needs pandas: pip install 'dataset-condensation[tables]' ({error})") from error
    except Exception as error:
        raise DccError(f"csv: '{path}' cannot be read: {' '.join(str(error).split())}") from error


def _read_csv(text: str) -> tuple[Row, list[Row]]:
    first = text.partition("\n")[0]
    delimiter = max((",", "\t", ";", " "), key=first.count)
    rows: list[Row] = [
        row for row in csv.reader(text.splitlines(), delimiter=delimiter) if any(cell.strip() for cell in row)
    ]
    if not rows or len(rows[0]) < 2:
        raise DccError("has no two columns; expected one of paths and one of labels")
    if ragged := next((i for i, row in enumerate(rows, 1) if len(row) != len(rows[0])), 0):
        raise DccError(f"has {len(rows[ragged - 1])} cells in row {ragged}, in the first {len(rows[0])}")
    return rows[0], rows[1:]


def _read_json(text: str, *, lines: bool) -> list[Mapping[str, Any]]:
    """A list of objects, or an object a line."""
    found = [json.loads(line) for line in text.splitlines() if line.strip()] if lines else json.loads(text)
    if not isinstance(found, list) or not found or not all(isinstance(row, dict) for row in found):
        raise DccError("holds no list of objects; expected one per image, with its path and its label")
    return found


def _flatten(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row's values by name; of a task of Label Studio, its data and, as `choice`, what its first annotation says."""
    if not isinstance(row.get("data"), dict):
        return dict(row)
    results = [result for one in row.get("annotations") or [] for result in one.get("result") or []]
    choices = [choice for result in results for choice in result.get("value", {}).get("choices") or []]
    return {**row["data"], "choice": choices[0] if choices else ""}


def _as_table(rows: Sequence[Mapping[str, Any]]) -> tuple[Row, list[Row]]:
    header = list(dict.fromkeys(name for row in rows for name in row))
    return header, [["" if row.get(name) is None else str(row[name]) for name in header] for row in rows]


def _read_frame(path: Path, function: str) -> tuple[Row, list[Row]]:
    import pandas

    frame = getattr(pandas, function)(path)
    if not isinstance(frame.index, pandas.RangeIndex):
        frame = frame.reset_index()
    frame = frame.convert_dtypes().astype(object)  # whole numbers stay so beside cells without a value
    rows = frame.where(frame.notna(), None).to_dict("records")
    return _as_table([{str(name): value for name, value in row.items()} for row in rows])

"""Your own images: a CSV file of their paths and labels."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

from dcc_core import DccError, RealData
from dcc_plugins.data.picture_source import PictureSource
from dcc_plugins.data.tree import PART_OF

log = logging.getLogger("dcc")

LABELS = (
    "label",
    "labels",
    "class",
    "class_name",
    "category",
    "target",
    "y",
    "choice",
    "diagnosis",
    "species",
    "breed",
)
PARTS = ("split", "set", "subset", "part", "partition", "fold")
"""Names of columns, in any case, in the order in which they are looked for."""
ENDINGS = ("", ".jpg", ".png", ".jpeg", ".JPEG", ".tif", ".webp", ".bmp")
FOLDERS = ("", "images", "train", "train_images", "img", "data")
LOOKED_AT = 20
"""Rows that decide which column holds paths."""

Row = Sequence[str]


@final
@dataclass(frozen=True, kw_only=True)
class CsvTable(PictureSource):
    """Images by a CSV file (or one with tabs, semicolons or spaces) with a column of paths and one of labels.

    Paths are relative to the file, or to a folder of images beside it, and may lack their endings. A column `split`, if
    any, says which part a row belongs to. A header may be missing, as in ImageNet's validation labels.
    `dcc show data csv:PATH` says how it is understood.
    """

    path: Annotated[Path, "the CSV file"]
    images: Annotated[Path | None, "folder that paths are relative to; none: the file's, or one of images in it"] = None
    image_column: Annotated[str | None, "column of paths; none: the one whose values are files"] = None
    label_column: Annotated[str | None, "column of labels; none: label, class, category, ..., or the only other"] = None

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        parts, names, notes = self._understand()
        for note in notes:
            log.info(f"csv: {note}")
        data, _ = self.read_parts(f"csv:{Path(self.path).stem}", parts, names, root)
        return data

    def describe(self) -> str:
        """How the file is understood: its columns, classes, parts and sizes, and rows that are left out."""
        parts, names, notes = self._understand()
        return "\n".join([*self.describe_parts(parts, names), *notes])

    def _understand(self) -> tuple[dict[str, list[tuple[Path, str]]], list[str], list[str]]:
        """Files with their class by part, class names, and notes."""
        header, rows = self._rows()
        places = self._places()
        image = self._find_image_column(header, rows, places)
        label = self._find_label_column(header, rows, image)
        split = next((i for i, name in enumerate(header) if name.casefold() in PARTS and i not in (image, label)), None)
        first = [row[image] for row in rows[:LOOKED_AT]]
        places.sort(key=lambda place: -sum(find_file(cell, [place]) is not None for cell in first))
        parts: dict[str, list[tuple[Path, str]]] = {"train": [], "test": [], "validation": []}
        missing: list[str] = []
        strange: Counter[str] = Counter()
        for row in rows:
            part = "train" if split is None else PART_OF.get(row[split].strip().casefold(), "")
            if not part:
                strange[row[split or 0]] += 1
            elif (path := find_file(row[image], places)) is None:
                missing.append(row[image])
            else:
                parts[part].append((path, row[label].strip()))
        if 2 * len(missing) > len(rows):
            raise DccError(
                f"csv: {len(missing)} of {len(rows)} images of '{self.path}' are not there, '{missing[0]}' first"
            )
        names = sorted({name for _, name in parts["train"]}, key=_in_order)
        if other := sorted({name for part in ("test", "validation") for _, name in parts[part]} - set(names)):
            raise DccError(f"csv: '{self.path}' has a class '{other[0]}' that the training images lack")
        notes = [f"column '{header[image]}' holds paths, '{header[label]}' labels"]
        notes += [f"column '{header[split]}' holds parts"] if split is not None else []
        notes += [f"{len(missing)} images are not there and left out, '{missing[0]}' first"] if missing else []
        notes += [f"{n} rows of part '{name}' are left out" for name, n in strange.items()]
        return parts, names, notes

    def _rows(self) -> tuple[Row, list[Row]]:
        """The names of the columns, and the rows."""
        path = Path(self.path).expanduser()
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            raise DccError(f"csv: '{path}' cannot be read: {error}") from error
        first = text.partition("\n")[0]
        delimiter = max((",", "\t", ";", " "), key=first.count)
        rows: list[Row] = [
            row for row in csv.reader(text.splitlines(), delimiter=delimiter) if any(cell.strip() for cell in row)
        ]
        if not rows or len(rows[0]) < 2:
            raise DccError(f"csv: '{path}' has no two columns; expected one of paths and one of labels")
        if ragged := next((i for i, row in enumerate(rows, 1) if len(row) != len(rows[0])), 0):
            raise DccError(f"csv: row {ragged} of '{path}' has {len(rows[ragged - 1])} cells, the first {len(rows[0])}")
        if any(find_file(cell, self._places()) for cell in rows[0]):
            return [f"column {i}" for i in range(1, len(rows[0]) + 1)], rows
        return [name.strip() for name in rows[0]], rows[1:]

    def _places(self) -> list[Path]:
        """Folders that paths may be relative to."""
        folder = Path(self.path).expanduser().parent
        if self.images:
            return [Path(self.images).expanduser()]
        return [folder / name for name in (*FOLDERS, Path(self.path).stem)]

    def _find_image_column(self, header: Row, rows: Sequence[Row], places: Sequence[Path]) -> int:
        if self.image_column is not None:
            return self._named("image_column", self.image_column, header)
        counts = [sum(find_file(row[i], places) is not None for row in rows[:LOOKED_AT]) for i in range(len(header))]
        best = max(range(len(header)), key=lambda i: counts[i])
        if not counts[best]:
            raise DccError(
                f"csv: no column of '{self.path}' holds paths of files beside it; its columns are {', '.join(header)}. "
                "-o data.images=FOLDER says where they are"
            )
        return best

    def _find_label_column(self, header: Row, rows: Sequence[Row], image: int) -> int:
        if self.label_column is not None:
            return self._named("label_column", self.label_column, header)
        named = [i for name in LABELS for i, other in enumerate(header) if other.casefold() == name and i != image]
        others = [i for i, name in enumerate(header) if i != image and name.casefold() not in PARTS]
        if named or len(others) == 1:
            return (named or others)[0]
        raise DccError(
            f"csv: which column of '{self.path}' holds the labels? One of {', '.join(header[i] for i in others)}; "
            f"-o data.label_column={header[others[0]] if others else 'NAME'}"
        )

    def _named(self, option: str, name: str, header: Row) -> int:
        if name not in header:
            raise DccError(f"csv: data.{option} '{name}' is no column of '{self.path}'; it has {', '.join(header)}")
        return header.index(name)


def _in_order(name: str) -> tuple[bool, int, str]:
    """Whole numbers by their size, then texts."""
    return not name.isdecimal(), int(name) if name.isdecimal() else 0, name


def find_file(cell: str, places: Sequence[Path]) -> Path | None:
    """The file that a cell names, below one of some folders, with or without its ending."""
    name = cell.strip()
    if not name or "\0" in name:
        return None
    candidates = (place / f"{name}{ending}" for place in places for ending in ENDINGS)
    return next((path for path in candidates if path.is_file()), None)

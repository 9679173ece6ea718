"""Your own images: a table of their paths and labels."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final
from urllib.parse import parse_qs, urlsplit

from dcc_core import DccError, RealData
from dcc_plugins.data.picture_source import PictureSource, Understood
from dcc_plugins.data.tables import Row, read_table
from dcc_plugins.data.tree import PART_OF, check_parts, in_order, summarise

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


@final
@dataclass(frozen=True, kw_only=True)
class CsvTable(PictureSource):
    """Images by a table with a column of paths and one of labels: CSV, JSON, or a data frame that pandas wrote.

    Paths are relative to the file, or to a folder of images beside it, and may lack their endings, or have folders of a
    labelling tool before their names. A column `split`, if any, says which part a row belongs to. Cells of CSV may be
    separated by tabs, semicolons or spaces, and its header may be missing, as in ImageNet's validation labels.
    `dcc show data csv:PATH` says how it is understood.
    """

    path: Annotated[Path, "the file: .csv, .json, .jsonl, .parquet, .feather, .xlsx, or other endings for CSV"]
    images: Annotated[Path | None, "folder that paths are relative to; none: the file's, or one of images in it"] = None
    image_column: Annotated[str | None, "column of paths; none: the one whose values are files"] = None
    label_column: Annotated[str | None, "column of labels; none: label, class, category, ..., or the only other"] = None

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        with self.understand() as found:
            data, _ = self.read_parts(f"csv:{Path(self.path).stem}", found, root, progress=progress)
        return data

    @contextlib.contextmanager
    def understand(self) -> Iterator[Understood]:
        header, rows = self._rows()
        places = self._places()
        image = self._find_image_column(header, rows, places)
        label = self._find_label_column(header, rows, image)
        split = next((i for i, name in enumerate(header) if name.casefold() in PARTS and i not in (image, label)), None)
        first = [row[image] for row in rows[:LOOKED_AT]]
        places.sort(key=lambda place: -sum(find_file(cell, [place]) is not None for cell in first))
        parts: dict[str, list[tuple[Path, str]]] = {"train": [], "test": [], "validation": []}
        missing: list[str] = []
        left_out: Counter[str] = Counter()
        for row in rows:
            part = "train" if split is None else PART_OF.get(row[split].strip().casefold(), "")
            if not part:
                left_out[f"of part '{row[split or 0]}'"] += 1
            elif not row[label].strip():
                left_out["without a label"] += 1
            elif (path := find_file(row[image], places)) is None:
                missing.append(row[image])
            else:
                parts[part].append((path, row[label].strip()))
        if 2 * len(missing) > len(rows):
            raise DccError(
                f"csv: {len(missing)} of {len(rows)} images of '{self.path}' are not there, '{missing[0]}' first"
            )
        check_parts("csv", self.path, parts)
        names = sorted({name for _, name in parts["train"]}, key=in_order)
        left_out["whose file is not there"] = len(missing)
        notes = [f"column '{header[image]}' holds paths, '{header[label]}' labels"]
        notes += [f"column '{header[split]}' holds parts"] if split is not None else []
        notes += [f"rows left out: {summarise(left_out.elements())}"] if left_out.total() else []
        notes += [f"the first file that is not there: '{missing[0]}'"] if missing else []
        yield Understood(parts, names, notes)

    def _rows(self) -> tuple[Row, list[Row]]:
        """The names of the columns, and the rows."""
        header, rows = read_table(Path(self.path).expanduser())
        if any(find_file(cell, self._places()) for cell in header):  # there is no header
            return [f"column {i}" for i in range(1, len(header) + 1)], [header, *rows]
        return [name.strip() for name in header], rows

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


def find_file(cell: str, places: Sequence[Path]) -> Path | None:
    """The file that a cell names, below one of some folders, with or without its ending.

    A labelling tool's own folders before the name are left out: `/data/upload/3/a.jpg`, `/data/local-files/?d=x/a.jpg`.
    """
    if not cell.strip() or "\0" in cell:
        return None
    return next((path for path in _candidates(cell.strip(), places) if path.is_file()), None)


def _candidates(name: str, places: Sequence[Path]) -> Iterator[Path]:
    yield from (place / f"{name}{ending}" for place in places for ending in ENDINGS)
    if name.startswith("/data/"):
        asked = parse_qs(urlsplit(name).query).get("d", [name])[0]
        below = re.sub(r"^/data/upload/\d+/", "", asked)
        given = Path(asked).name.partition("-")[2]  # the name before the upload, which put a number before it
        yield from (place / one for place in places for one in (below, Path(asked).name, given) if one)

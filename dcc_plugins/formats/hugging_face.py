"""Folders that Hugging Face's `datasets` loads."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import torch

from dcc_core import CondensedSet, DccError, Registry
from dcc_plugins.exchange import Exporting, Format, Importing
from dcc_plugins.extras import check_extra
from dcc_plugins.formats.pictures import MOST_VALUES, Sidecar, pngs, unit_images

CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
---

# {method}

{count} condensed images of {classes} classes ({data}), written by `dcc convert --to hf`. `dcc.json` holds if they
come from, and mean and std.
"""


@final
@dataclass(frozen=True, kw_only=True)
class HuggingFace(Format):
    """A folder with Parquet files below `data/`: a column of images, as PNGs, and one of labels; `dcc.json` beside.

    `datasets.load_dataset(FOLDER)` gives images and named classes. What PNGs lose is lost here too, and `dcc.json`
    holds the same as in a folder of PNGs (format `png`). Needs pyarrow: `pip install 'dataset-condensation[hf]'`.
    """

    split: Annotated[str, "for reading: which split"] = "train"
    image: Annotated[str, "for reading: the column of images"] = "image"
    label: Annotated[str, "for reading: the column of labels"] = "label"

    def __post_init__(self) -> None:
        check_extra("hf", "pyarrow")

    def read(self, path: Path, context: Importing) -> CondensedSet:
        files = sorted(path.glob(f"data/{self.split}-*.parquet")) or sorted(path.glob(f"{self.split}*.parquet"))
        if not files:
            raise DccError(
                f"'{path}' has no data/{self.split}-*.parquet; expected a folder of Parquet files, a split each"
            )
        pictures: list[bytes] = []
        labels: list[int] = []
        names: tuple[str, ...] = ()
        for file in files:
            rows, names = self._rows(file)
            pictures += [picture for picture, _ in rows]
            labels += [label for _, label in rows]
        if not pictures:
            raise DccError(f"'{path}' has no images in its split '{self.split}'")
        images = unit_images(pictures, [f"{path}, row {i}" for i in range(len(pictures))])
        owners, sidecar = torch.tensor(labels), Sidecar.read(path)
        if sidecar:
            return sidecar.condensed(images, owners, context)
        return context.condensed(images, owners, space="unit", class_names=names)

    def _rows(self, file: Path) -> tuple[list[tuple[bytes, int]], tuple[str, ...]]:
        """Image files and labels of a Parquet file, and the names of its classes."""
        import pyarrow
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(file) as opened:
                schema = opened.schema_arrow
                missing = [column for column in (self.image, self.label) if column not in schema.names]
                if missing:
                    raise DccError(f"'{file}' has no column '{missing[0]}'; it has {', '.join(schema.names)}")
                groups = [opened.metadata.row_group(i) for i in range(opened.metadata.num_row_groups)]
                if sum(group.total_byte_size for group in groups) > MOST_VALUES:
                    raise DccError(f"'{file}' holds more than {MOST_VALUES:,} bytes")
                rows = list(
                    _check_parquet(opened.iter_batches(columns=[self.image, self.label]), self.image, self.label, file)
                )
        except (pyarrow.ArrowException, OSError) as error:
            raise DccError(f"'{file}' is no Parquet file, or damaged: {error}") from error
        return rows, _class_names(schema.metadata or {}, self.label)

    def write(self, s: CondensedSet, path: Path, context: Exporting) -> None:
        import pyarrow
        from pyarrow import parquet

        found = context.decoded(s, "unit")
        pictures, owners = pngs(found), found.owners.tolist()
        features = {"image": {"_type": "Image"}, "label": {"names": list(s.class_names), "_type": "ClassLabel"}}
        schema = pyarrow.schema(
            {"image": pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()}), "label": pyarrow.int64()},
            metadata={"huggingface": json.dumps({"info": {"features": features}})},
        )
        rows = [{"bytes": picture, "path": f"{i}.png"} for i, picture in enumerate(pictures)]
        (path / "data").mkdir(parents=True)
        table = pyarrow.table({"image": rows, "label": owners}, schema=schema)
        parquet.write_table(table, path / "data" / "train-00000-of-00001.parquet")
        about = {"method": s.provenance.method, "count": len(rows), "classes": len(s.class_names)}
        (path / "README.md").write_text(CARD.format(**about, data=s.provenance.data), encoding="utf-8")
        Sidecar.of(s, found).write(path)

    def to_datasets(self, s: CondensedSet, registry: Registry) -> Any:
        """A `datasets.Dataset` of a set: its columns are the folder's, and `probabilities` if labels are soft."""
        try:
            check_extra("hf", "datasets")
        except ValueError as error:
            raise DccError(str(error)) from error

        import datasets
        from PIL import Image

        found = Exporting(format="hf", registry=registry).decoded(s, "unit")
        pictures = [Image.open(io.BytesIO(picture)) for picture in pngs(found)]
        names = datasets.ClassLabel(names=list(s.class_names))
        columns = {"image": (pictures, datasets.Image()), "label": (found.owners.tolist(), names)}
        if found.labels.is_floating_point():
            shares = datasets.Sequence(datasets.Value("float32"), length=len(s.class_names))
            columns["probabilities"] = (found.labels.tolist(), shares)
        features = datasets.Features({name: feature for name, (_, feature) in columns.items()})
        return datasets.Dataset.from_dict({name: own for name, (own, _) in columns.items()}, features=features)


def _check_parquet(batches: Any, image: str, label: str, file: Path) -> Any:
    """Rows (image file, label) of record batches. Raises DccError for other types, and for more than can be."""
    held = 0
    for batch in batches:
        for row in batch.to_pylist():
            picture = row[image].get("bytes") if isinstance(row[image], dict) else row[image]
            if not isinstance(picture, bytes) or not isinstance(row[label], int):
                raise DccError(f"'{file}': expected image files in the column '{image}' and whole numbers in '{label}'")
            held += len(picture)
            if held > MOST_VALUES:
                raise DccError(f"'{file}' holds more than {MOST_VALUES:,} bytes of images")
            yield picture, row[label]


def _class_names(metadata: dict[bytes, bytes], label: str) -> tuple[str, ...]:
    """Names of the classes, as `datasets` keeps them in a file's schema; none if they are not there."""
    try:
        names: Sequence[Any] = json.loads(metadata[b"huggingface"])["info"]["features"][label]["names"]
        return tuple(names) if all(isinstance(name, str) for name in names) else ()
    except (KeyError, TypeError, ValueError):
        return ()

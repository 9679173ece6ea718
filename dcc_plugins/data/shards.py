"""Your own images: WebDataset's shards, tar files in which files of one name are a sample."""

from __future__ import annotations

import contextlib
import glob
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

from dcc_core import DccError, RealData
from dcc_plugins.data.csv_table import LABELS
from dcc_plugins.data.picture_source import PictureSource, Understood
from dcc_plugins.data.pictures import endings
from dcc_plugins.data.tree import PART_OF, check_parts, in_order, summarise
from dcc_plugins.extras import check_extra

LABEL_FIELDS = ("cls", "cls.txt", "label", "label.txt", "class", "class.txt")
"""Fields of a sample that hold its label as text, in the order in which they are looked for."""
Parts = dict[str, list[tuple[Path, str]]]


@final
@dataclass(frozen=True, kw_only=True)
class Shards(PictureSource):
    """Images in shards of WebDataset: tar files in which `0001.jpg` and `0001.cls` are a sample and its label.

    A shard belongs to the part that its name has (`train-000.tar`, `val-000.tar`), or to the training part. Shards are
    read one sample after another, and pictures lie in a temporary folder while they are decoded. Needs webdataset:
    `pip install 'dataset-condensation[shards]'`.
    """

    path: Annotated[Path, "a tar file, a folder of them, or a pattern: 'train-{000..009}.tar', 'shards/*.tar'"]
    image: Annotated[str | None, "field of the picture; none: the first whose ending Pillow reads"] = None
    label: Annotated[str | None, "field of the label, of JSON with its key: json.label; none: cls, or JSON's"] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_extra("shards", "webdataset")

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        with self.understand() as found:
            data, _ = self.read_parts(f"shards:{Path(self.path).stem}", found, None, progress=progress)
        return data

    @property
    def unpacks(self) -> bool:
        return True

    @contextlib.contextmanager
    def understand(self) -> Iterator[Understood]:
        shards = self._find_shards()
        parts: Parts = {"train": [], "test": [], "validation": []}
        left_out: Counter[str] = Counter()
        with tempfile.TemporaryDirectory(prefix="dcc-") as folder:
            for number, (shard, sample) in enumerate(_read_samples(shards)):
                image, label = self._find_image(sample), self._find_label(sample)
                if image is None or label is None:
                    left_out["without a picture" if image is None else "without a label"] += 1
                    continue
                place = Path(folder, f"{number:09}.{image.rpartition('.')[2]}")
                place.write_bytes(sample[image])
                parts[_part_of(shard)].append((place, label))
            notes = [f"shards: {len(shards)}"]
            notes += [f"samples left out: {summarise(left_out.elements())}"] if left_out else []
            names = sorted({name for _, name in parts["train"]}, key=in_order)
            self._check_losses(sum(map(len, parts.values())), left_out)
            check_parts("shards", self.path, parts)
            yield Understood(parts, names, notes)

    def _find_shards(self) -> list[Path]:
        from braceexpand import braceexpand  # comes with webdataset

        path = Path(self.path).expanduser()
        names = [str(path / "*.tar")] if path.is_dir() else braceexpand(str(path))
        shards = [Path(name) for pattern in names for name in sorted(glob.glob(pattern))]
        if not shards:
            raise DccError(f"shards: there is no '{path}'; expected tar files, a folder of them, or a pattern")
        return shards

    def _find_image(self, sample: Mapping[str, Any]) -> str | None:
        """The name of the field that holds the picture."""
        if self.image is not None:
            return self.image if self.image in sample else None
        return next((name for name in sample if f".{name.rpartition('.')[2].casefold()}" in endings()), None)

    def _find_label(self, sample: Mapping[str, Any]) -> str | None:
        name, _, key = (self.label or "").partition(".")
        if self.label is None:
            if text := next((sample[name] for name in LABEL_FIELDS if name in sample), None):
                return _as_text(text)
            name = "json"
        elif self.label in sample:
            return _as_text(sample[self.label])
        if name not in sample:
            return None
        try:
            about = json.loads(sample[name])
        except ValueError as error:
            raise DccError(f"shards: field '{name}' of sample '{sample['__key__']}' is no JSON: {error}") from error
        keys = [key] if key else LABELS
        return next((str(about[key]) for key in keys if isinstance(about, dict) and about.get(key) is not None), None)

    def _check_losses(self, kept: int, left_out: Counter[str]) -> None:
        """Raise DccError if most samples lack something: then its field has another name."""
        if left_out.total() > kept:
            what, count = left_out.most_common(1)[0]
            raise DccError(
                f"shards: {count} of {kept + left_out.total()} samples of '{self.path}' are {what}; "
                f"-o data.{'image' if 'picture' in what else 'label'}=FIELD says where it is"
            )


def _read_samples(shards: list[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every sample, its fields as bytes by name, with its shard, in order. Nothing is decoded.

    A path is made absolute: webdataset would take `pipe:...` for a command.
    """
    import webdataset

    for shard in shards:
        try:
            for sample in webdataset.WebDataset(str(shard.absolute()), shardshuffle=False, empty_check=False):
                yield shard, sample
        except DccError:
            raise
        except Exception as error:
            raise DccError(f"shards: '{shard}' cannot be read: {type(error).__name__}: {error}") from error


def _part_of(shard: Path) -> str:
    words = shard.name.casefold().replace("_", "-").replace(".", "-").split("-")
    return next((PART_OF[word] for word in words if word in PART_OF), "train")


def _as_text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace").strip()

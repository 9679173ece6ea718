"""Your own and others' images: data sets of the Hugging Face Hub."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

from annotated_types import Ge

from dcc_core import DccError, RealData
from dcc_plugins.data.hub_splits import Row, Splits, find_columns, open_splits, read_rows, stream_rows
from dcc_plugins.data.picture_source import PictureSource, Understood
from dcc_plugins.data.tree import NAMES, check_parts, in_order, summarise
from dcc_plugins.extras import check_extra
from dcc_plugins.hub_access import Place, fetch_set


@final
@dataclass(frozen=True, kw_only=True)
class HubImages(PictureSource):
    """Images of a data set on the Hugging Face Hub, or in a folder of that layout, as the package `datasets` reads it.

    Columns are found by their features: the only Image, the only ClassLabel, or one of texts or whole numbers named
    like a label. The parts are the splits `train`, `test` and `validation`; without a test split `validation` is for
    testing, without either a fifth of each class is set apart. Rows without a label (-1) are left out. The files lie in
    the cache of `datasets` (HF_HOME); with HF_HUB_OFFLINE=1 nothing else is asked. Needs datasets:
    `pip install 'dataset-condensation[hf]'`.
    """

    repo: Annotated[str, "OWNER/NAME, then :CONFIG and @REVISION if need be; or a folder, as ./FOLDER or /FOLDER"]
    image_column: Annotated[str | None, "column of images; none: the only one"] = None
    label_column: Annotated[str | None, "column of labels; none: the only ClassLabel, or label, class, ..."] = None
    train_split: Annotated[str | None, "split to train on; none: train, or the only one"] = None
    test_split: Annotated[str | None, "split to test on; none: test, else validation"] = None
    validation_split: Annotated[str | None, "split for validation; none: validation, unless that is for testing"] = None
    stream: Annotated[
        int | None,
        "take at most so many images of a split as they come, in an order shuffled by split_seed, and do not fetch the "
        "rest; none: all",
        Ge(1),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_extra("hf", "datasets", "huggingface_hub")
        Place.parse(self.repo)

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        place = Place.parse(self.repo)
        splits = self._open(download=download, progress=progress)
        name = place.folder.resolve().name if place.folder else place.repo
        name += f":{place.config}" if place.config else ""
        name += f"@{splits.commit}" if splits.commit else ""
        kept = None if self.stream else root
        data, _ = self.read_parts(f"hf:{name}", self._understand(splits), kept, progress=progress)
        return data

    @property
    def unpacks(self) -> bool:
        return not self.repo.startswith((".", "/", "~"))

    @contextlib.contextmanager
    def understand(self) -> Iterator[Understood]:
        yield self._understand(self._open(download=True, progress=True))

    @classmethod
    def set_file(cls, argument: str) -> Path:
        try:
            check_extra("hf", "huggingface_hub")
            return fetch_set(Place.parse(argument))
        except ValueError as error:
            raise DccError(f"hf: {error}") from error

    def _open(self, **how: bool) -> Splits:
        return open_splits(Place.parse(self.repo), streaming=self.stream is not None, **how)

    def _understand(self, splits: Splits) -> Understood:
        image, label = find_columns(splits, self.repo, self.image_column, self.label_column)
        classes: Sequence[str] = getattr(splits.features[label], "names", None) or ()
        chosen = self._find_splits(list(splits.by_name))
        parts: dict[str, list[tuple[Any, str]]] = {"train": [], "test": [], "validation": []}
        left_out: Counter[str] = Counter()
        for part, name in chosen.items():
            for picture, value in self._rows(splits, name, image, label):
                if picture is None or value in (None, -1 if classes else None):
                    left_out["without a picture" if picture is None else "without a label"] += 1
                else:
                    parts[part].append((picture, classes[value] if classes else str(value)))
        if not parts["test"] and self.validation_split is None:
            parts["test"], parts["validation"] = parts["validation"], []
        declared = {"test": [], "validation": []} if classes else {}
        check_parts("hf", Path(self.repo), parts | declared)
        names = classes or sorted({name for _, name in parts["train"]}, key=in_order)
        notes = [f"column '{image}' holds images, '{label}' labels"]
        notes.append(", ".join(f"split '{name}' is the {part} part" for part, name in chosen.items()))
        notes += [f"commit {splits.commit}"] if splits.commit else []
        notes += [f"rows left out: {summarise(left_out.elements())}"] if left_out else []
        return Understood(parts, names, notes)

    def _rows(self, splits: Splits, name: str, image: str, label: str) -> Sequence[tuple[Path | Row | None, Any]]:
        split = splits.by_name[name]
        if self.stream:
            return stream_rows(split, name, image, label, count=self.stream, seed=self.split_seed)
        return read_rows(split, name, image, label)

    def _find_splits(self, names: Sequence[str]) -> dict[str, str]:
        """The split of each part. Raises DccError if one that is asked for is not there."""
        given = {"train": self.train_split, "test": self.test_split, "validation": self.validation_split}
        for part, name in given.items():
            if name is not None and name not in names:
                raise DccError(f"hf: data.{part}_split: '{self.repo}' has no split '{name}'; it has {', '.join(names)}")
        free = [name for name in names if name not in given.values()]
        found = {
            part: given[part] or next((name for name in free if name.casefold() in NAMES[part]), None) for part in given
        }
        if not found["train"] and len(names) == 1:
            found["train"] = names[0]
        if not found["train"]:
            raise DccError(f"hf: '{self.repo}' has the splits {', '.join(names)}; -o data.train_split=NAME says which")
        return {part: name for part, name in found.items() if name}

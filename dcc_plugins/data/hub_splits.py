"""Data sets of the Hugging Face Hub as `datasets` opens them: their splits, columns, and pictures in rows."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dcc_core import DccError
from dcc_plugins.data.csv_table import LABELS
from dcc_plugins.hub_access import Place, hub_errors

BUFFER = 1000
"""Images, at least, among which the order of streamed ones is shuffled."""
COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True, eq=False)
class Row:
    """A picture in a row of a split: of a file's path, what `pictures.py` asks for."""

    column: Any
    place: int
    split: str
    size: int = 0
    version: str = ""

    def __str__(self) -> str:
        return f"row {self.place} of {self.split}"

    def open(self) -> io.BytesIO:
        """What the file holds."""
        return io.BytesIO(self.column[self.place].as_py())

    def stat(self) -> SimpleNamespace:
        """Its size, about, and, as the time of a file does, what changes where the column's content does."""
        return SimpleNamespace(st_size=self.size, st_mtime_ns=self.version)


@dataclass(frozen=True)
class Splits:
    """The splits of a data set by name, and the commit that they are of, where that is known."""

    by_name: Mapping[str, Any]
    commit: str

    @property
    def features(self) -> Mapping[str, Any]:
        return next(iter(self.by_name.values())).features or {}


def open_splits(place: Place, *, streaming: bool, download: bool, progress: bool) -> Splits:
    """The splits of a data set. Raises DccError if they cannot be had."""
    import datasets

    path, silent = str(place.folder or place.repo), contextlib.nullcontext() if progress else _silence()
    how = {"download_config": datasets.DownloadConfig(local_files_only=not download, disable_tqdm=not progress)}
    with hub_errors(place.repo, place.revision), silent:
        try:
            found = datasets.load_dataset(path, place.config, revision=place.revision, streaming=streaming, **how)
        except ValueError as error:  # a name of a configuration is missing or wrong, and the message lists them
            raise DccError(
                f"hf: '{place.repo}': {' '.join(str(error).split())[:400]}; hf:OWNER/NAME:CONFIG names one"
            ) from error
        return Splits(found, "" if place.folder else _find_commit(place, found))


def find_columns(splits: Splits, repo: str, image: str | None, label: str | None) -> tuple[str, str]:
    """The names of the columns of images and of labels, by the features. Raises DccError that lists the columns."""
    import datasets

    features = splits.features
    images = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
    classes = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    others = [name for name, kind in features.items() if _is_label(kind)]
    named = [name for name in others if name.casefold() in LABELS]
    listed = ", ".join(f"{name} ({_describe(kind)})" for name, kind in features.items())
    found = []
    for option, given, candidates in (
        ("image_column", image, [images]),
        ("label_column", label, [classes, named, others]),
    ):
        choice = [given] if given else next(filter(None, candidates), [])
        if len(choice) != 1 or choice[0] not in features:
            what = f"no column '{given}'" if given else f"{len(choice) or 'no'} columns that may be data.{option}"
            raise DccError(f"hf: '{repo}' has {what}; its columns are {listed}. -o data.{option}=NAME says which")
        found.append(choice[0])
    return found[0], found[1]


def read_rows(split: Any, name: str, image: str, label: str) -> list[tuple[Path | Row | None, Any]]:
    """Pictures and labels of a split, undecoded; no picture where a row has none."""
    import datasets
    import pyarrow.compute as compute

    rows = split.select_columns([image]).cast_column(image, datasets.Image(decode=False))
    column = rows.with_format("arrow")[:].column(image)
    content, paths = (compute.struct_field(column, part) for part in ("bytes", "path"))
    files = [Path(one["filename"]) for one in rows.cache_files]
    size = sum(file.stat().st_size for file in files) // max(1, len(rows))
    version = repr([image, *((str(file), file.stat().st_mtime_ns) for file in files)])
    there = zip(compute.is_valid(content).to_pylist(), paths.to_pylist(), strict=True)
    pictures = [
        Row(content, i, f"split '{name}'", size, version) if held else Path(path) if path else None
        for i, (held, path) in enumerate(there)
    ]
    labels = split.select_columns([label])[:][label]
    return list(zip(pictures, labels, strict=True))


def stream_rows(
    split: Any, name: str, image: str, label: str, *, count: int, seed: int
) -> list[tuple[Row | None, Any]]:
    """The first rows of a shuffled split, without fetching the rest; their files are in memory."""
    import datasets
    import fsspec
    import pyarrow

    rows = split.select_columns([image, label]).cast_column(image, datasets.Image(decode=False))
    content: list[bytes | None] = []
    labels = []
    for row in rows.shuffle(seed=seed, buffer_size=max(count, BUFFER)).take(count):
        picture = row[image] or {}
        if picture.get("bytes") is None and picture.get("path"):
            with fsspec.open(picture["path"], "rb") as file:
                picture["bytes"] = file.read()
        content.append(picture.get("bytes"))
        labels.append(row[label])
    column = pyarrow.array(content, pyarrow.large_binary())
    rows = [None if held is None else Row(column, i, f"split '{name}'") for i, held in enumerate(content)]
    return list(zip(rows, labels, strict=True))


def _is_label(kind: Any) -> bool:
    dtype = str(getattr(kind, "dtype", ""))
    return type(kind).__name__ == "Value" and (dtype in ("string", "large_string", "bool") or "int" in dtype)


def _describe(kind: Any) -> str:
    name = type(kind).__name__
    return str(kind.dtype) if name == "Value" else name


def _find_commit(place: Place, splits: Mapping[str, Any]) -> str:
    """The commit of a data set's files; empty where nobody knows.

    Raises DccError if it is not that of the revision: without the Hub, `datasets` takes whatever its cache has.
    """
    folders = [Path(file["filename"]).parent.name for s in splits.values() for file in getattr(s, "cache_files", ())]
    read = next(filter(COMMIT.fullmatch, folders), "")
    asked = place.revision or "main"
    known = asked if COMMIT.fullmatch(asked) else _resolve(place.repo, asked)
    if read and known != read and (known or place.revision):
        raise DccError(
            f"hf: the cache of this computer has '{place.repo}' at commit {read}, which is not '{asked}'; "
            f"hf:{place.repo}@{read} names it, and the Hub, which has others, is not asked or does not answer"
        )
    return read or known


def _resolve(repo: str, revision: str) -> str:
    """The commit of a branch or tag: as the Hub says, or without it the cache; empty where neither does."""
    import datasets
    from huggingface_hub import HfApi, constants
    from huggingface_hub.file_download import repo_folder_name

    if not datasets.config.HF_HUB_OFFLINE:
        with contextlib.suppress(Exception):  # the data are there, and the cache may know
            return HfApi().dataset_info(repo, revision=revision).sha or ""
    ref = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repo, repo_type="dataset"), "refs", revision)
    return ref.read_text(encoding="utf-8").strip() if ref.is_file() else ""


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Without the bars of `datasets`, which go to the terminal."""
    import datasets

    shown = datasets.are_progress_bars_disabled() is False
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()

"""Downsampled ImageNet (Chrabaszcz et al. 2017), cut by WordNet."""

from __future__ import annotations

import functools
import logging
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dcc_core import DataSource, DccError, ImageSet, RealData
from dcc_plugins.data.array_pickle import load_arrays
from dcc_plugins.data.kept_files import FOLDER, key_of, written_whole
from dcc_plugins.data.wordnet import CLASSES, wordnet

log = logging.getLogger("dcc")

TRAIN = tuple(f"train_data_batch_{i}" for i in range(1, 11))
VAL = ("val_data",)
ROWS = 2048
CACHE_FORMAT = 1
HOME = "https://image-net.org/download-images.php"


@final
@dataclass(frozen=True, kw_only=True)
class ImageNet32(DataSource):
    """ImageNet at 8, 16, 32 or 64 pixels, cut to the classes of a group or of any WordNet synset.

    Groups: the paper's automobile, terrier, fish, lizard, truck, insect; `all`; or a synset by word (`snake`), sense
    (`truck.n.01`) or id (`n01674464`). The bare words automobile and truck are the paper's lists; `car` and
    `truck.n.01` the synsets. Class indices follow the labels of the class table, ascending, as in the sets of
    the official code. The official files, npz or pickle, may lie anywhere below the data root. Test images are
    the validation images of ImageNet.
    """

    group: Annotated[str, "group, synset or id"]
    resolution: Annotated[Literal[8, 16, 32, 64], "side of the images"] = 32
    cache: Annotated[bool, "keep the cut below the data root, for the next start"] = True

    def describe(self) -> str:
        net, choice = wordnet(), wordnet().choose(self.group)
        width = max(len(net.name(row)) for row in choice.rows)
        lines = [choice.title, f"{len(choice.rows)} classes:"]
        lines += [
            f"  {i:>3}  {net.wnids[row]}  label {row + 1:>4}  {net.name(row):<{width}}  {net.glosses[row]}"
            for i, row in enumerate(choice.rows)
        ]
        if choice.others:
            lines += ["other senses:", *(f"  {other}" for other in choice.others)]
        return "\n".join(lines)

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        choice = wordnet().choose(self.group)
        if len(choice.rows) < 2:
            raise DccError(f"imagenet32: '{self.group}' is a single class ({choice.title}); at least two are needed")
        files = _files(root, self.resolution)
        train, val = _cut_classes(files, choice.rows, self.resolution, root if self.cache else None)
        if not len(train.images) or not len(val.images):
            raise DccError(f"imagenet32: the files below '{root}' hold no images of {choice.title}")
        return RealData(name=f"imagenet32:{self.group}", train=train, test=val, class_names=_names(choice.rows))


def _names(rows: tuple[int, ...]) -> tuple[str, ...]:
    """Class names; with their id if two classes share a name."""
    net = wordnet()
    names = [net.name(row) for row in rows]
    return tuple(n if names.count(n) == 1 else f"{n} ({net.wnids[row]})" for n, row in zip(names, rows, strict=True))


def _files(root: Path, side: int) -> tuple[list[Path], list[Path]]:
    """The training and the validation files of one resolution below a folder.

    Raises DccError that says what is missing and where to put it.
    """
    found: dict[str, list[Path]] = {name: [] for name in (*TRAIN, *VAL)}
    seen: set[str] = set()
    if root.is_dir():
        for folder, folders, names in os.walk(root, followlinks=True):
            folders[:] = [] if os.path.realpath(folder) in seen else sorted(folders)
            if os.path.realpath(folder) in seen:
                continue
            seen.add(os.path.realpath(folder))
            for name in sorted(names):
                if name.removesuffix(".npz") in found:
                    found[name.removesuffix(".npz")].append(Path(folder) / name)
    sides = {p: _side(p, root) for paths in found.values() for p in paths}
    fitting = {name: [p for p in paths if sides[p] in (side, None)] for name, paths in found.items()}
    best = functools.partial(min, key=lambda p: (sides[p] is None, p.suffix != ".npz", str(p)))
    chosen = {name: best(paths) for name, paths in fitting.items() if paths}
    missing = [name for name in (*TRAIN, *VAL) if name not in chosen]
    if not missing:
        return [chosen[n] for n in TRAIN], [chosen[n] for n in VAL]
    others = sorted({s for s in sides.values() if s not in (None, side)})
    also = (
        f" (there are images of {', '.join(map(str, others))} pixels: -o data.resolution={others[0]})" if others else ""
    )
    raise DccError(
        f"imagenet32: '{root}' lacks {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''} of "
        f"{side}×{side} images{also}.\n  Download Imagenet{side}_train_npz.zip and Imagenet{side}_val_npz.zip from "
        f"{HOME} (free registration), unpack them anywhere below that folder, or name another by --data-root"
    )


def _side(path: Path, root: Path) -> int | None:
    """The images' side by an npz file's header; by the nearest folder's name for a pickle; None where neither says."""
    if path.suffix == ".npz":
        try:
            with zipfile.ZipFile(path) as archive, archive.open("data.npy") as member:
                return round((_header(member)[0][1] / 3) ** 0.5)
        except Exception:
            return None
    for folder in reversed(path.relative_to(root).parts[:-1]):
        named = [s for s in (8, 16, 32, 64) if re.search(rf"imagenet{s}(?!\d)", folder.casefold())]
        if len(named) == 1:
            return named[0]
    return None


def _cut_classes(
    files: tuple[list[Path], list[Path]], rows: tuple[int, ...], side: int, root: Path | None
) -> tuple[ImageSet, ImageSet]:
    """The images of some classes, from the cache where the files are the same as then."""
    if root is None:
        return _choose_rows(files[0], rows, side), _choose_rows(files[1], rows, side)
    key = key_of([path for part in files for path in part], CACHE_FORMAT, rows, side)
    path = root / FOLDER / f"imagenet{side}-{key}.safetensors"
    try:
        kept = load_file(path)
        return ImageSet(kept["x_train"], kept["y_train"]), ImageSet(kept["x_test"], kept["y_test"])
    except (OSError, SafetensorError, KeyError):
        pass
    train, test = _choose_rows(files[0], rows, side), _choose_rows(files[1], rows, side)
    tensors = {"x_train": train.images, "y_train": train.labels, "x_test": test.images, "y_test": test.labels}
    try:
        with written_whole(path) as place:
            save_file(tensors, place)
    except (OSError, SafetensorError) as error:
        log.info(f"imagenet32: the cut is not kept for the next start: {error}")
    return train, test


def _choose_rows(paths: list[Path], rows: tuple[int, ...], side: int) -> ImageSet:
    """The images of some classes out of batch files, in the order of the files."""
    new = np.full(CLASSES, -1)
    new[list(rows)] = np.arange(len(rows))
    pixels, labels = bytearray(), [np.zeros(0, np.int64)]
    for path in paths:
        labels.append(_append(pixels, path, new, side))
    images = np.frombuffer(pixels, np.uint8).reshape(-1, 3, side, side)
    return ImageSet(torch.from_numpy(images), torch.from_numpy(np.concatenate(labels)))


def _append(pixels: bytearray, path: Path, new: np.ndarray, side: int) -> np.ndarray:
    """Add the chosen images of one batch file, and return their new labels; -1 in `new` leaves a class out."""
    labels = [np.zeros(0, np.int64)]
    for flat, of_table in _chunks(path):
        if flat.dtype != np.uint8 or flat.ndim != 2 or flat.shape[1] != 3 * side * side:
            raise DccError(
                f"imagenet32: '{path}' holds {flat.dtype} rows of {flat.shape[1:]}; expected uint8 rows "
                f"of {3 * side * side}, images of {side}×{side}"
            )
        whole = of_table.shape == flat.shape[:1] and of_table.dtype.kind in "iu"
        if not whole or (len(of_table) and not 1 <= of_table.min() <= of_table.max() <= CLASSES):
            raise DccError(f"imagenet32: labels of '{path}' must be {len(flat)} whole numbers from 1 to {CLASSES}")
        own = new[of_table - 1]
        pixels += flat[own >= 0].data
        labels.append(own[own >= 0])
    return np.concatenate(labels)


def _chunks(path: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and labels of a batch file, some at a time. Raises DccError naming a damaged file."""
    try:
        yield from _npz_chunks(path) if path.suffix == ".npz" else _pickle_chunks(path)
    except DccError:
        raise
    except Exception as error:
        raise DccError(
            f"imagenet32: '{path}' is truncated or damaged: {type(error).__name__}: {error}. Download it again"
        ) from error


def _npz_chunks(path: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A batch of the npz release, its images streamed out of the archive."""
    with zipfile.ZipFile(path) as archive:
        with archive.open("labels.npy") as member:
            labels = np.lib.format.read_array(member, allow_pickle=False)
        with archive.open("data.npy") as member:
            (count, width), dtype, fortran = _header(member)
            if fortran or dtype != np.uint8 or labels.shape != (count,):
                raise ValueError(f"data {dtype} ({count}, {width}) with labels {labels.shape}")
            for start in range(0, count, ROWS):
                n = min(ROWS, count - start)
                content = member.read(n * width)
                yield np.frombuffer(content, np.uint8).reshape(n, width), labels[start : start + n]


def _header(member: Any) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Shape, type and order of an array in an npy file."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(member)
    return shape, dtype, fortran


def _pickle_chunks(path: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A batch of the pickle release."""
    data, labels = load_arrays(path, "data", "labels")
    for start in range(0, max(len(data), len(labels)), ROWS):
        yield data[start : start + ROWS], labels[start : start + ROWS]

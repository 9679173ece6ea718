"""Your own images: arrays in an npz file, in the layouts of other tools."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, final

import numpy as np
import torch

from dcc_core import DataSource, DccError, ImageSet, RealData
from dcc_plugins.data.splits import split
from dcc_plugins.data.tree import PART_OF

IMAGES = frozenset({"x", "image", "images", "img", "imgs", "data", "features", "inputs", "pixel", "pixels", "values"})
LABELS = frozenset({"y", "label", "labels", "target", "targets", "lbl"})
CLASS_NAMES = frozenset({"class_names", "label_names", "classes", "class_labels"})
"""Words of keys, in small letters: `train_images` and `y_test` are a part and one of these, `data` and `labels` one."""
EXAMPLES = "x_train and y_train, train_images and train_labels, or images and labels"
LARGEST_PART = 16
"""Floats in 0..255 are taken as such from here on; below it they might be anything."""

Range = Literal["0..1", "0..255", "-1..1", "0..65535"]
SCALES: dict[str, tuple[float, float]] = {"0..1": (0, 1), "0..255": (0, 255), "-1..1": (-1, 1), "0..65535": (0, 65535)}
Arrays = dict[tuple[str, str], tuple[str, np.ndarray]]
"""By part and content (`images`, `labels`): the key in the file, and the array."""


@final
@dataclass(frozen=True, kw_only=True)
class Npz(DataSource):
    """Arrays of images and labels, by part: `x_train, y_train`, `train_images, train_labels`, or `images, labels`.

    Images (N, H, W), (N, H, W, C) or (N, C, H, W), C 1 or 3, whole numbers or floating point; labels (N,) or (N, 1),
    whole numbers from 0, texts, or one-hot rows (N, K). Parts are train, test and validation; without a test part it is
    the validation part, and without both a fifth of each class is set apart, by `split_seed`. Class names are in
    `class_names`, if anywhere. Nothing is unpickled. What can be read in two ways is refused.
    """

    path: Annotated[Path, "the file"]
    keys: Annotated[
        tuple[str, ...], "which array is what, e.g. train_images=photos,train_labels=kinds; none: by their names"
    ] = ()
    range: Annotated[Range | None, "black and white of the numbers; none: by type and span"] = None
    order: Annotated[
        Literal["channels-first", "channels-last"] | None, "where the channels are; none: where there are 1 or 3"
    ] = None

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        arrays, given = self._arrays()
        texts = self._texts(arrays)
        parts = {
            part: self._part(arrays, part, texts)
            for part in ("train", "test", "validation")
            if part == "train" or any(own == part for own, _ in arrays)
        }
        train, test, validation = parts["train"], parts.get("test"), parts.get("validation")
        if test is None:
            test, validation = validation, None
        if test is None:
            kept, apart = split(train.labels, self.split_seed)
            train, test = (ImageSet(train.images[i], train.labels[i]) for i in (kept, apart))
        classes = 1 + max(int(p.labels.max()) for p in (train, test, validation) if p)
        if classes > len(train.labels):
            raise DccError(
                f"npz: '{self.path}' has labels up to {classes - 1}, and {len(train.labels)} training images"
            )
        names = tuple(texts) if texts else self._names(given, classes)
        return RealData(name=f"npz:{self.path.stem}", train=train, test=test, validation=validation, class_names=names)

    def _arrays(self) -> tuple[Arrays, np.ndarray | None]:
        """The arrays by part and content, and the class names if there are any."""
        try:
            with np.load(self.path, allow_pickle=False) as file:
                chosen = self._chosen(list(file))
                names = next((file[key] for key in file if key.casefold() in CLASS_NAMES), None)
                return {place: (key, file[key]) for place, key in chosen.items()}, names
        except DccError:
            raise
        except Exception as error:  # numpy raises whatever a damaged file leads it to
            raise DccError(
                f"npz: '{self.path}' cannot be read: {type(error).__name__}: {error}. Expected an npz file with "
                f"{EXAMPLES}, none of objects"
            ) from error

    def _chosen(self, there: list[str]) -> dict[tuple[str, str], str]:
        """Keys of the file by part and content: those of `keys`, or by the words in their names."""
        found: dict[tuple[str, str], str] = {}
        for word in self.keys:
            what, _, key = word.partition("=")
            place = read_key(what)
            if place is None or key not in there:
                raise DccError(
                    f"npz: data.keys '{word}': expected e.g. train_images=KEY, with a key of '{self.path}': "
                    f"{', '.join(there)}"
                )
            found[place] = key
        if self.keys:
            return found
        for key in there:
            if (place := read_key(key)) is None:
                continue
            if place in found:
                raise DccError(
                    f"npz: '{found[place]}' and '{key}' of '{self.path}' may both be the {place[0]} {place[1]}; say "
                    f"which: -o data.keys={place[0]}_{place[1]}={key},..."
                )
            found[place] = key
        return found

    def _texts(self, arrays: Arrays) -> dict[str, int]:
        """Labels that are texts, numbered in their order; empty if labels are numbers."""
        texts = [y for (_, content), (_, y) in arrays.items() if content == "labels" and y.dtype.kind in "US"]
        return (
            {str(text): k for k, text in enumerate(np.unique(np.concatenate([t.astype(str).ravel() for t in texts])))}
            if texts
            else {}
        )

    def _names(self, given: np.ndarray | None, classes: int) -> tuple[str, ...]:
        if given is None:
            return tuple(str(k) for k in range(classes))
        if given.dtype.kind != "U" or given.ndim != 1 or not classes <= len(given) == len(set(given.tolist())):
            raise DccError(
                f"npz: class_names of '{self.path}' are {given.dtype} {given.shape}; expected at least {classes} "
                "different texts"
            )
        return tuple(given.tolist())

    def _part(self, arrays: Arrays, part: str, texts: Mapping[str, int]) -> ImageSet:
        missing = [content for content in ("images", "labels") if (part, content) not in arrays]
        if missing:
            there = ", ".join(key for key, _ in arrays.values()) or "none"
            raise DccError(
                f"npz: '{self.path}' lacks {part} {' and '.join(missing)}; of its keys, {there} can be told by name. "
                f"Expected {EXAMPLES}; -o data.keys={part}_{missing[0]}=KEY,... names them"
            )
        (key, x), (name, y) = arrays[part, "images"], arrays[part, "labels"]
        labels = self._labels(y, f"npz: {name} of '{self.path}'", len(x), texts)
        return ImageSet(self._images(x, f"npz: {key} of '{self.path}'"), torch.from_numpy(labels))

    def _labels(self, y: np.ndarray, where: str, count: int, texts: Mapping[str, int]) -> np.ndarray:
        """Labels (N,), int64."""
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        if texts and y.dtype.kind in "US" and y.shape == (count,):
            return np.array([texts[str(text)] for text in y.astype(str)], np.int64)
        if y.ndim == 2 and y.shape[0] == count and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
            return y.argmax(axis=1).astype(np.int64)
        whole = y.dtype.kind in "iu" or (y.dtype.kind == "f" and np.isfinite(y).all() and (y == np.floor(y)).all())
        if not whole or y.shape != (count,) or not count or y.min() < 0:
            raise DccError(
                f"{where} is {y.dtype} {y.shape}; expected {count} whole numbers from 0, texts, or one-hot rows"
            )
        return y.astype(np.int64)

    def _images(self, x: np.ndarray, where: str) -> torch.Tensor:
        pixels = self._channels_first(self._bytes(x, where), where)
        return torch.from_numpy(np.ascontiguousarray(pixels))

    def _bytes(self, x: np.ndarray, where: str) -> np.ndarray:
        """The same pixels as uint8. Raises DccError if their black and white can be read in two ways."""
        if x.dtype == np.uint8 and self.range is None:
            return x
        if x.dtype.kind not in "iufb" or not x.size or not np.isfinite(x).all():
            spans = f"spans {x.min()} to {x.max()} and" if x.dtype.kind == "f" and x.size else ""
            raise DccError(f"{where} {spans} is {x.dtype} {x.shape}; expected finite numbers")
        low, high = float(x.min()), float(x.max())
        if self.range:
            black, white = SCALES[self.range]
        else:
            black, white = _guess_range(x.dtype.kind, low, high, where)
        if low < black or high > white:
            raise DccError(f"{where} spans {low:g} to {high:g}, beyond {black:g}..{white:g}; give another data.range")
        return np.round((x.astype(np.float64) - black) * (255 / (white - black))).astype(np.uint8)

    def _channels_first(self, x: np.ndarray, where: str) -> np.ndarray:
        """(N, C, H, W). Raises DccError if the channels can be at either end."""
        if x.ndim == 3:
            return x[:, None]
        if x.ndim == 4:
            first, last = x.shape[1] in (1, 3), x.shape[3] in (1, 3)
            if first and last and self.order is None:
                raise DccError(
                    f"{where} has shape {x.shape}, with channels at either end; say which: "
                    "-o data.order=channels-first or channels-last"
                )
            if last and (self.order == "channels-last" or not first):
                return x.transpose(0, 3, 1, 2)
            if first and self.order != "channels-last":
                return x
        raise DccError(f"{where} has shape {x.shape}; expected (N, H, W), (N, H, W, C) or (N, C, H, W) with C 1 or 3")


def read_key(key: str) -> tuple[str, str] | None:
    """The part and the content that a key's words name, `train` if it names no part; none if it names no content."""
    words = re.findall(r"[a-z]+", key.casefold())
    parts = {PART_OF[word] for word in words if word in PART_OF}
    contents = {"images" for word in words if word in IMAGES} | {"labels" for word in words if word in LABELS}
    if len(parts) > 1 or len(contents) != 1 or key.casefold() in CLASS_NAMES:
        return None
    return (parts or {"train"}).pop(), contents.pop()


def _guess_range(kind: str, low: float, high: float, where: str) -> tuple[float, float]:
    """Black and white of numbers whose range says it. Raises DccError for others, with the readings."""
    spans = f"{where} spans {low:g} to {high:g}"
    if kind == "b" or (kind == "f" and low >= 0 and high <= 1):
        return SCALES["0..1"]
    if low < 0:
        raise DccError(
            f"{spans}: -1..1, or normalised by some mean; -o data.range=-1..1 says the first, for the second undo it"
        )
    if high <= 255 and (high >= LARGEST_PART or (kind != "f" and high > 1)):
        return SCALES["0..255"]
    if high <= 255:
        raise DccError(f"{spans}: bytes of dark images, or not; say -o data.range=0..255 or 0..1")
    raise DccError(f"{spans}: 16 bits, or fewer; say -o data.range=0..65535, or scale them to 0..255")

"""Your own images: arrays in an npz file, in the layouts of other tools."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

import numpy as np
import torch

from dcc_core import DccError, ImageSet, RealData
from dcc_plugins.data.arrays import ArraySource, number_texts
from dcc_plugins.data.tree import PART_OF

IMAGES = frozenset({"x", "image", "images", "img", "imgs", "data", "features", "inputs", "pixel", "pixels", "values"})
LABELS = frozenset({"y", "label", "labels", "target", "targets", "lbl"})
CLASS_NAMES = frozenset({"class_names", "label_names", "classes", "class_labels"})
"""Words of keys, in small letters: `train_images` and `y_test` are a part and one of these, `data` and `labels` one."""
EXAMPLES = "x_train and y_train, train_images and train_labels, or images and labels"
Arrays = dict[tuple[str, str], tuple[str, np.ndarray]]
"""By part and content (`images`, `labels`): the key in the file, and the array."""


@final
@dataclass(frozen=True, kw_only=True)
class Npz(ArraySource):
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

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        arrays, given = self._arrays()
        texts = number_texts(y for (_, content), (_, y) in arrays.items() if content == "labels")
        parts = {
            part: self._part(arrays, part, texts)
            for part in ("train", "test", "validation")
            if part == "train" or any(own == part for own, _ in arrays)
        }
        classes = self.count_classes(parts, f"npz: '{self.path}'")
        names = tuple(texts) if texts else self._names(given, classes)
        return RealData(name=f"npz:{self.path.stem}", class_names=names, **self.complete(parts))

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
        labels = self.read_labels(y, f"npz: {name} of '{self.path}'", len(x), texts)
        return ImageSet(self.read_images(x, f"npz: {key} of '{self.path}'"), torch.from_numpy(labels))


def read_key(key: str) -> tuple[str, str] | None:
    """The part and the content that a key's words name, `train` if it names no part; none if it names no content."""
    words = re.findall(r"[a-z]+", key.casefold())
    parts = {PART_OF[word] for word in words if word in PART_OF}
    contents = {"images" for word in words if word in IMAGES} | {"labels" for word in words if word in LABELS}
    if len(parts) > 1 or len(contents) != 1 or key.casefold() in CLASS_NAMES:
        return None
    return (parts or {"train"}).pop(), contents.pop()

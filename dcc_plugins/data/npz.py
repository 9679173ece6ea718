"""Your own images: arrays in an npz file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

import numpy as np
import torch

from dcc_core import DataSource, DccError, ImageSet, RealData
from dcc_plugins.data.splits import split

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@final
@dataclass(frozen=True, kw_only=True)
class Npz(DataSource):
    """Arrays `x_train, y_train, x_test, y_test`, and `class_names` if there are any.

    Images (N, H, W), (N, H, W, C) or (N, C, H, W), C 1 or 3, uint8 in 0..255 or floating point in 0..1; labels (N,)
    whole numbers from 0. Without a test part a fifth of each class is set apart, by `split_seed`. Nothing is
    unpickled.
    """

    path: Annotated[Path, "the file"]

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        arrays = self._arrays()
        train = self._part(arrays, "train")
        if "x_test" in arrays or "y_test" in arrays:
            test = self._part(arrays, "test")
        else:
            kept, apart = split(train.labels, self.split_seed)
            train, test = (ImageSet(train.images[i], train.labels[i]) for i in (kept, apart))
        classes = int(max(train.labels.max(), test.labels.max())) + 1
        if classes > len(train.labels):
            raise DccError(
                f"npz: '{self.path}' has labels up to {classes - 1}, and {len(train.labels)} training images"
            )
        names = self._names(arrays.get("class_names"), classes)
        return RealData(name=f"npz:{self.path.stem}", train=train, test=test, class_names=names)

    def _arrays(self) -> dict[str, np.ndarray]:
        try:
            with np.load(self.path, allow_pickle=False) as file:
                return {name: file[name] for name in (*ARRAYS, "class_names") if name in file}
        except Exception as error:  # numpy raises whatever a damaged file leads it to
            raise DccError(
                f"npz: '{self.path}' cannot be read: {type(error).__name__}: {error}. Expected an npz file of "
                f"{', '.join(ARRAYS)}, none of objects"
            ) from error

    def _names(self, given: np.ndarray | None, classes: int) -> tuple[str, ...]:
        if given is None:
            return tuple(str(k) for k in range(classes))
        if given.dtype.kind != "U" or given.ndim != 1 or not classes <= len(given) == len(set(given.tolist())):
            raise DccError(
                f"npz: class_names of '{self.path}' are {given.dtype} {given.shape}; expected at least {classes} "
                "different texts"
            )
        return tuple(given.tolist())

    def _part(self, arrays: dict[str, np.ndarray], part: str) -> ImageSet:
        missing = [name for name in (f"x_{part}", f"y_{part}") if name not in arrays]
        if missing:
            raise DccError(f"npz: '{self.path}' lacks {', '.join(missing)}; it has {', '.join(arrays) or 'none'}")
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if y.dtype.kind not in "iu" or y.shape != x.shape[:1] or not len(y) or y.min() < 0:
            raise DccError(
                f"npz: y_{part} of '{self.path}' is {y.dtype} {y.shape}; expected {len(x)} whole numbers from 0"
            )
        return ImageSet(self._images(x, f"x_{part}"), torch.from_numpy(y.astype(np.int64)))

    def _images(self, x: np.ndarray, name: str) -> torch.Tensor:
        where = f"npz: {name} of '{self.path}'"
        if x.dtype.kind == "f":
            if not np.isfinite(x).all() or x.min() < 0 or x.max() > 1:
                raise DccError(f"{where} spans {x.min():g} to {x.max():g}; floating-point images must lie in 0..1")
            x = np.round(x * 255).astype(np.uint8)
        if x.dtype != np.uint8:
            raise DccError(f"{where} is {x.dtype}; expected uint8 in 0..255, or floating point in 0..1")
        if x.ndim == 3:
            x = x[:, None]
        elif x.ndim == 4 and x.shape[3] in (1, 3) and x.shape[1] not in (1, 3):
            x = x.transpose(0, 3, 1, 2)
        if x.ndim != 4 or x.shape[1] not in (1, 3) or x.shape[3] in (1, 3):
            raise DccError(
                f"{where} has shape {x.shape}; expected (N, H, W), (N, H, W, C) or (N, C, H, W) with C 1 or 3"
            )
        return torch.from_numpy(np.ascontiguousarray(x))

"""Images and labels as arrays, in the layouts of other tools: what can be read in two ways is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch

from dcc_core import DataSource, DccError, ImageSet
from dcc_plugins.data.splits import split

LARGEST_PART = 16
"""Floats in 0..255 are taken as such from here on; below it they might be anything."""

Range = Literal["0..1", "0..255", "-1..1", "0..65535"]
SCALES: dict[str, tuple[float, float]] = {"0..1": (0, 1), "0..255": (0, 255), "-1..1": (-1, 1), "0..65535": (0, 65535)}


@dataclass(frozen=True, kw_only=True)
class ArraySource(DataSource):
    """A source of arrays: images (N, H, W), (N, H, W, C) or (N, C, H, W), labels (N,), (N, 1) or one-hot (N, K)."""

    range: Annotated[Range | None, "black and white of the numbers; none: by type and span"] = None
    order: Annotated[
        Literal["channels-first", "channels-last"] | None, "where the channels are; none: where there are 1 or 3"
    ] = None

    def complete(self, parts: Mapping[str, ImageSet]) -> dict[str, Any]:
        """Train, test and validation: without a test part it is the validation part, else a fifth of each class."""
        train, test, validation = parts["train"], parts.get("test"), parts.get("validation")
        if test is None:
            test, validation = validation, None
        if test is None:
            kept, apart = split(train.labels, self.split_seed)
            train, test = (ImageSet(train.images[i], train.labels[i]) for i in (kept, apart))
        return {"train": train, "test": test, "validation": validation}

    def count_classes(self, parts: Mapping[str, ImageSet], where: str) -> int:
        """The number of classes by the largest label. Raises DccError if there are more than training images."""
        classes, images = 1 + max(int(p.labels.max()) for p in parts.values()), len(parts["train"].labels)
        if classes > images:
            raise DccError(f"{where} has labels up to {classes - 1}, and {images} training images")
        return classes

    def read_labels(self, y: np.ndarray, where: str, count: int, texts: Mapping[str, int]) -> np.ndarray:
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

    def read_images(self, x: np.ndarray, where: str) -> torch.Tensor:
        """Images (N, C, H, W), uint8, with torch's usual strides: kernels are chosen by them, where C is 1 too."""
        pixels = np.ascontiguousarray(self._channels_first(self._bytes(x, where), where))
        return torch.from_numpy(pixels).clone(memory_format=torch.contiguous_format)

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


def number_texts(labels: Iterable[np.ndarray]) -> dict[str, int]:
    """Labels that are texts, numbered in their order; empty if labels are numbers."""
    texts = [y for y in labels if y.dtype.kind in "US"]
    return (
        {str(text): k for k, text in enumerate(np.unique(np.concatenate([t.astype(str).ravel() for t in texts])))}
        if texts
        else {}
    )


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

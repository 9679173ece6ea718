"""What sources of picture files share: their options, and how files become tensors."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from annotated_types import Ge
from PIL import Image
from rich.console import Console
from rich.progress import track

from dcc_core import DataSource, DccError, ImageSet, RealData
from dcc_plugins.data.picture_cache import through_cache
from dcc_plugins.data.pictures import Fit, Header, Picture, Resample, read_header, read_picture, read_upright
from dcc_plugins.data.splits import split

log = logging.getLogger("dcc")

LARGE = 128 * 128
"""Pixels above which decoding takes long enough for several threads to pay."""
THUMBNAIL = 160
"""Longest side of an example, in pixels."""
MANY = 10_000
"""Files from which on they pay for smaller ones."""
Parts = Mapping[str, Sequence[tuple[Path | Picture, str]]]
"""For `train`, `test` and `validation`, files with the name of their class."""


class Understood(NamedTuple):
    """Files with their class by part (`train`, `test`, `validation`), class names, and what a user may want to know."""

    parts: Parts
    class_names: Sequence[str]
    notes: Sequence[str]


class Example(NamedTuple):
    """A picture of a class: upright, of at most `THUMBNAIL` pixels a side, and as a run sees it, uint8 (H, W, C)."""

    class_name: str
    upright: Image.Image
    pixels: np.ndarray


@dataclass(frozen=True, kw_only=True)
class PictureSource(DataSource, ABC):
    """Options of sources that read picture files. Images are upright by their EXIF orientation."""

    size: Annotated[
        tuple[Annotated[int, Ge(1)], ...] | None,
        "height,width (or one side) that images are resized to; none: as they are, if all agree",
    ] = None
    fit: Annotated[Fit, "other proportions: squash them, crop the longer side, or pad the shorter one in black"] = (
        "squash"
    )
    resample: Annotated[Resample, "filter of resizing"] = "bilinear"
    channels: Annotated[Literal[1, 3] | None, "1 grey, 3 colour; none: grey if all images are"] = None
    broken: Annotated[Literal["fail", "skip"], "what to do about images that cannot be read"] = "fail"

    def __post_init__(self) -> None:
        if self.size is not None and len(self.size) not in (1, 2):
            raise ValueError(f"size {','.join(map(str, self.size))}: expected one side, or height,width")

    @abstractmethod
    def understand(self) -> AbstractContextManager[Understood]:
        """The files, with their class by part, while the context lasts; archives are unpacked for so long."""

    def describe(self) -> str:
        """How the files are understood: classes, parts and sizes, what is turned upright, and what is left out."""
        with self.understand() as found:
            return "\n".join([*self._describe_parts(found.parts, found.class_names), *found.notes])

    @property
    def unpacks(self) -> bool:
        """Whether `understand` unpacks files first, which may take long."""
        return False

    def examples(self, count: int) -> list[Example]:
        """A training picture of each of some classes, as it is and as a run sees it; none if they are packed."""
        if self.unpacks:
            return []
        with self.understand() as found:
            first = {name: path for path, name in reversed(found.parts["train"])}
            chosen = [(name, first[name]) for name in found.class_names[:count]]
        both = [(name, read_upright(path, THUMBNAIL), self._pixels(path)) for name, path in chosen]
        return [Example(name, upright, seen) for name, upright, seen in both if upright and seen is not None]

    def read_parts(
        self, name: str, found: Understood, root: Path | None, *, progress: bool
    ) -> tuple[RealData, dict[Path | Picture, str]]:
        """The data of some files, and why others cannot be read; without a test part a fifth of each class is one.

        root: the folder for data sets, in which pixels are kept for the next run. progress: show a bar. Raises DccError
        if images cannot be read, unless `broken` leaves them out, or differ in size.
        """
        for note in found.notes:
            log.info(f"{name.partition(':')[0]}: {note}")
        parts, class_names = dict(found.parts), tuple(found.class_names)
        label = {name: k for k, name in enumerate(class_names)}
        if not parts["test"]:
            whole = parts["train"]
            chosen = split(torch.tensor([label[name] for _, name in whole]), self.split_seed)
            parts["train"], parts["test"] = ([whole[i] for i in part.tolist()] for part in chosen)
            if not parts["test"]:
                raise DccError(f"'{name}' has one image of each class, none to test with; give more, or a test part")
        files = [path for own in parts.values() for path, _ in own]
        options = (self.size, self.fit, self.resample, self.channels)
        images, places = through_cache(root, files, options, lambda make: self._read(files, make, progress))
        faults = {files[place]: why for place, why in places.items()}
        self._report(faults, len(files))
        sets: dict[str, ImageSet | None] = {}
        first = 0
        for part, own in parts.items():
            kept = [(first + i, name) for i, (path, name) in enumerate(own) if path not in faults]
            pixels = images[[i for i, _ in kept]] if faults else images[first : first + len(own)]
            labels = torch.tensor([label[name] for _, name in kept], dtype=torch.int64)
            sets[part] = ImageSet(torch.from_numpy(np.ascontiguousarray(pixels)), labels) if own else None
            first += len(own)
        return RealData(name=name, class_names=class_names, **sets), faults  # pyright: ignore[reportArgumentType]

    def _describe_parts(self, parts: Parts, class_names: Sequence[str]) -> list[str]:
        """Classes, parts and sizes, in lines."""
        lines = [f"{len(class_names)} classes: {', '.join(class_names[:20])}"]
        for part, own in parts.items():
            if counts := Counter(name for _, name in own).values():
                few, many = min(counts), max(counts)
                each = f"{few} of each class" if few == many else f"{few} to {many} of a class"
                lines.append(f"{part}: {len(own)} images, {each}")
        if not parts["test"]:
            lines.append("test: a fifth of each class, set apart by split_seed")
        headers = [read_header(path) for own in parts.values() for path, _ in own]
        read = [header for header in headers if isinstance(header, Header)]
        sizes = Counter(f"{height}×{width}" for height, width in (header.size for header in read))
        more = f", and {len(sizes) - 5} other sizes" if len(sizes) > 5 else ""
        lines.append("height×width: " + ", ".join(f"{size} ({n})" for size, n in sizes.most_common(5)) + more)
        for count, what in (
            (sum(header.turned for header in read), "turned upright by their EXIF orientation"),
            (sum(header.animated for header in read), "animations, of which the first frame is taken"),
            (len(headers) - len(read), "that cannot be read"),
        ):
            lines += [f"{count} {what}"] if count else []
        return lines

    def _read(
        self, files: Sequence[Path | Picture], make: Callable[[tuple[int, ...]], np.ndarray], progress: bool
    ) -> tuple[np.ndarray, dict[int, str]]:
        """Pixels (N, C, H, W) in an array that `make` gives, and why some files cannot be read, by their place."""
        cores = os.cpu_count() or 1
        with ThreadPoolExecutor(cores) as pool:
            headers = [h for h in pool.map(read_header, files) if isinstance(h, Header)]
        size, channels = self._shape(headers)
        images = make((len(files), channels, *size))
        large = max(height * width for (height, width), *_ in headers) > LARGE or len(files) > MANY
        read = partial(read_picture, fit=self.fit, resample=self.resample)
        views = (image.transpose(1, 2, 0) for image in images)
        how = {"total": len(files), "console": Console(stderr=True), "transient": True}
        with ThreadPoolExecutor(cores if large else 1) as pool:
            found = track(pool.map(read, files, views), "decoding pictures", disable=not (progress and large), **how)
            faults = {i: why for i, why in enumerate(found) if why}
        return images, faults

    def _pixels(self, path: Path | Picture) -> np.ndarray | None:
        """A picture as a run sees it, uint8 (H, W, C); none if it cannot be read."""
        header = read_header(path)
        if isinstance(header, str):
            return None
        size, channels = self._shape([header])
        pixels = np.zeros((*size, channels), np.uint8)
        return None if read_picture(path, pixels, fit=self.fit, resample=self.resample) else pixels

    def _report(self, faults: dict[Path | Picture, str], count: int) -> None:
        """Images that cannot be read: an error, or a line of the log."""
        if not faults:
            return
        path, fault = next(iter(faults.items()))
        if self.broken == "fail":
            raise DccError(
                f"{len(faults)} of {count} images cannot be read, '{path}' first: {fault}; "
                "-o data.broken=skip leaves them out"
            )
        log.info(f"left out {len(faults)} images that cannot be read, '{path}' first")

    def _shape(self, headers: list[Header]) -> tuple[tuple[int, int], int]:
        """Height and width, and channels, of the tensors to make."""
        if not headers:
            raise DccError("none of the images can be read")
        channels = self.channels or (1 if all(h.grey for h in headers) else 3)
        if self.size is not None:
            return (self.size[0], self.size[-1]), channels
        sizes = Counter(h.size for h in headers)
        if len(sizes) > 1:
            (a, n), (b, m) = sizes.most_common(2)
            raise DccError(
                f"images differ in size ({n} of {a[0]}×{a[1]}, {m} of {b[0]}×{b[1]}, ...); "
                "name one: -o data.size=32, or height,width; -o data.fit=crop or pad keeps proportions"
            )
        return next(iter(sizes)), channels

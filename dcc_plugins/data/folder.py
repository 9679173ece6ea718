"""Your own images: a folder with a folder per class."""

from __future__ import annotations

import itertools
import logging
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, final

import numpy as np
import torch
from annotated_types import Ge

from dcc_core import DataSource, DccError, ImageSet, RealData
from dcc_plugins.data.pictures import Fit, Header, Resample, read_header, read_picture
from dcc_plugins.data.splits import split
from dcc_plugins.data.tree import Tree, summarise, understand

log = logging.getLogger("dcc")

LARGE = 128 * 128
"""Pixels above which decoding takes long enough for several threads to pay."""

Files = list[tuple[Path, str]]


@final
@dataclass(frozen=True, kw_only=True)
class ImageFolder(DataSource):
    """Images in a folder per class, below `train/` and `test/` (or `val/`), in any case, or in one folder, split here.

    Any image that the installed Pillow reads, of any size, upright by its EXIF orientation; of an animation, the first
    frame. Without a test folder a fifth of each class is set apart, by `split_seed`. `dcc show data folder:PATH` says
    how a folder is understood.
    """

    path: Annotated[Path, "the folder"]
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

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        tree = understand(self.path)
        for note in tree.notes:
            log.info(f"folder: {note}")
        label = {name: k for k, name in enumerate(tree.class_names)}
        files = [file for part in tree.parts.values() for file in part]
        images, faults = self._read([path for path, _ in files])
        self._report(faults, len(files))
        check_losses(tree, faults)
        parts: dict[str, ImageSet] = {}
        first = 0
        for part, own in tree.parts.items():
            kept = [(first + i, name) for i, (path, name) in enumerate(own) if path not in faults]
            chosen = images[[i for i, _ in kept]] if faults else images[first : first + len(own)]
            pixels = torch.from_numpy(chosen).permute(0, 3, 1, 2).contiguous()
            parts[part] = ImageSet(pixels, torch.tensor([label[name] for _, name in kept], dtype=torch.int64))
            first += len(own)
        if not len(parts["test"].labels):
            whole = parts["train"]
            chosen = split(whole.labels, self.split_seed)
            parts["train"], parts["test"] = (ImageSet(whole.images[i], whole.labels[i]) for i in chosen)
        return RealData(
            name=f"folder:{self.path.resolve().name}",
            train=parts["train"],
            test=parts["test"],
            validation=parts["validation"] if len(parts["validation"].labels) else None,
            class_names=tree.class_names,
        )

    def describe(self) -> str:
        """How the folder is understood: classes, parts, sizes, what is turned, and what is left out."""
        tree = understand(self.path)
        lines = [f"{len(tree.class_names)} classes: {', '.join(tree.class_names[:20])}"]
        for part, own in tree.parts.items():
            if counts := Counter(name for _, name in own).values():
                lines.append(f"{part}: {len(own)} images, {min(counts)} to {max(counts)} of a class")
        if not tree.parts["test"]:
            lines.append("test: a fifth of each class, set apart by split_seed")
        headers = [read_header(path) for own in tree.parts.values() for path, _ in own]
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
        return "\n".join([*lines, *tree.notes])

    def _read(self, files: list[Path]) -> tuple[np.ndarray, dict[Path, str]]:
        """Pixels (N, H, W, C), and why some files cannot be read."""
        cores = os.cpu_count() or 1
        with ThreadPoolExecutor(cores) as pool:
            headers = [h for h in pool.map(read_header, files) if isinstance(h, Header)]
        size, channels = self._shape(headers)
        images = np.zeros((len(files), *size, channels), np.uint8)
        large = max(height * width for (height, width), *_ in headers) > LARGE
        read = partial(read_picture, fit=self.fit, resample=self.resample)
        with ThreadPoolExecutor(cores if large else 1) as pool:
            faults = dict(zip(files, pool.map(read, files, images), strict=True))
        return images, {path: fault for path, fault in faults.items() if fault}

    def _report(self, faults: dict[Path, str], count: int) -> None:
        """Images that cannot be read: an error, or a line of the log."""
        if not faults:
            return
        path, fault = next(iter(faults.items()))
        if self.broken == "fail":
            raise DccError(
                f"folder: {len(faults)} of {count} images cannot be read, '{path}' first: {fault}; "
                "-o data.broken=skip leaves them out"
            )
        log.info(f"folder: left out {len(faults)} images that cannot be read, '{path}' first")

    def _shape(self, headers: list[Header]) -> tuple[tuple[int, int], int]:
        """Height and width, and channels, of the tensors to make."""
        if not headers:
            raise DccError(f"folder: none of the images in '{self.path}' can be read")
        channels = self.channels or (1 if all(h.grey for h in headers) else 3)
        if self.size is not None:
            return (self.size[0], self.size[-1]), channels
        sizes = Counter(h.size for h in headers)
        if len(sizes) > 1:
            (a, n), (b, m) = sizes.most_common(2)
            raise DccError(
                f"folder: images differ in size ({n} of {a[0]}×{a[1]}, {m} of {b[0]}×{b[1]}, ...); "
                "name one: -o data.size=32, or height,width; -o data.fit=crop or pad keeps proportions"
            )
        return next(iter(sizes)), channels


def check_losses(tree: Tree, faults: dict[Path, str]) -> None:
    """Raise DccError if a class loses more than half of its pictures: there is no reader, or they are broken."""
    lost: dict[str, list[str]] = {}
    for path, reason in tree.left_out.items():
        name = tree.class_of(path)
        if name and reason.startswith("no reader"):
            lost.setdefault(name, []).append(reason)
    kept: Counter[str] = Counter()
    for path, name in itertools.chain(*tree.parts.values()):
        if path in faults:
            lost.setdefault(name, []).append(faults[path].partition(":")[0])
        else:
            kept[name] += 1
    for name, reasons in lost.items():
        if len(reasons) > kept[name]:
            raise DccError(
                f"folder: class '{name}' loses {len(reasons)} of {len(reasons) + kept[name]} images "
                f"({summarise(reasons)}); convert them to PNG or JPEG, or take the class away"
            )

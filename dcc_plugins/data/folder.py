"""Your own images: a folder with a folder per class."""

from __future__ import annotations

import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, final

import numpy as np
import torch
from annotated_types import Ge
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS

from dcc_core import DataSource, DccError, ImageSet, RealData
from dcc_plugins.data.splits import split

log = logging.getLogger("dcc")

TEST_FOLDERS = ("test", "val", "validation")
KINDS = ("PNG", "JPEG", "PPM", "BMP", "TIFF", "WEBP")
"""What those endings stand for. Pillow goes by the content, and starts Ghostscript for PostScript of any name."""
GREY_MODES = frozenset({"1", "L", "LA", "I;16", "I"})
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
LARGE = 128 * 128
"""Pixels above which decoding takes long enough for several threads to pay."""
THREADS = 4

Files = list[tuple[Path, int]]


@final
@dataclass(frozen=True, kw_only=True)
class ImageFolder(DataSource):
    """Images in a folder per class, below `train/` and `test/` (or `val/`), or in one folder, split here.

    Grey, RGB, palette and RGBA images of any size. Without a test folder a fifth of each class is set apart, by
    `split_seed`.
    """

    path: Annotated[Path, "the folder"]
    size: Annotated[
        tuple[Annotated[int, Ge(1)], ...] | None,
        "height,width (or one side) that images are resized to; none: as they are, if all agree",
    ] = None
    channels: Annotated[Literal[1, 3] | None, "1 grey, 3 colour; none: grey if all images are"] = None
    broken: Annotated[Literal["fail", "skip"], "what to do about images that cannot be read"] = "fail"

    def __post_init__(self) -> None:
        if self.size is not None and len(self.size) not in (1, 2):
            raise ValueError(f"size {','.join(map(str, self.size))}: expected one side, or height,width")

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        train_folder, test_folder = self._parts()
        names = _class_names(train_folder)
        train = self._list_files(train_folder, names)
        test = self._list_files(test_folder, names) if test_folder else []
        files = [path for path, _ in train + test]
        kinds = [k for k in map(_find_kind, files) if isinstance(k, _Kind)]
        size, channels = self._shape(kinds)
        images = np.zeros((len(files), *size, channels), np.uint8)
        large = max(height * width for (height, width), _ in kinds) > LARGE
        with ThreadPoolExecutor(THREADS if large else 1) as pool:
            faults = dict(zip(files, pool.map(partial(_read_image, channels=channels), files, images), strict=True))
        faults = {path: fault for path, fault in faults.items() if fault}
        self._report(faults, len(files))
        kept = [(i, path, label) for i, (path, label) in enumerate(train + test) if path not in faults]
        images = images if not faults else images[[i for i, _, _ in kept]]
        whole = ImageSet(
            torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.tensor([label for _, _, label in kept])
        )
        if test_folder:
            count = sum(path not in faults for path, _ in train)
            parts = torch.arange(len(kept)).split([count, len(kept) - count])
        else:
            parts = split(whole.labels, self.split_seed)
        return RealData(
            name=f"folder:{self.path.resolve().name}",
            train=ImageSet(whole.images[parts[0]], whole.labels[parts[0]]),
            test=ImageSet(whole.images[parts[1]], whole.labels[parts[1]]),
            class_names=names,
        )

    def _parts(self) -> tuple[Path, Path | None]:
        """The folders of training and of test images."""
        path = self.path.expanduser()
        if not path.is_dir():
            raise DccError(f"folder: '{path}' is not a folder; expected one with a folder of images per class")
        if not _folders(path / "train"):
            return path, None
        found = [path / name for name in TEST_FOLDERS if _folders(path / name)]
        return path / "train", found[0] if found else None

    def _list_files(self, folder: Path, names: tuple[str, ...]) -> Files:
        """Image files with their labels, sorted by class and path."""
        label = {name: k for k, name in enumerate(names)}
        strange = sorted(set(_folders(folder)) - set(names))
        if strange:
            raise DccError(f"folder: '{folder}' has a class '{strange[0]}' that the training images lack")
        files = [
            (path, label[name])
            for name in names
            for path in sorted((folder / name).rglob("*"))
            if path.suffix.casefold() in IMG_EXTENSIONS and path.is_file() and not _hidden(path, folder)
        ]
        if not files:
            endings = ", ".join(IMG_EXTENSIONS)
            raise DccError(f"folder: no images in the class folders of '{folder}'; expected files ending in {endings}")
        return files

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

    def _shape(self, kinds: list[_Kind]) -> tuple[tuple[int, int], int]:
        """Height and width, and channels, of the tensors to make."""
        if not kinds:
            raise DccError(f"folder: none of the images in '{self.path}' can be read")
        channels = self.channels or (1 if all(k.grey for k in kinds) else 3)
        if self.size is not None:
            return (self.size[0], self.size[-1]), channels
        sizes = Counter(k.size for k in kinds)
        if len(sizes) > 1:
            (a, n), (b, m) = sizes.most_common(2)
            raise DccError(
                f"folder: images differ in size ({n} of {a[0]}×{a[1]}, {m} of {b[0]}×{b[1]}, ...); "
                "name one: -o data.size=32, or height,width"
            )
        return next(iter(sizes)), channels


class _Kind(NamedTuple):
    """What an image's header says: height and width, and whether it is grey."""

    size: tuple[int, int]
    grey: bool


def _folders(path: Path) -> list[str]:
    """Names of the folders in a folder, sorted, without the hidden ones; none if there is no such folder."""
    return sorted(p.name for p in path.iterdir() if p.is_dir() and p.name[0] != ".") if path.is_dir() else []


def _hidden(path: Path, folder: Path) -> bool:
    return any(part[0] == "." for part in path.relative_to(folder).parts)


def _class_names(folder: Path) -> tuple[str, ...]:
    names = tuple(_folders(folder))
    if not names:
        raise DccError(f"folder: '{folder}' is empty; expected a folder of images per class")
    return names


def _find_kind(path: Path) -> _Kind | str:
    """The kind of an image, or why it cannot be read."""
    try:
        with Image.open(path, formats=KINDS) as image:
            return _Kind((image.height, image.width), image.mode in GREY_MODES)
    except UNREADABLE as error:
        return _reason(error)


def _read_image(path: Path, out: np.ndarray, *, channels: int) -> str:
    """Read an image into uint8 (H, W, channels), resized; says why if it cannot be read."""
    height, width = out.shape[:2]
    try:
        with Image.open(path, formats=KINDS) as image:
            eight = _eight_bits(image).convert("L" if channels == 1 else "RGB")
            if eight.size != (width, height):
                eight = eight.resize((width, height), Image.Resampling.BILINEAR)
            out[:] = np.asarray(eight).reshape(height, width, channels)
            return ""
    except UNREADABLE as error:
        return _reason(error)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bits; transparency over white; other images as they are.

    Raises ValueError for numbers beyond 16 bits and for floating point, whose white nobody knows.
    """
    if image.mode == "F":
        raise ValueError("floating-point pixels; expected 8 or 16 bits")
    if image.mode.startswith("I"):
        grey = np.asarray(image)
        if grey.min() < 0 or grey.max() > 65535:
            raise ValueError("pixels beyond 16 bits; expected 8 or 16 bits")
        small = image.mode == "I" and grey.max() < 256
        return Image.fromarray((grey if small else grey >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA"))
    return image

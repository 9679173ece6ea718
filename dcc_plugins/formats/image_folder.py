"""Folders of PNGs, a folder per class."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch

from dcc_core import CondensedSet, DccError
from dcc_plugins.exchange import Exporting, Format, Importing
from dcc_plugins.formats.pictures import MOST_VALUES, Sidecar, pngs, unit_images

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})


@final
@dataclass(frozen=True, kw_only=True)
class Png(Format):
    """A folder of PNGs, a folder per class, as torchvision's ImageFolder reads them, and `dcc.json` beside.

    PNGs have 8 bits: values are rounded to 1/255, and those outside 0..1 clipped; how many is said. `dcc.json` holds
    what pictures cannot: names and order of the classes, mean and std, if the set comes from, soft labels. Without
    it, folders are classes in alphabetical order, and mean and std must be given. JPEG, WEBP and BMP are read too.

    Class folders are called as their classes if that keeps their order; otherwise a number goes before the name.
    """

    def read(self, path: Path, context: Importing) -> CondensedSet:
        if not path.is_dir():
            raise DccError(f"'{path}' is not a folder; expected one with a folder of images per class")
        sidecar = Sidecar.read(path)
        files = [file for folder in sorted(path.iterdir()) if _describe(folder) for file in _images(folder)]
        names = [file.relative_to(path).as_posix() for file in files]
        if sidecar and (strange := sorted(set(names).symmetric_difference(sidecar.files))):
            raise DccError(f"'{path}' and the list of files in its dcc.json disagree about '{strange[0]}'")
        if not files:
            raise DccError(f"'{path}' has no images in class folders; expected {', '.join(sorted(ENDINGS))}")
        if sum(file.stat().st_size for file in files) > MOST_VALUES:
            raise DccError(f"'{path}' holds more than {MOST_VALUES:,} bytes of images")
        images = unit_images([file.read_bytes() for file in files], names)
        folders = folder_names(sidecar.provenance.class_names) if sidecar else sorted({f.parent.name for f in files})
        owners = torch.tensor([folders.index(file.parent.name) for file in files])
        if sidecar:
            return sidecar.condensed(images, owners, context)
        return context.condensed(images, owners, space="unit", class_names=tuple(folders))

    def write(self, s: CondensedSet, path: Path, context: Exporting) -> None:
        found = context.decoded(s, "unit")
        pictures = pngs(found)
        folders = folder_names(s.class_names)
        path.mkdir()
        for folder in folders:
            (path / folder).mkdir()
        digits = len(str(len(pictures) - 1))
        files = [f"{folders[owner]}/{i:0{digits}d}.png" for i, owner in enumerate(found.owners.tolist())]
        for file, picture in zip(files, pictures, strict=True):
            (path / file).write_bytes(picture)
        Sidecar.of(s, found, tuple(files)).write(path)


def folder_names(class_names: tuple[str, ...]) -> list[str]:
    """Names for class folders, whose alphabetical order is that of the classes on every file system."""
    names = [re.sub(r"[^\w .-]", "_", name).strip(" .") for name in class_names]
    if names == list(class_names) and names == sorted(names) and len({n.casefold() for n in names}) == len(names):
        return names
    digits = len(str(len(names) - 1))
    return [f"{k:0{digits}d} {name}".strip() for k, name in enumerate(names)]


def _describe(folder: Path) -> bool:
    return folder.is_dir() and not folder.name.startswith(".")


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.casefold() in ENDINGS and not p.name.startswith("."))

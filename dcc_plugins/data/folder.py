"""Your own images: a folder with a folder per class, or an archive of one."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

from dcc_core import DccError, RealData
from dcc_plugins.data.picture_source import PictureSource, Understood
from dcc_plugins.data.tree import Tree, summarise, understand


@final
@dataclass(frozen=True, kw_only=True)
class ImageFolder(PictureSource):
    """Images in a folder per class, below `train/` and `test/` (or `val/`), in any case, or in one folder, split here.

    Any image that the installed Pillow reads, of any size, upright by its EXIF orientation; of an animation, the first
    frame. Without a test folder a fifth of each class is set apart, by `split_seed`. A zip or tar file of such a folder
    is unpacked for the time of reading. `dcc show data folder:PATH` says how a folder is understood.
    """

    path: Annotated[Path, "the folder, or a zip or tar file of it"]

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        path = Path(self.path).expanduser()
        with unpacked(path) as folder:
            tree = understand(folder)
            found = Understood(tree.parts, tree.class_names, tree.notes)
            kept = root if folder == path else None
            data, faults = self.read_parts(f"folder:{path.resolve().name}", found, kept, progress=progress)
            check_losses(tree, faults)
        return data

    @property
    def unpacks(self) -> bool:
        return not Path(self.path).expanduser().is_dir()

    @contextlib.contextmanager
    def understand(self) -> Iterator[Understood]:
        with unpacked(Path(self.path).expanduser()) as folder:
            tree = understand(folder)
            yield Understood(tree.parts, tree.class_names, tree.notes)


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """A folder itself, or one with what an archive holds. Raises DccError for an archive that cannot be unpacked."""
    endings = tuple(ending for _, names, _ in shutil.get_unpack_formats() for ending in names)
    if path.is_dir() or not path.name.casefold().endswith(endings):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="dcc-") as folder:
        try:
            shutil.unpack_archive(path, folder, **({} if path.suffix.casefold() == ".zip" else {"filter": "data"}))
        except Exception as error:
            raise DccError(f"folder: '{path}' cannot be unpacked: {type(error).__name__}: {error}") from error
        yield Path(folder)


def check_losses(tree: Tree, faults: Mapping[Any, str]) -> None:
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

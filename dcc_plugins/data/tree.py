"""How a folder of pictures is understood: its parts, its classes, and the files that are left out."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dcc_core import DccError
from dcc_plugins.data.pictures import why_no_picture

NAMES = {
    "train": ("train", "training", "trainset", "train_set", "training_set"),
    "test": ("test", "testing", "testset", "test_set", "eval", "evaluation"),
    "validation": ("val", "valid", "validation", "dev", "val_set", "validation_set"),
}
"""Folders of parts, in any case."""
PART_OF = {name: part for part, names in NAMES.items() for name in names}
JUNK = frozenset({"__macosx", "@eadir", "__pycache__", "$recycle.bin", "system volume information", "lost+found"})
"""Folders that systems and programs make, in small letters; hidden ones are left out too."""
JUNK_FILES = frozenset({"thumbs.db", "desktop.ini"})
NAMED = 3
"""Names that a note lists."""

Place = tuple[str, ...]
"""A file's path below the folder, by its parts."""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """parts: for `train`, `test` and `validation`, files with their class, sorted. left_out: the reason by file.

    Every regular file below the folder is in exactly one part, or left out. notes: what a user may want to know of how
    the folder is understood, as sentences. levels: the folders in which class folders lie.
    """

    parts: dict[str, list[tuple[Path, str]]]
    left_out: dict[Path, str]
    notes: tuple[str, ...]
    levels: frozenset[Path]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the training part's classes, sorted."""
        return tuple(sorted({name for _, name in self.parts["train"]}))

    def class_of(self, path: Path) -> str | None:
        """The class folder, of pictures or not, that a file is in."""
        return next((at.name for at in path.parents if at.parent in self.levels), None)


def understand(path: Path | str) -> Tree:
    """How a folder is understood: parts below it, in any case, or classes; folders of systems are left out.

    Raises DccError if it is no folder, holds no pictures in folders, or has parts that do not fit together.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise DccError(f"folder: '{folder}' is not a folder; expected one with a folder of images per class")
    files, folders = _list_files(folder)
    pictures = [place for place, reason in files.items() if not reason]
    if not pictures:
        found = f"; it has {summarise(files.values())}" if files else ""
        what = "no images in the class folders of" if folders else "no folders and no images in"
        raise DccError(f"folder: {what} '{folder}'; expected a folder of images per class{found}")
    top, notes = _enter(pictures)
    parts, others, levels = _split(folder, pictures, top, notes)
    left_out = {place: reason for place, reason in files.items() if reason} | others
    used = {(*place[: i + 1],) for own in parts.values() for place, _ in own for i in range(len(place))}
    empty = sorted({place[-1] for place in folders - used if place[:-1] in levels})
    if empty:
        notes.append(f"no images in {_list(empty)}, left out as {'a class' if len(empty) == 1 else 'classes'}")
    if left_out:
        notes.append(f"left out: {summarise(left_out.values())}")
    named = {part: [(folder.joinpath(*place), name) for place, name in own] for part, own in parts.items()}
    tree = Tree(
        parts={part: sorted(own, key=lambda file: (file[1], file[0])) for part, own in named.items()},
        levels=frozenset(folder.joinpath(*level) for level in levels),
        left_out={folder.joinpath(*place): reason for place, reason in sorted(left_out.items())},
        notes=tuple(notes),
    )
    _check_classes(folder, tree)
    return tree


def in_order(name: str) -> tuple[bool, int, str]:
    """A key to sort class names by: whole numbers by their size, then texts."""
    return not name.isdecimal(), int(name) if name.isdecimal() else 0, name


def summarise(reasons: Iterable[str]) -> str:
    """Reasons with their numbers: `3 no picture (.txt), 1 hidden`."""
    return ", ".join(f"{n} {reason}" for reason, n in Counter(reasons).most_common())


def _list_files(folder: Path) -> tuple[dict[Place, str], set[Place]]:
    """All files below a folder, with the reason to leave them out or none, and the visible folders."""
    files: dict[Place, str] = {}
    folders: set[Place] = set()
    for where, below, names in os.walk(folder):
        below.sort()
        place = Path(where).relative_to(folder).parts
        junk = next((part for part in place if part[0] == "." or part.casefold() in JUNK), "")
        if place and not junk:
            folders.add(place)
        for name in sorted(names):
            hidden = name[0] == "." or name.casefold() in JUNK_FILES
            reason = f"in '{junk}'" if junk else "hidden" if hidden else why_no_picture(Path(where, name))
            files[(*place, name)] = reason
    return files, folders


def _enter(pictures: Sequence[Place]) -> tuple[Place, list[str]]:
    """The folder below which parts or classes are: an archive often has one folder around everything."""
    shared = Path(os.path.commonpath([Path(*place[:-1], ".") for place in pictures])).parts
    top = tuple(itertools.takewhile(lambda name: name.casefold() not in PART_OF, shared))
    if not top or any(len(place) < len(top) + 2 for place in pictures):
        return (), []
    return top, [f"everything is in '{'/'.join(top)}'"]


Parts = dict[str, list[tuple[Place, str]]]


def _split(
    folder: Path, pictures: Sequence[Place], top: Place, notes: list[str]
) -> tuple[Parts, dict[Place, str], set[Place]]:
    """Pictures by part with their class, those of no class with the reason, and where class folders lie."""
    depth = len(top)
    below: dict[str, list[Place]] = {}
    others: dict[Place, str] = {}
    for place in pictures:
        if len(place) > depth + 1:
            below.setdefault(place[depth], []).append(place)
        else:
            others[place] = "in no class folder"
    found = _parts(folder, {name: own for name, own in below.items() if name.casefold() in PART_OF}, depth)
    parts: Parts = {"train": [], "test": [], "validation": []}
    if "train" not in found:
        strange = [name for name in below if name.casefold() in PART_OF and len(below) > 1]
        notes += [f"'{name}' counts as a class, since there is no folder of classes for training" for name in strange]
        parts["train"] = [(place, place[depth]) for own in below.values() for place in own]
        if not parts["train"]:
            raise DccError(
                f"folder: the images in '{folder}' are in no class folders; expected a folder of images per class"
            )
        return parts, others, {top}
    if "test" not in found and "validation" in found:
        found["test"] = found.pop("validation")
    for name, own in below.items():
        part = next((part for part, folder_name in found.items() if folder_name == name), "")
        for place in own:
            if part and len(place) > depth + 2:
                parts[part].append((place, place[depth + 1]))
            else:
                others[place] = "in no class folder" if part else f"beside '{found['train']}'"
    beside = [name for name in below if name not in found.values()]
    if beside:
        notes.append(f"'{found['train']}' is the training part, so {_list(beside)} beside it are left out")
    notes.append(", ".join(f"'{name}' is the {part} part" for part, name in found.items()))
    return parts, others, {(*top, name) for name in found.values()}


def _parts(folder: Path, below: dict[str, list[Place]], depth: int) -> dict[str, str]:
    """Folders by part: those that hold folders of pictures alone, or nearly."""
    found: dict[str, str] = {}
    for name, own in below.items():
        part = PART_OF[name.casefold()]
        if not any(len(place) > depth + 2 for place in own):
            continue
        if part in found:
            raise DccError(f"folder: '{folder}' has two folders for the {part} part, '{found[part]}' and '{name}'")
        found[part] = name
    return found


def check_parts(source: str, path: Path, parts: Mapping[str, Sequence[tuple[object, str]]]) -> None:
    """Raise DccError if there are no training images, or a part has a class that they lack.

    source, path: for the message.
    """
    known = {name for _, name in parts["train"]}
    if not known:
        raise DccError(f"{source}: '{path}' has no training images with a label")
    for part in ("test", "validation"):
        if strange := sorted({name for _, name in parts[part]} - known):
            raise DccError(
                f"{source}: the {part} part of '{path}' has a class '{strange[0]}' that the training images lack"
            )


def _check_classes(folder: Path, tree: Tree) -> None:
    check_parts("folder", folder, tree.parts)
    for name in tree.class_names:
        if not name.isprintable():
            raise DccError(f"folder: the class folder {name!r} of '{folder}' cannot be written as text; rename it")


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:NAMED]) + more

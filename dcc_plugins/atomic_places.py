"""A file or a folder that takes its place whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dcc_core import DccError


@contextlib.contextmanager
def place_atomically(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """A path to write a file or a folder at, which then takes the target's place, whole or not at all.

    Raises DccError if something stands there: a file needs `overwrite`, and a folder holds nothing that would stay.
    """
    taken = any(target.iterdir()) if target.is_dir() else target.exists()
    if taken and not overwrite:
        raise DccError(f"'{target}' exists already; name another place, or add --overwrite")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".dcc-") as folder:
            place = Path(folder) / target.name
            yield place
            if target.exists():
                _check_replaceable(target, place)
            _exchange(place, target, Path(folder) / ".old")
    except OSError as error:
        raise DccError(f"cannot write '{target}': {error.strerror or error}") from error


def _exchange(new: Path, target: Path, old: Path) -> None:
    """Put `new` in the place of `target`; a folder, which cannot be replaced while it holds anything, goes to `old`."""
    if target.is_dir():
        os.replace(target, old)
    try:
        os.replace(new, target)
    except OSError:
        if old.exists():
            os.replace(old, target)
        raise


def _check_replaceable(target: Path, new: Path) -> None:
    """A folder is replaced only by one that has all of its files: others may be anybody's."""
    if target.is_dir() != new.is_dir():
        there, comes = ("folder", "file") if target.is_dir() else ("file", "folder")
        raise DccError(
            f"'{target}' is a {there}, and what is to be written a {comes}; remove it, or name another place"
        )
    written = {p.relative_to(new) for p in new.rglob("*")}
    others = sorted(str(p.relative_to(target)) for p in target.rglob("*") if p.relative_to(target) not in written)
    if others:
        raise DccError(f"'{target}' holds '{others[0]}', which this set has not; remove it, or name another place")

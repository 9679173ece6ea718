"""Files that data sources keep below the folder for data sets, for the next start."""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FOLDER = "dcc-cache"
UNFINISHED = ".unfinished-"


def key_of(files: Iterable[Any], *options: object) -> str:
    """A name for what is made of some files under some options: another one where a file or an option changes."""
    digest = hashlib.sha256(repr(options).encode())
    for path in files:
        state = path.stat()
        digest.update(f"\0{path}\0{state.st_size}\0{state.st_mtime_ns}".encode(errors="surrogateescape"))
    return digest.hexdigest()[:24]


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A place to write a file to that then takes the name `path`, whoever else writes it at the same time.

    Raises OSError if its folder cannot be made. Of a file that is not finished nothing is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    place = path.with_name(f"{UNFINISHED}{uuid.uuid4().hex}{path.suffix}")
    try:
        yield place
        os.replace(place, path)
    finally:
        with contextlib.suppress(OSError):
            place.unlink(missing_ok=True)

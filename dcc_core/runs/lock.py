"""A lock that lets one process at a time run in a folder."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from dcc_core.errors import DccError

LOCK = "run.lock"
LOCKS = importlib.util.find_spec("fcntl") is not None
"""Whether the system has POSIX record locks: they belong to one process, not to its forks, end with it in any case, and
work on network file systems. On other systems the file's existence is the lock."""


@contextlib.contextmanager
def hold_lock(folder: Path) -> Iterator[None]:
    """Hold a folder's lock while the context lasts. Raises DccError if another process holds it."""
    path = folder / LOCK
    try:
        file = open(path, "a", encoding="ascii")  # noqa: SIM115, it is closed below
    except OSError as error:
        raise DccError(f"--out '{folder}' cannot be written: {error.strerror or error}") from error
    with file:
        if not _acquire_lock(file, path):
            raise DccError(_busy_message(folder))
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


def check_free(folder: Path) -> None:
    """Raise DccError if a process holds the folder's lock."""
    if is_alive(folder):
        raise DccError(_busy_message(folder))


def is_alive(folder: Path) -> bool:
    """Whether a process holds the folder's lock. The holder must not call this: it would lose the lock."""
    if not LOCKS:
        return (folder / LOCK).exists()
    import fcntl

    try:
        with open(folder / LOCK, "rb") as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:
        return False
    return False


def _busy_message(folder: Path) -> str:
    return f"another process is running in '{folder}'; wait for its end, or name another --out"


def _acquire_lock(file: IO[str], path: Path) -> bool:
    if not LOCKS:
        return True
    import fcntl

    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), path.stat())  # a process that ended may have removed it
    except (BlockingIOError, PermissionError, FileNotFoundError):
        return False
    except OSError:  # a file system without locks
        return True

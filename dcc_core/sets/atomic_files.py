"""Writing files so that an interruption leaves the old one or the new one, never half of one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from dcc_core.errors import DccError

TEMPORARY = ".*.[0-9]*.tmp"
"""Pattern of what a process leaves that is killed while it writes."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write through a temporary file beside it. Raises DccError if the place cannot be written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _settle(path.parent)
    except OSError as error:
        raise DccError(f"cannot write '{path}': {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _settle(folder: Path) -> None:
    """Have the folder's own entries written, if the system can: until then a crash may undo a renaming."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # some network file systems know no such thing
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""Writing files so that an interruption leaves the old one or the new one, never half of one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from dcc_core.errors import DccError


def write_atomically(path: Path, content: bytes) -> None:
    """Write through a temporary file beside it. Raises DccError where the place cannot be written."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise DccError(f"cannot write '{path}': {error.strerror or error}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise DccError(f"cannot write '{path}': {error.strerror or error}") from error

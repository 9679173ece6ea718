"""The folder of a run: checked early, begun late, and never half written."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any

from dcc_core.config import Config
from dcc_core.errors import DccError
from dcc_core.files import write_atomically

UNFINISHED = "unfinished.safetensors"
WRITTEN = (
    *("config.toml", "report.json", "metrics.jsonl", "run.log", UNFINISHED),
    *("set.safetensors", "set-[0-9]*.safetensors", "grid.png", "grid-[0-9]*.png"),
)
"""What a run writes, and what `--overwrite` removes."""


CONDENSING = ("data", "loss", "aug", "arch")
SELECTING = ("data", "selection", "arch")


def default_folder(config: Config, sections: tuple[str, ...] = CONDENSING) -> Path:
    """`runs/<readable name>` of the components in some sections, numbered where that exists."""
    words = [*(config.names[key] for key in sections), f"ipc{config.run.ipc}", f"seed{config.run.seed}"]
    name = re.sub(r"[^\w.-]+", "_", "-".join(w for w in words if w != "none"))
    folder, number = Path("runs") / name, 1
    while folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder


class RunFolder:
    """A run's folder.

    It is checked and made at once, but nothing in it changes before `begin`: a run that fails before its first
    step leaves it as it was.

    Raises DccError where it cannot be written, or holds something and `overwrite` is not set.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = path
        self.begun = False
        with self._guarded():
            path.mkdir(parents=True, exist_ok=True)
            held = sorted(p.name for p in path.iterdir())
        if held and not overwrite:
            raise DccError(f"--out '{path}' is not empty (it holds {held[0]}); name another, or add --overwrite")
        if not os.access(path, os.W_OK | os.X_OK):
            raise DccError(f"--out '{path}' cannot be written: permission denied")

    @contextlib.contextmanager
    def logging(self) -> Iterator[None]:
        """Keep the package's log lines, in the folder's `run.log` once it is begun."""
        self._log = MemoryHandler(capacity=10**6, flushLevel=logging.CRITICAL + 1)
        logger = logging.getLogger("dcc")
        logger.addHandler(self._log)
        try:
            yield
        finally:
            logger.removeHandler(self._log)
            target = self._log.target
            self._log.close()
            if target:
                target.close()

    def begin(self) -> None:
        """Remove the files of an earlier run and open this one's; from here on every log line is written at once."""
        with self._guarded():
            for pattern in WRITTEN:
                for old in self.path.glob(pattern):
                    old.unlink()
            target = logging.FileHandler(self.path / "run.log", encoding="utf-8")
        target.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._log.setTarget(target)
        self._log.flushLevel = logging.NOTSET
        self._log.flush()
        self.begun = True

    def record(self, message: str, error: BaseException) -> None:
        """Log what ended the run, with its traceback, in `run.log` alone."""
        record = logging.LogRecord(
            "dcc", logging.ERROR, "", 0, message, None, (type(error), error, error.__traceback__)
        )
        self._log.handle(record)

    def write(self, name: str, content: bytes) -> None:
        """Write a whole file."""
        write_atomically(self.path / name, content)

    def metric(self, row: Mapping[str, Any]) -> None:
        """Add a line to `metrics.jsonl`."""
        with self._guarded(), open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DccError(f"--out '{self.path}' cannot be written: {error.strerror or error}") from error

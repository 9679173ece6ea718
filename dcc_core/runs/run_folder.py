"""The folder of a run: checked early, written late, and never half written."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from collections.abc import Collection, Iterator, Mapping
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any

from dcc_core.config import FREE
from dcc_core.errors import DccError
from dcc_core.group import Group
from dcc_core.jobs import Config
from dcc_core.runs.lock import LOCK, check_free, hold_lock
from dcc_core.runs.resume_checks import find_changes
from dcc_core.sets import TEMPORARY, write_atomically

UNFINISHED = "unfinished.safetensors"
CHECKPOINT = "checkpoint.safetensors"
INITIAL = "initial.safetensors"
"""A copy of the set that an unfinished run starts from: the original file may change."""
LOG, REPORT, METRICS, CONFIG = "run.log", "report.json", "metrics.jsonl", "config.toml"
SNAPSHOTS = "snapshots"
WRITTEN = (
    *(CONFIG, REPORT, METRICS, LOG, UNFINISHED, CHECKPOINT, INITIAL, TEMPORARY),
    *("set.safetensors", "set-[0-9]*.safetensors", "grid.png", "grid-[0-9]*.png"),
    f"{SNAPSHOTS}/[0-9]*.safetensors",
)
"""What a run writes, and what `--overwrite` removes."""


CONDENSING = ("data", "loss", "aug", "arch")
SELECTING = ("data", "selection", "arch")


def default_folder(config: Config, sections: tuple[str, ...] = CONDENSING) -> Path:
    """`runs/<readable name>` of the components in some sections, numbered if that exists."""
    words = [*(config.names[key] for key in sections), f"ipc{config.run.ipc}", f"seed{config.run.seed}"]
    name = re.sub(r"[^\w.-]+", "_", "-".join(w for w in words if w != "none"))
    folder, number = Path("runs") / name, 1
    while folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder


class RunFolder:
    """A run's folder.

    The constructor checks and creates it; nothing in it changes before `begin` or `reopen`: a run that fails before its
    first step leaves it as it was, and removes one that is new. unfinished: it holds an unfinished run.

    Raises DccError if it cannot be written, or holds anything but an unfinished run and `overwrite` is not set.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = path
        self.begun = False
        self._new = not path.exists()
        with self._guard():
            path.mkdir(parents=True, exist_ok=True)
            there = sorted(p.name for p in path.iterdir() if not (p.name == LOCK or p.match(TEMPORARY)))  # killed early
        check_free(path)
        self.unfinished = CHECKPOINT in there and REPORT not in there and not overwrite
        if there and not (overwrite or self.unfinished):
            raise DccError(f"--out '{path}' is not empty (it holds {there[0]}); name another, or add --overwrite")
        if not os.access(path, os.W_OK | os.X_OK):
            raise DccError(f"--out '{path}' cannot be written: permission denied")

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Let no other process run here while the context lasts. Raises DccError if one does."""
        try:
            with hold_lock(self.path):
                yield
        finally:
            if self._new and not self.begun:
                with contextlib.suppress(OSError):
                    self.path.rmdir()

    @contextlib.contextmanager
    def logging(self) -> Iterator[None]:
        """Write the package's log lines to `run.log`, from the run's first files on."""
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
                with contextlib.suppress(OSError):  # the disk may be full: the run's own error is the one to report
                    target.close()

    def begin(self, first: Mapping[str, bytes]) -> None:
        """Remove the files of an earlier run and open this one's; from then on every log line is written at once.

        first: files that a run needs to resume, the checkpoint among them; they are written before anything is removed.
        """
        for name, content in first.items():
            self.write(name, content)
        self._remove(*WRITTEN, but=first)
        with contextlib.suppress(OSError):  # it may hold other files
            (self.path / SNAPSHOTS).rmdir()
        self._open()

    def reopen(self, metrics: int) -> None:
        """Resume the unfinished run here; metrics: bytes of its metrics that the checkpoint covers."""
        self._remove(TEMPORARY)
        with self._guard(), contextlib.suppress(FileNotFoundError):
            if self.metrics_bytes() > metrics:
                os.truncate(self.path / METRICS, metrics)
        self._open()

    def end(self) -> None:
        """Remove what only an unfinished run needs; the report is written."""
        self._remove(CHECKPOINT, INITIAL, UNFINISHED)

    def folders(self) -> list[str]:
        """The folders below this one that the run has written."""
        return [SNAPSHOTS] if (self.path / SNAPSHOTS).is_dir() else []

    def metrics_bytes(self) -> int:
        """Bytes of metrics written so far."""
        try:
            return (self.path / METRICS).stat().st_size
        except OSError:
            return 0

    def _open(self) -> None:
        with self._guard():
            target = _LogFile(self.path / LOG, encoding="utf-8")
        target.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._log.setTarget(target)
        self._log.flushLevel = logging.NOTSET
        self._log.flush()
        self.begun = True

    def _remove(self, *patterns: str, but: Collection[str] = ()) -> None:
        with self._guard():
            for old in (path for pattern in patterns for path in self.path.glob(pattern)):
                if old.name not in but:
                    old.unlink(missing_ok=True)

    def record(self, message: str, error: BaseException) -> None:
        """Log the error that ended the run, with its traceback, in `run.log` only."""
        record = logging.LogRecord(
            "dcc", logging.ERROR, "", 0, message, None, (type(error), error, error.__traceback__)
        )
        self._log.handle(record)

    def write(self, name: str, content: bytes) -> None:
        """Write a whole file; a name with a slash goes into a folder below this one."""
        path = self.path / name
        if path.parent != self.path:
            with self._guard():
                path.parent.mkdir(exist_ok=True)
        write_atomically(path, content)

    def metric(self, row: Mapping[str, Any]) -> None:
        """Add a line to `metrics.jsonl`."""
        with self._guard(), open(self.path / METRICS, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DccError(f"--out '{self.path}' cannot be written: {error.strerror or error}") from error


class NullFolder:
    """The run folder on the other processes of the run: it writes nothing, the first process does.

    begun: as in `RunFolder`. unfinished: what the first process found. report: of a run that ended before a restart.
    """

    def __init__(self, path: Path, *, unfinished: bool, report: dict[str, Any] | None = None) -> None:
        self.path = path
        self.unfinished = unfinished
        self.report = report
        self.begun = False

    def begin(self, *_: object) -> None:
        """The run begins, or resumes."""
        self.begun = True

    def end(self, *_: object) -> None:
        """Nothing is there to remove, and nothing is written."""

    def hold(self) -> contextlib.AbstractContextManager[None]:
        """The first process holds the lock, and writes the log."""
        return contextlib.nullcontext()

    def folders(self) -> list[str]:
        """The first process writes the report."""
        return []

    def metrics_bytes(self) -> int:
        """Nothing is written."""
        return 0

    reopen, logging = begin, hold
    write = metric = record = end


Folder = RunFolder | NullFolder


def open_folder(
    group: Group, config: Config, named: Path | None, sections: tuple[str, ...], *, overwrite: bool
) -> Folder:
    """The folder of a run, opened by the first process: the named one, or a default. Collective.

    After a process has died and all are restarted, they continue from the folder, even if only from the report.
    Raises DccError if it cannot be used.
    """
    folders: list[RunFolder] = []

    def look() -> NullFolder:
        begun = False
        if group.restarts:
            if named is None:
                raise DccError("the processes were restarted and do not know the folder; give --out")
            if report := _read_report(named, config):
                return NullFolder(named, unfinished=False, report=report)
            begun = (named / CHECKPOINT).exists() and not (named / REPORT).exists()
        folders.append(RunFolder(named or default_folder(config, sections), overwrite=overwrite and not begun))
        return NullFolder(folders[0].path, unfinished=folders[0].unfinished)

    remote = group.broadcast(look)
    return folders[0] if folders else remote


def _read_report(path: Path, config: Config) -> dict[str, Any] | None:
    """The report of a finished run with the same options in a folder, if there is one."""
    try:
        report = json.loads((path / REPORT).read_text(encoding="utf-8"))
        return None if find_changes(report["config"], config, FREE) else report
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


class _LogFile(logging.FileHandler):
    """A log file whose own errors stay unsaid: if the disk is full, the run's error is the one to report."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, logging's name
        """Nothing."""

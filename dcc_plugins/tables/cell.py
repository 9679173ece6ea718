"""One cell of a table, wherever it is run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from dcc_core.compute import reset_peak
from dcc_core.config import Settings
from dcc_core.jobs import resolve
from dcc_core.plugins import Registry
from dcc_core.runs import CHECKPOINT, REPORT, RunFolder, execute
from dcc_plugins.terminal import Display

Times = dict[str, int | None]


@dataclass(frozen=True, kw_only=True)
class CellRun:
    """What there is to do. selects: it is a coreset. earlier: see `written`, of what is there and is to be replaced."""

    settings: Settings
    folder: Path
    selects: bool
    earlier: Times

    def since(self, name: str) -> bool:
        """Whether a file has been written for this very run, by this worker's process or one that died."""
        now = is_written(self.folder).get(name)
        return now is not None and now != self.earlier.get(name)


def is_written(folder: Path) -> Times:
    """When checkpoint and report of a run's folder were written, in nanoseconds."""
    files = {name: folder / name for name in (CHECKPOINT, REPORT)}
    return {name: file.stat().st_mtime_ns for name, file in files.items() if file.exists()}


@final
class CellWork:
    """Runs cells; gives their reports. Sent to a worker, it has the worker's own plugins there, and shows nothing."""

    def __init__(self, registry: Registry | None = None, display: Display | None = None) -> None:
        self._registry = registry
        self._display = display

    def __reduce__(self) -> tuple[type[CellWork], tuple[()]]:
        return CellWork, ()

    def __call__(self, cell: CellRun) -> dict[str, Any]:
        """Run a cell, or resume it. Raises DccError."""
        if cell.since(REPORT):  # the worker that wrote it was lost before it could tell
            return json.loads((cell.folder / REPORT).read_text(encoding="utf-8"))
        reset_peak()
        registry = self._registry or Registry.installed()
        config = resolve(registry, cell.settings)
        again = not cell.since(CHECKPOINT) or (cell.folder / REPORT).exists()
        folder = RunFolder(cell.folder, overwrite=again)
        return execute(config, registry, folder, self._display or Display(quiet=True), selecting=cell.selects)

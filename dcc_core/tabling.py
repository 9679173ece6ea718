"""Running the cells of a table, one after the other, into a folder that says which are done."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dcc_core.changes import FREE, MACHINE, changed, with_its_budget
from dcc_core.config import Config, resolve
from dcc_core.display import Display
from dcc_core.errors import DccError
from dcc_core.files import write_atomically
from dcc_core.folder import CHECKPOINT, RunFolder
from dcc_core.memory import forget_peak
from dcc_core.registry import Registry
from dcc_core.run import execute
from dcc_core.settings import Settings
from dcc_core.table import Cell, TableSpec
from dcc_core.table_output import Results

log = logging.getLogger("dcc")

NAMED = 3
"""Options that a message names."""


class Tabling:
    """The cells of one table at one scale, in `out`: a folder for each cell, and the table in three formats.

    given: what the user sets for all cells. Raises DccError where no cell can be run, or one that is done was run
    with other options.
    """

    def __init__(
        self,
        spec: TableSpec,
        scale: str,
        cells: Sequence[Cell],
        given: Settings,
        registry: Registry,
        out: Path,
        *,
        overwrite: bool = False,
    ) -> None:
        self.results = Results(spec, scale)
        self._registry = registry
        self._out = out
        self._overwrite = overwrite
        self._waiting: list[tuple[Cell, Config]] = []
        for cell in cells:
            try:
                config = self._resolved(cell, given)
            except DccError as error:
                if len(cells) == 1:
                    raise
                self.results.fail(cell, str(error))
                continue
            found = None if overwrite else self._done(cell, config)
            if found:
                self.results.add(cell, found)
            else:
                self._waiting.append((cell, config))
        if not self._waiting and len(self.results.failed) == len(cells):
            raise DccError(next(iter(self.results.failed.values())))

    def run(self, display: Display) -> Results:
        """Run what is missing. A cell that fails is named, and the others go on."""
        self._write()
        for number, (cell, config) in enumerate(self._waiting, start=1):
            if display.shows:
                display.console.print(f"cell {number}/{len(self._waiting)}: {cell.name}", highlight=False)
            forget_peak()
            try:
                place = self._folder(cell)
                folder = RunFolder(place, overwrite=self._overwrite or not (place / CHECKPOINT).exists())
                report = execute(config, self._registry, folder, display, selecting=cell.selects)
            except DccError as error:
                self.results.fail(cell, str(error))
                log.warning(f"cell {cell.name} failed: {error}")
            else:
                self.results.add(cell, report)
            self._write()
        return self.results

    def _resolved(self, cell: Cell, given: Settings) -> Config:
        spec = self.results.spec
        settings = cell.settings(f"table {spec.name}, scale {self.results.scale}")
        for key, setting in given.values.items():
            settings.add({key: setting.value}, setting.origin, setting.rank)
        return resolve(self._registry, settings)

    def _folder(self, cell: Cell) -> Path:
        return self._out.joinpath(*cell.values.values())

    def _done(self, cell: Cell, config: Config) -> dict[str, Any] | None:
        """The report of a cell that is done, none where it is missing or was interrupted."""
        path = self._folder(cell) / "report.json"
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
            then = {
                key: {"value": entry["value"], "origin": entry["origin"]} for key, entry in report["config"].items()
            }
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DccError(f"'{path}' cannot be read: {error}; --overwrite runs its cell again") from error
        if differing := changed(then, with_its_budget(config, then), (*FREE, *MACHINE)):
            words = [f"{key} {both}" for key, both in differing.items()]
            more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
            raise DccError(
                f"cell {cell.name} in '{self._out}' was run with other options ({'; '.join(words[:NAMED])}{more}); "
                "give another --out, or --overwrite"
            )
        return report

    def _write(self) -> None:
        self._out.mkdir(parents=True, exist_ok=True)
        for name, text in self.results.files().items():
            write_atomically(self._out / name, text.encode())

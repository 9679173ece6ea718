"""Running the cells of a table into a folder that says which are done."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dcc_core.config import FREE, MACHINE, Settings
from dcc_core.errors import DccError, Stopped
from dcc_core.jobs import Config, resolve
from dcc_core.plugins import Registry
from dcc_core.runs import REPORT, apply_earlier_budget, find_changes
from dcc_core.sets import write_atomically
from dcc_plugins.tables.cell import CellRun, CellWork, is_written
from dcc_plugins.tables.output import Results
from dcc_plugins.tables.table import Cell, TableSpec
from dcc_plugins.tables.workers import Began, Done, Event, Failed, Lost, ThisProcess, Workers
from dcc_plugins.terminal import Display

log = logging.getLogger("dcc")

NAMED = 3
"""Options that a message names."""


class Tabling:
    """The cells of one table at one scale, in `out`: a folder for each cell, and the table in three formats.

    given: what the user sets for all cells. Raises DccError if no cell can be run, or one that is done was run
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
        self._given = given
        self._waiting: dict[str, Cell] = {}
        self._begun: dict[str, int] = {}
        self._ended = 0
        for cell in cells:
            try:
                config = resolve(registry, self._settings(cell))
            except DccError as error:
                if len(cells) == 1:
                    raise
                self.results.fail(cell, str(error))
                continue
            found = None if overwrite else self._done(cell, config)
            if found:
                self.results.add(cell, found)
            else:
                self._waiting[cell.name] = cell
        if not self._waiting and len(self.results.failed) == len(cells):
            raise DccError(next(iter(self.results.failed.values())))

    def run(self, display: Display, workers: Workers | None = None) -> Results:
        """Run the missing cells, by default in this process. A cell that fails is named, and the others still run."""
        work = CellWork(self._registry, display)
        runs = {name: self._run_of(cell) for name, cell in self._waiting.items()}
        events = (workers or ThisProcess()).each(work, runs)
        try:
            with contextlib.closing(events):
                for event in events:
                    self._note(event, display)
                    self._write()
        except KeyboardInterrupt as error:
            if str(error):
                raise
            number = error.signal if isinstance(error, Stopped) else signal.SIGINT
            raise Stopped(
                number, f"the cells that are done are in '{self._out}'; the same command continues"
            ) from error
        self._write()
        return self.results

    def _note(self, event: Event[dict[str, Any]], display: Display) -> None:
        """Take down what happened to a cell, and show it."""
        name, total = event.name, len(self._waiting)
        match event:
            case Began():
                shown = f"cell {self._begun.setdefault(name, len(self._begun) + 1)}/{total}: {name}"
            case Lost():
                log.warning(f"cell {name} lost its worker and continues in another one: {event.reason}")
                return
            case Done():
                self._ended += 1
                self.results.add(self._waiting[name], event.result)
                shown = f"cell {name} is done; {total - self._ended} to go"
            case Failed():
                self._ended += 1
                self.results.fail(self._waiting[name], event.message)
                log.warning(f"cell {name} failed: {event.message}")
                shown = f"cell {name} has failed; {total - self._ended} to go"
        if display.shows:
            display.console.print(shown, highlight=False, markup=False, soft_wrap=True)

    def _settings(self, cell: Cell) -> Settings:
        settings = cell.settings(self.results.spec.origin(self.results.scale))
        for key, setting in self._given.values.items():
            settings.add({key: setting.value}, setting.origin, setting.rank)
        return settings

    def _run_of(self, cell: Cell) -> CellRun:
        place = self._folder(cell)
        earlier = is_written(place) if self._overwrite else {}
        return CellRun(settings=self._settings(cell), folder=place, selects=cell.selects, earlier=earlier)

    def _folder(self, cell: Cell) -> Path:
        return self._out.joinpath(*cell.values.values())

    def _done(self, cell: Cell, config: Config) -> dict[str, Any] | None:
        """The report of a cell that is done, none if it is missing or was interrupted."""
        path = self._folder(cell) / REPORT
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
            then = {
                key: {"value": entry["value"], "origin": entry["origin"]} for key, entry in report["config"].items()
            }
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DccError(f"'{path}' cannot be read: {error}; --overwrite runs its cell again") from error
        if differing := find_changes(then, apply_earlier_budget(config, then), (*FREE, *MACHINE)):
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

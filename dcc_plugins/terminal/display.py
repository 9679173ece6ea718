"""What a run shows while it works: a progress bar on a terminal, plain lines elsewhere, nothing if quiet."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

Report = Callable[[int, str], None]

PLAIN_WIDTH = 160
"""Columns of a table if there is no terminal to ask."""

LINES, RUN_LINES = 10, 20
"""Plain lines per tracked piece of work, and per run, if there is no terminal."""


def printable(text: str) -> str:
    """Untrusted text without control characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def terminal() -> Console:
    """Stdout, as wide as the terminal."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)


def print_table(table: Table) -> None:
    """Print a table on stdout."""
    terminal().print(table)


class Display:
    """Shows progress and log lines on stderr. quiet: warnings alone. mute: nothing, as another process speaks."""

    def __init__(self, *, quiet: bool = False, mute: bool = False) -> None:
        self.console = Console(stderr=True)
        self.shows = not (quiet or mute)
        self._mute = mute

    @contextlib.contextmanager
    def logging(self) -> Iterator[None]:
        """Show the package's log lines while the context lasts."""
        logger = logging.getLogger("dcc")
        level = logger.level
        handler = _Lines(self.console)
        handler.setLevel(logging.INFO if self.shows else logging.CRITICAL if self._mute else logging.WARNING)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)

    @contextlib.contextmanager
    def track(self, what: str, total: int, phase: str = "") -> Iterator[Report]:
        """Progress of `total` pieces of work; report how many are done, with a note."""
        with self._show(LINES, TimeRemainingColumn()) as show:
            yield lambda done, note: show(done / total, f"{what} {done}/{total} {note}")

    @contextlib.contextmanager
    def track_run(self) -> Iterator[Callable[[float, str], None]]:
        """One bar for a whole run; report the share that is done (0..1), with a note."""
        with self._show(RUN_LINES, TaskProgressColumn()) as show:
            yield lambda share, note: show(share, note if self.console.is_terminal else f"{share:.0%}, {note}")

    @contextlib.contextmanager
    def _show(self, lines: int, column: ProgressColumn) -> Iterator[Callable[[float, str], None]]:
        """A bar on a terminal, so many plain lines elsewhere: called with the share that is done, and words."""
        if self.shows and self.console.is_terminal:
            columns = BarColumn(), column, TextColumn("{task.fields[note]}", markup=False)
            with Progress(*columns, console=self.console, transient=True) as bar:
                task = bar.add_task("", total=1.0, note="")
                yield lambda share, note: bar.update(task, completed=share, note=note)
        else:
            shown = 0

            def print_line(share: float, note: str) -> None:
                nonlocal shown
                if self.shows and int(share * lines + 1e-9) > shown:
                    shown = int(share * lines + 1e-9)
                    self.console.print(note, highlight=False, markup=False, soft_wrap=True)

            yield print_line


class _Lines(logging.Handler):
    """Log lines on a console, above its progress bar."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(self.format(record), highlight=False, markup=False, soft_wrap=True)

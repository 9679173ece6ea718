"""What a run shows while it works: a progress bar on a terminal, plain lines elsewhere, nothing if quiet."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

Report = Callable[[int, str], None]

PLAIN_WIDTH = 160
"""Columns of a table if there is no terminal to ask."""

LINES = 10
"""Plain lines per tracked piece of work, if there is no terminal."""


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
    def track(self, what: str, total: int) -> Iterator[Report]:
        """Progress of `total` pieces of work; report how many are done, with a note."""
        if not self.shows:
            yield lambda done, note: None
        elif self.console.is_terminal:
            with self._bar() as bar:
                task = bar.add_task(what, total=total, note="")
                yield lambda done, note: bar.update(task, completed=done, note=note)
        else:
            yield self._lines(what, total)

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )

    def _lines(self, what: str, total: int) -> Report:
        shown = 0

        def report(done: int, note: str) -> None:
            nonlocal shown
            if done * LINES // total > shown:
                shown = done * LINES // total
                self.console.print(f"{what} {done}/{total} {note}", highlight=False, markup=False, soft_wrap=True)

        return report


class _Lines(logging.Handler):
    """Log lines on a console, above its progress bar."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(self.format(record), highlight=False, markup=False, soft_wrap=True)

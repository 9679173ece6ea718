"""Progress of a run. `dcc_plugins.terminal.Display` shows it; tests and programs may have their own."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Protocol


class Progress(Protocol):
    """Where runs report progress and log lines. shows: whether more than warnings is visible."""

    shows: bool

    def logging(self) -> contextlib.AbstractContextManager[None]:
        """Show the log lines of `dcc` while the context lasts."""
        ...

    def track(
        self, what: str, total: int, phase: str = ""
    ) -> contextlib.AbstractContextManager[Callable[[int, str], None]]:
        """Progress of `total` pieces of work; the context gives a function to call with the number done and a note.

        phase: of the run that the work is part of.
        """
        ...

    def track_run(self) -> contextlib.AbstractContextManager[Callable[[float, str], None]]:
        """One bar for a whole run; the context gives a function to call with the share done (0..1) and a note."""
        ...


class Silent:
    """Shows nothing; log lines go where the program's own logging has them, and into the run's folder."""

    shows = False

    @contextlib.contextmanager
    def logging(self) -> Iterator[None]:
        """Have the package's lines written while the context lasts."""
        logger = logging.getLogger("dcc")
        level = logger.level
        logger.setLevel(logging.INFO)
        try:
            yield
        finally:
            logger.setLevel(level)

    def track(
        self, what: str, total: int, phase: str = ""
    ) -> contextlib.AbstractContextManager[Callable[[int, str], None]]:
        """Nothing is shown."""
        return contextlib.nullcontext(lambda done, note: None)

    def track_run(self) -> contextlib.AbstractContextManager[Callable[[float, str], None]]:
        """Nothing is shown."""
        return contextlib.nullcontext(lambda share, note: None)

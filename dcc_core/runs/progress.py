"""Progress of a run. `dcc_core.cli.Display` shows it; tests and programs may have their own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """Where runs report progress and log lines. shows: whether more than warnings is visible."""

    shows: bool

    def logging(self) -> contextlib.AbstractContextManager[None]:
        """Show the log lines of `dcc` while the context lasts."""
        ...

    def track(self, what: str, total: int) -> contextlib.AbstractContextManager[Callable[[int, str], None]]:
        """Progress of `total` pieces of work; the context gives a function to call with the number done and a note."""
        ...

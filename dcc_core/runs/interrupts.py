"""Ctrl-C and SIGTERM while a run lasts: at once, or, if steps are taken, between two of them."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from dcc_core.errors import Stopped
from dcc_core.group import ALONE, Group, is_speaker

SIGNALS = (signal.SIGINT, signal.SIGTERM)
WAITING = b"\nstopping after this step, with a checkpoint; once more to stop at once\n"


class Interrupts:
    """pending: the signal that a step's end is waited for with, 0 if there is none. group: who ends together."""

    def __init__(self, group: Group = ALONE) -> None:
        self.pending = 0
        self._group = group
        self._received = 0
        self._held = False

    @contextlib.contextmanager
    def install(self) -> Iterator[None]:
        """Handle signals while the context lasts. Only a program's main thread can; elsewhere nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Wait with a first signal until `check`, or until the context ends."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        self.check()

    def share(self) -> int:
        """The signal that is pending on any process, 0 if there is none: all end after the same step. Collective.

        One that arrives meanwhile stays pending, for the next step's end.
        """
        number = self._group.maximum(self.pending)
        if number:
            self.pending = number
        return number

    def check(self) -> None:
        """Raise Stopped if a signal is pending."""
        if self.pending:
            raise Stopped(self.pending)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first, self._received = not self._received, number
        if first and self.pending:  # it has reached the others earlier, and this process by them
            return
        if not (self._held and first):
            raise Stopped(number)
        self.pending = number
        if is_speaker():
            os.write(2, WAITING)

"""Ctrl-C, SIGTERM and SIGHUP during a run: they stop it at once, or between two steps while images are updated."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from dcc_core.errors import Stopped
from dcc_core.group import ALONE, Group, is_speaker

SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
WAITING = b"\nstopping after this step, with a checkpoint; once more to stop at once\n"


class Interrupts:
    """pending: the signal that takes effect at the end of the step, 0 if none. group: processes that stop together."""

    def __init__(self, group: Group = ALONE) -> None:
        self.pending = 0
        self._group = group
        self._received = 0
        self._holding = False

    @contextlib.contextmanager
    def install(self) -> Iterator[None]:
        """Handle signals while the context lasts. Only the main thread can; in others this does nothing."""
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
        """Delay a first signal until `check`, or until the context ends."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        self.check()

    def share(self) -> int:
        """The signal pending on any process, 0 if none, so that all stop after the same step. Collective.

        A signal that arrives during the call stays pending until the end of the next step.
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
        if first and self.pending:  # another process received it earlier and shared it
            return
        if not (self._holding and first):
            raise Stopped(number)
        self.pending = number
        if is_speaker():
            os.write(2, WAITING)

"""Time spent, by phase."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping


class Stopwatch:
    """Seconds of the phases of some work."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._running: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Add the time of a context to a phase; an enclosing phase does not count it."""
        self._running[phase] = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - self._running.pop(phase)
            self.add({phase: spent})
            self._running = {outer: began + spent for outer, began in self._running.items()}

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add time that was measured elsewhere."""
        for phase, spent in seconds.items():
            self._seconds[phase] = self._seconds.get(phase, 0.0) + spent

    def so_far(self) -> dict[str, float]:
        """Seconds by phase, running phases included."""
        now, seconds = time.perf_counter(), dict(self._seconds)
        for phase, began in self._running.items():
            seconds[phase] = seconds.get(phase, 0.0) + now - began
        return seconds

"""Ways of doing a piece of work that take turns, each in a process of its own.

So each has the process as its users have it: a setting of the whole process, such as what becomes of freed memory, is
not the other's too.
"""

from __future__ import annotations

import multiprocessing
import time
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

Make = Callable[[], Callable[[], object]]
"""Makes a way, in its process."""


class Apart:
    """A process that does a way when it is told. keeps: whether it keeps freed memory, where what it makes asks so."""

    def __init__(self, make: Make, *, keeps: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(make, keeps, there))  # may have processes of its own
        self._process.start()
        there.close()

    def seconds(self) -> float:
        """Do it once."""
        self._here.send(True)
        return self._here.recv()

    def close(self) -> None:
        """End the process."""
        self._here.send(False)
        self._process.join()


def in_turn(sides: Sequence[Apart], rounds: int) -> list[list[float]]:
    """Seconds of every side, round by round, after one round that is thrown away; ends the processes."""
    try:
        return [[side.seconds() for side in sides] for _ in range(rounds + 1)][1:]
    finally:
        for side in sides:
            side.close()


def _serve(make: Make, keeps: bool, there: Connection) -> None:
    warnings.simplefilter("ignore")
    if not keeps:
        import dcc_core.jobs.memory_limit

        dcc_core.jobs.memory_limit.keep_freed_memory = lambda: False
    way = make()
    while there.recv():
        start = time.perf_counter()
        way()
        there.send(time.perf_counter() - start)

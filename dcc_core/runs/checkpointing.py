"""Keep an unfinished run's checkpoint up to date."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dcc_core.engine import ResumeState
from dcc_core.errors import Stopped
from dcc_core.group import Group
from dcc_core.plugins import Score
from dcc_core.runs.checkpoint import Checkpoint, MeasuredScore
from dcc_core.runs.interrupts import Interrupts
from dcc_core.runs.run_folder import CHECKPOINT, Folder


class Checkpointer:
    """A run's checkpoint, written after every score and every set, and between steps when it is due.

    every: seconds between two checkpoints. group: the processes that take the steps. seconds: returns the seconds spent
    so far, by phase.
    """

    def __init__(
        self,
        folder: Folder,
        start: Checkpoint,
        interrupts: Interrupts,
        *,
        every: float,
        group: Group,
        seconds: Callable[[], Mapping[str, float]],
    ) -> None:
        self.now = start
        self._folder = folder
        self._interrupts = interrupts
        self._every = every
        self._group = group
        self._seconds = seconds
        self._written = time.monotonic()

    def step(self, capture: Callable[[], ResumeState], *, now: bool = False) -> None:
        """Write a checkpoint between two steps if due; now: always. Raises Stopped if a signal is pending."""
        ending = self._interrupts.share()
        due = now or ending > 0 or time.monotonic() - self._written >= self._every
        if self._group.any_process(due):  # what a loss keeps is gathered from all processes
            self._write(moment=capture())
            self.now = replace(self.now, moment=ResumeState())  # frees the tensors: they are on disk
        if ending:  # not a later state, which the other processes do not have
            raise Stopped(ending)

    def count_set(self) -> None:
        """Record that the next set has its file."""
        self._write(made=self.now.made + 1, moment=ResumeState())

    def add_score(self, set_index: int, name: str, network: str, score: Score) -> None:
        """Record a score that has been measured and reported."""
        self._write(scores=(*self.now.scores, MeasuredScore.of(set_index, name, network, score)))

    def find_score(self, set_index: int, name: str, network: str) -> Score | None:
        """The score, if it has been measured."""
        key = (set_index, name, network)
        return next((s.score for s in self.now.scores if (s.set, s.name, s.network) == key), None)

    def _write(self, **changes: Any) -> None:
        metrics = self._folder.metrics_bytes()
        self.now = replace(self.now, **changes, metrics=metrics, seconds=dict(self._seconds()))
        self._folder.write(CHECKPOINT, self.now.to_bytes())
        self._written = time.monotonic()

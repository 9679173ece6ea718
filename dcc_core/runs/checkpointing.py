"""Keeping an unfinished run's checkpoint up to date."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dcc_core.engine import ResumeState
from dcc_core.errors import Stopped
from dcc_core.group import Group
from dcc_core.plugins import Score
from dcc_core.runs.checkpoint import Checkpoint, KeptScore
from dcc_core.runs.interrupts import Interrupts
from dcc_core.runs.run_folder import CHECKPOINT, Folder


class Checkpointer:
    """A run's checkpoint, written at every score, after every set, and between steps when it is time or asked for.

    every: seconds between two. group: the processes that take the steps. seconds: what has been spent so far, by phase.
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
        """Between two steps; now: whatever the time. Raises Stopped if a signal asked for the end."""
        ending = self._interrupts.share()
        due = now or ending > 0 or time.monotonic() - self._written >= self._every
        if self._group.any_process(due):  # what a loss keeps is gathered from all processes
            self._write(moment=capture())
            self.now = replace(
                self.now, moment=ResumeState()
            )  # its tensors are on the disk; the next step has new ones
        if ending:  # not a later state, which the other processes do not have
            raise Stopped(ending)

    def set_made(self) -> None:
        """A set more has its file."""
        self._write(made=self.now.made + 1, moment=ResumeState())

    def score(self, set_index: int, name: str, network: str, score: Score) -> None:
        """A score has been measured, and told."""
        self._write(scores=(*self.now.scores, KeptScore.of(set_index, name, network, score)))

    def known(self, set_index: int, name: str, network: str) -> Score | None:
        """A score that was measured before."""
        wanted = (set_index, name, network)
        return next((k.score for k in self.now.scores if (k.set, k.name, k.network) == wanted), None)

    def _write(self, **changes: Any) -> None:
        metrics = self._folder.metrics_bytes()
        self.now = replace(self.now, **changes, metrics=metrics, seconds=dict(self._seconds()))
        self._folder.write(CHECKPOINT, self.now.to_bytes())
        self._written = time.monotonic()

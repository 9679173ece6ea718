"""The progress of a whole run: one bar over all its phases, with the time left and the accuracy so far."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dcc_core.config import format_duration
from dcc_core.jobs import Job
from dcc_core.runs.checkpoint import Checkpoint
from dcc_core.runs.progress import Progress
from dcc_core.runs.set_scoring import CURVE, MOMENT, PHASES
from dcc_core.scoring import measurements

CONDENSE = "condense"
PRIOR = 0.05
"""The forecast of a phase counts as much as having measured this share of it."""


@contextlib.contextmanager
def follow_run(display: Progress, job: Job, begun: Checkpoint) -> Iterator[RunProgress]:
    """The progress of a run that begins, or resumes, at a checkpoint."""
    run, score, total, done = job.context(), job.config.score, Counter[str](), Counter[str]()
    wanted = measurements(score.protocol or "dc", baseline=score.baseline)
    for m in wanted.values():  # all real images are measured once
        sets = 1 if m.subject == "full" else job.config.run.sets
        total[PHASES[m.subject]] += sets * len(job.config.networks) * score.nets
    if begun.selecting and job.config.selection.whole:
        total = Counter({PHASES["full"]: len(job.config.networks) * score.nets})
    elif not begun.selecting:
        total[CONDENSE] = job.config.run.sets * run.outer_loops * run.inner_loops
        done[CONDENSE] = begun.made * run.outer_loops * run.inner_loops
    for known in begun.scores:
        if known.name in wanted:
            done[PHASES[wanted[known.name].subject]] += score.nets
    expected, spent = (  # the curve of accuracy is measured between image updates
        {phase: s + (all_.get(CURVE, 0.0) if phase == CONDENSE else 0.0) for phase, s in all_.items()}
        for all_ in (begun.expected, begun.seconds)
    )
    with display.track_run() as show:
        yield RunProgress(display, show, total, done, expected, spent)


class RunProgress:
    """Shows the pieces of a run's work as parts of one whole, on a display that has a bar for it.

    total, done: pieces of work by phase, such as image updates and networks. expected: seconds of whole phases, as a
    forecast has them; spent: seconds of what is done. Where a phase has neither, nothing is said of the time left.
    """

    def __init__(
        self,
        display: Progress,
        show: Callable[[float, str], None],
        total: Mapping[str, int],
        done: Mapping[str, int],
        expected: Mapping[str, float],
        spent: Mapping[str, float],
    ) -> None:
        self.shows, self.logging, self.track_run = display.shows, display.logging, display.track_run
        self.accuracy: float | None = None
        self._show, self._expected, self._share = show, expected, 0.0
        self._total = {phase: count for phase, count in total.items() if count}
        self._done = {phase: done.get(phase, 0) for phase in self._total}
        self._spent = {phase: spent.get(phase, 0.0) for phase in self._total}

    @contextlib.contextmanager
    def track(self, what: str, total: int, phase: str = "") -> Iterator[Callable[[int, str], None]]:
        """Progress of a part of a phase, as `Progress.track`. What reports nothing was not needed."""
        before, seconds, start = self._done[phase], self._spent[phase], time.perf_counter()

        def report(done: int, note: str) -> None:
            self._done[phase] = before + done
            self._spent[phase] = seconds + time.perf_counter() - start
            self._tell(" ".join(f"{what} {done}/{total} {note}".split()))

        yield report
        if self._done[phase] == before:
            self._total[phase] = max(before, self._total[phase] - total)

    def see(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take the accuracy of the set from a line of the metrics; returns the line."""
        if row.get("subject") in ("condensed", MOMENT):
            self.accuracy = row["mean"]
        return row

    def left(self) -> float | None:
        """Seconds that the rest takes; None if a phase is unknown."""
        rest = [(self._total[phase] - self._done[phase], self._cost(phase)) for phase in self._total]
        return None if any(n and cost is None for n, cost in rest) else sum(n * (cost or 0.0) for n, cost in rest)

    def _cost(self, phase: str) -> float | None:
        """Seconds of a piece of work: as forecast at first, more and more as measured."""
        total, done, spent = self._total[phase], self._done[phase], self._spent[phase]
        if phase in self._expected:
            return (PRIOR * self._expected[phase] + spent) / (PRIOR * total + done)
        return spent / done if done else None

    def _tell(self, words: str) -> None:
        left, spent = self.left(), sum(self._spent.values())
        share = sum(self._done.values()) / sum(self._total.values()) if left is None else spent / ((spent + left) or 1)
        self._share = max(self._share, share)  # a correction of the forecast moves no bar back
        time_left = [] if left is None else [f"{format_duration(left)} left"]
        accuracy = [] if self.accuracy is None else [f"accuracy so far {100 * self.accuracy:.1f} %"]
        self._show(self._share, ", ".join([*time_left, words, *accuracy]))

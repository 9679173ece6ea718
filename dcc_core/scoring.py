"""Scoring a set on every network of a configuration, beside random real images, with progress."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from dcc_core.config import Config
from dcc_core.coreset import random_set
from dcc_core.display import Display
from dcc_core.errors import unexpected
from dcc_core.evaluate import Score
from dcc_core.job import Job
from dcc_core.observe import ScoreReport
from dcc_core.registry import Registry
from dcc_core.report import report_of
from dcc_core.setfile import CondensedSet

log = logging.getLogger("dcc")

PHASES = {"condensed": "score", "random": "baseline"}


class Scoring:
    """Scores sets as the configuration says, and tells observers.

    record: takes a metric, as a row of values. seconds: spent in every phase so far.
    """

    def __init__(
        self, job: Job, registry: Registry, display: Display, record: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self._job = job
        self._registry = registry
        self._display = display
        self._record = record
        self.seconds: dict[str, float] = {}

    def of(self, s: CondensedSet) -> dict[str, list[Score]]:
        """Scores by subject, `condensed` and (unless switched off) `random`: one for each network."""
        scores = {"condensed": self._each("condensed", s)}
        if self._job.config.score.baseline:
            scores["random"] = self._each("random", random_set(self._job, s))
        return scores

    def _each(self, subject: str, s: CondensedSet) -> list[Score]:
        start = time.perf_counter()
        scores = [self._one(subject, s, network) for network in self._job.config.networks]
        self.seconds[PHASES[subject]] = time.perf_counter() - start
        return scores

    def _one(self, subject: str, s: CondensedSet, network: str) -> Score:
        job, nets = self._job, self._job.config.score.nets
        with self._display.track(f"scoring {subject} on {network}", nets) as progress:
            score = job.scorer(s, network).score(job.decoded(s), nets, lambda done: progress(done, "networks"))
        log.info(f"set {s.provenance.set}, {subject}, {network}: {100 * score.mean:.1f} % ± {100 * score.std:.1f}")
        self._record({"set": s.provenance.set, "subject": subject} | score.as_dict())
        self._registry.notify("dcc_evaluated", report=ScoreReport(set=s.provenance.set, subject=subject, score=score))
        return score


def evaluated(s: CondensedSet, config: Config, registry: Registry, display: Display) -> dict[str, Any]:
    """Score a set without leaving anything; returns the report. Raises DccError where it does not fit the data."""
    with display.logging():
        start = time.perf_counter()
        try:
            job = Job(config, registry, progress=display.shows, matching=False)
            load = {"load": time.perf_counter() - start}
            scoring = Scoring(job, registry, display, record=lambda row: None)
            return report_of(job, s.provenance.method, scoring.of(s), load | scoring.seconds)
        except Exception as error:
            raise unexpected(error) from error

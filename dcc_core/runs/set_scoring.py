"""Score a set on every network of a configuration, and what the protocol compares it with, with progress."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from dcc_core.jobs import Job, Measurer, work_for_curve, work_on_all_images
from dcc_core.plugins import Registry, Score, ScoreReport
from dcc_core.runs.progress import Progress
from dcc_core.runs.stopwatch import Stopwatch
from dcc_core.scoring import COMPOSITES, Measurement, measurements
from dcc_core.sets import CondensedSet

log = logging.getLogger("dcc")

PHASES = {"condensed": "score", "random": "baseline", "full": "full data"}
"""Phases of a run by what is measured."""
CURVE, MOMENT = "curve", "moment"
"""The phase of scoring an unfinished set, and the subject of such a score in the metrics."""


class KnownScores(Protocol):
    """The scores of an unfinished run."""

    def find_score(self, set_index: int, name: str, network: str) -> Score | None:
        """The score of a set by a measurement on a network, if it has been measured."""
        ...

    def add_score(self, set_index: int, name: str, network: str, score: Score) -> None:
        """Record a score."""
        ...


class Scoring:
    """Score sets by the configuration, and notify observers.

    record: receives each metric as a row of values. known: scores that an interrupted run has measured; new ones are
    added. clock: counts the time of every phase.
    """

    def __init__(
        self,
        job: Job,
        registry: Registry,
        display: Progress,
        record: Callable[[Mapping[str, Any]], None],
        clock: Stopwatch,
        known: KnownScores | None = None,
    ) -> None:
        self._job = job
        self._registry = registry
        self._display = display
        self._record = record
        self._known = known
        self._clock = clock

    def score_set(self, s: CondensedSet) -> dict[str, list[Score]]:
        """Scores by subject, `condensed` and (unless switched off) `random` and others: one for each network.

        Under a composite protocol, the scores of the condensed set carry the composite score.
        """
        score = self._job.config.score
        wanted = measurements(score.protocol or "dc", baseline=score.baseline, taught=bool(s.provenance.labels))
        measurers = {network: Measurer(self._job, s, network) for network in self._job.config.networks}
        for name, m in wanted.items():
            with self._clock(PHASES[m.subject]):
                for network, measurer in measurers.items():
                    self._score_network(name, m, measurer, s, network)
        scores = {"condensed": [measurer.result() for measurer in measurers.values()]}
        for network, found in zip(measurers, scores["condensed"], strict=True):
            self._report_robustness(s.provenance.set, network, found)
        beside = ["random"] if score.protocol in COMPOSITES else [name for name in wanted if name != "condensed"]
        for name in (n for n in beside if all(n in measurer.scores for measurer in measurers.values())):
            scores[name] = [measurer.scores[name] for measurer in measurers.values()]
        return scores

    def score_moment(self, step: int, s: CondensedSet) -> None:
        """Score an unfinished set after `step` steps, if a curve of its accuracy is asked for."""
        if self._job.config.score.curve:
            with self._clock(CURVE):
                work = work_for_curve(self._job, s)
                score = work.scorer.score(work.data, work.nets)
            self._record({"set": s.provenance.set, "subject": MOMENT, "step": step} | score.as_dict())

    def score_all_images(self) -> dict[str, list[Score]]:
        """Scores of networks trained on all real images: the expected upper bound for sets."""
        score = self._job.config.score
        scores = []
        with self._clock(PHASES["full"]):
            for network in self._job.config.networks:
                work = work_on_all_images(self._job, network, score.protocol or "dc", score.nets)
                with self._display.track(f"all real images on {network}", work.nets, PHASES["full"]) as progress:
                    scores.append(work.scorer.score(work.data, work.nets, lambda done, p=progress: p(done, "networks")))
                self._report_score("full", 0, network, scores[-1])
        return {"condensed": scores}

    def _score_network(self, name: str, m: Measurement, measurer: Measurer, s: CondensedSet, network: str) -> None:
        index = s.provenance.set
        if self._known and (score := self._known.find_score(index, name, network)):
            measurer.scores[name] = score
            return
        nets = self._job.config.score.nets
        with self._display.track(f"scoring {name} on {network}", nets, PHASES[m.subject]) as progress:
            score = measurer.measure(name, m, lambda done: progress(done, "networks"))
        if score is not None:
            self._report_score(name, index, network, score)
            if self._known and m.subject != "full":  # its first network is needed too, for soft labels
                self._known.add_score(index, name, network, score)

    def _report_score(self, subject: str, index: int, network: str, score: Score) -> None:
        log.info(f"set {index}, {subject}, {network}: {100 * score.mean:.1f} % ± {100 * score.std:.1f}")
        self._record({"set": index, "subject": subject} | score.as_dict())
        self._registry.notify("dcc_evaluated", report=ScoreReport(set=index, subject=subject, score=score))

    def _report_robustness(self, index: int, network: str, score: Score) -> None:
        """Report the composite score, unless it is known already."""
        if (found := score.robustness) is None or (
            self._known and self._known.find_score(index, found.protocol, network)
        ):
            return
        log.info(f"set {index}, {found.protocol}, {score.architecture}: {found.value:.3f}")
        row = {"subject": found.protocol, "architecture": score.architecture, "version": found.version}
        self._record({"set": index, **row, "score": found.value, "accuracies": dict(found.accuracies)})
        self._registry.notify("dcc_evaluated", report=ScoreReport(set=index, subject=found.protocol, score=score))
        if self._known:
            self._known.add_score(index, found.protocol, network, score)

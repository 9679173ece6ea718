"""A run that leaves a folder: condense, save, score as read back, report."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from dcc_core.config import Config
from dcc_core.coreset import coreset
from dcc_core.display import Display
from dcc_core.errors import DccError, faults_of, unexpected
from dcc_core.evaluate import Score
from dcc_core.folder import UNFINISHED, RunFolder
from dcc_core.forecast import planned
from dcc_core.job import Job, Start
from dcc_core.observe import RunInfo, StepReport
from dcc_core.protocols import PROTOCOLS
from dcc_core.registry import Registry
from dcc_core.report import report_of
from dcc_core.scoring import Scoring
from dcc_core.setfile import CondensedSet, load_set
from dcc_core.settings import as_toml

log = logging.getLogger("dcc")


def execute(
    config: Config, registry: Registry, folder: RunFolder, display: Display, *, selecting: bool = False
) -> dict[str, Any]:
    """Condense and score into a folder; returns the report. selecting: the selection's images are the sets.

    Raises DccError. A run that fails after its first step keeps what it has written, with the images as they
    were, and says where.
    """
    with display.logging(), folder.logging():
        try:
            with contextlib.ExitStack() as listeners:
                return _Run(config, registry, folder, display, selecting, listeners).go()
        except (Exception, KeyboardInterrupt) as error:
            kept = f"what was done so far is in '{folder.path}'" if folder.begun else ""
            if isinstance(error, KeyboardInterrupt):
                folder.record("interrupted", error)
                raise KeyboardInterrupt(kept) from error
            message = str(unexpected(error))
            folder.record(message, error)
            raise DccError(f"{message}\n  {kept}".rstrip()) from error


class _Run:
    def __init__(
        self,
        config: Config,
        registry: Registry,
        folder: RunFolder,
        display: Display,
        selecting: bool,
        listeners: contextlib.ExitStack,
    ) -> None:
        self.config = config
        self.registry = registry
        self.folder = folder
        self.display = display
        self.selecting = selecting
        self.listeners = listeners
        self.report: dict[str, Any] | None = None
        self.seconds: dict[str, float] = {}

    def go(self) -> dict[str, Any]:
        with self._clock("load"):
            self.job = Job(self.config, self.registry, progress=self.display.shows)
        self.files = ["config.toml", "run.log", "metrics.jsonl", "report.json"]
        if not self.selecting:
            self._foretell()
        if self.selecting and self.config.selection.whole:
            scores = self._all_images()
        else:
            scores = self._sets(self._selected if self.selecting else self._condensed)
        method = self.config.names["selection"] if self.selecting else self.job.method
        report = {"out": str(self.folder.path), "files": self.files} | report_of(self.job, method, scores, self.seconds)
        self.folder.write("report.json", json.dumps(report, indent=2).encode())
        self.report = report
        return report

    def _sets(self, make: Callable[[int], CondensedSet]) -> dict[str, list[Score]]:
        """Make, write and score every set; the scores by subject."""
        scores: dict[str, list[Score]] = {}
        for index in range(self.config.run.sets):
            name = self._write(make(index))
            s = load_set(self.folder.path / name)
            scoring = self._scoring()
            scored = scoring.of(s)
            self._add_seconds(scoring)
            self.folder.write(name, s.with_scores(*(one.as_dict() for one in scored["condensed"])).to_bytes())
            for subject, many in scored.items():
                scores.setdefault(subject, []).extend(many)
        return scores

    def _all_images(self) -> dict[str, list[Score]]:
        """The scores of networks trained on all real images. Raises DccError for protocols that compare sets."""
        if (protocol := self.config.score.protocol or "dc") not in PROTOCOLS:
            raise DccError(f"score.protocol: {protocol} compares sets; all real images take {', '.join(PROTOCOLS)}")
        self._begin()
        scoring = self._scoring()
        scores = scoring.of_all_images()
        self._add_seconds(scoring)
        return scores

    def _scoring(self) -> Scoring:
        return Scoring(self.job, self.registry, self.display, self.folder.metric)

    def _add_seconds(self, scoring: Scoring) -> None:
        for phase, seconds in scoring.seconds.items():
            self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds

    def _write(self, s: CondensedSet) -> str:
        """Write a set and its picture; the name of the set's file."""
        suffix = f"-{s.provenance.set}" if s.provenance.set else ""
        name, picture = f"set{suffix}.safetensors", f"grid{suffix}.png"
        self.folder.write(name, s.to_bytes())
        self.folder.write(picture, self.job.grid(s))
        self.files += [name, picture]
        return name

    def _begin(self) -> None:
        """The first thing worth keeping is there."""
        if not self.folder.begun:
            self.folder.begin()
            self.folder.write("config.toml", as_toml(self.config.entries).encode())
            self._listen()

    def _listen(self) -> None:
        """Begin to tell the observers that the run asks for; the end is told to all there are."""
        for label, observer in self.config.observers.items():
            title = self.config.titles[f"run.log '{label}'"]
            with faults_of(title):
                listening = self.registry.listening(f"--log {label}", title, observer.listen(self._info()))
                self.listeners.enter_context(listening)
        self.listeners.callback(lambda: self.registry.notify("dcc_run_finished", report=self.report))

    def _selected(self, index: int) -> CondensedSet:
        with self._clock("select"):
            s = coreset(self.job, index)
        self._begin()
        return s

    def _foretell(self) -> None:
        with self._clock("probe"):
            cost = self._foretold()
        self.config = self.job.config
        self._announce()
        log.info(cost)

    def _foretold(self) -> str:
        """What the run will take, in words. A probe that fails ends the run only where there is a budget to keep."""
        try:
            return f"it will take {planned(self.job, self.seconds['load']).words()}"
        except Exception as error:
            if self.config.run.budget is not None:
                raise
            return f"what it will take cannot be foretold: {(str(error).splitlines() or ['?'])[0]}"

    def _announce(self) -> None:
        job, run = self.job, self.job.context()
        log.info(
            f"{job.data.name}: {len(job.data.train.labels)} training images of {job.data.num_classes} classes; "
            f"{job.method}, {self.config.names['arch']}, ipc {run.ipc}; "
            f"{run.outer_loops} outer × {run.inner_loops} inner loops, {run.network_steps} network steps; {job.device}"
        )
        self.registry.notify("dcc_run_started", run=self._info())

    def _info(self) -> RunInfo:
        run = self.job.context()
        return RunInfo(
            config=self.config.table(),
            class_names=self.job.data.class_names,
            sets=self.config.run.sets,
            outer_loops=run.outer_loops,
            inner_loops=run.inner_loops,
            out=str(self.folder.path),
        )

    def _condensed(self, index: int) -> CondensedSet:
        with self._clock("condense"):
            return self._kept(index, self.job.start(index))

    def _kept(self, index: int, start: Start) -> CondensedSet:
        """The condensed set; where that fails, the images as they are then stay in the folder."""
        self._begin()
        try:
            return self._watched(index, start)
        except BaseException:
            with contextlib.suppress(DccError):  # the first error is the one to report
                unfinished = self.job.frozen(start.synthetic, index, finished=False)
                self.folder.write(UNFINISHED, unfinished.to_bytes())
            raise

    def _watched(self, index: int, start: Start) -> CondensedSet:
        outer, inner = start.run.outer_loops, start.run.inner_loops
        what = f"condensing set {index + 1}/{self.config.run.sets}"
        with self.display.track(what, outer * inner) as progress:

            def watch(report: StepReport) -> None:
                self.folder.metric(vars(report))
                note = f"outer {report.outer + 1}/{outer} {report.phase} loss {report.loss:.4g}"
                progress(report.outer * inner + report.inner + 1, " ".join(note.split()))
                self.registry.notify("dcc_step_finished", report=report)

            return self.job.condense(index, watch, start)

    @contextlib.contextmanager
    def _clock(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - start

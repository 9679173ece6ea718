"""A run that leaves a folder: condense, save, score as read back, report."""

from __future__ import annotations

import contextlib
import json
import logging
import shlex
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from dcc_core.config import as_toml, parse_duration
from dcc_core.errors import DccError, NotFiniteError, Stopped, faults_of, unexpected
from dcc_core.group import ALONE, Group
from dcc_core.jobs import Config, Job, Start, entries_of, select_coreset, versions_of
from dcc_core.plugins import Registry, RunInfo, Score, StepReport
from dcc_core.runs.checkpoint import Checkpoint, load_checkpoint
from dcc_core.runs.checkpointing import Checkpointer
from dcc_core.runs.forecast import planned
from dcc_core.runs.interrupts import Interrupts
from dcc_core.runs.progress import Progress
from dcc_core.runs.report import make_report
from dcc_core.runs.resume_checks import apply_earlier_budget, check_resumable
from dcc_core.runs.run_folder import CHECKPOINT, CONFIG, INITIAL, LOG, METRICS, REPORT, UNFINISHED, Elsewhere, Folder
from dcc_core.runs.set_scoring import Scoring
from dcc_core.runs.snapshots import Snapshots
from dcc_core.runs.stopwatch import Stopwatch
from dcc_core.scoring import PROTOCOLS
from dcc_core.sets import CondensedSet, load_set

log = logging.getLogger("dcc")


def execute(
    config: Config,
    registry: Registry,
    folder: Folder,
    display: Progress,
    *,
    selecting: bool = False,
    anyway: bool = False,
    group: Group = ALONE,
) -> dict[str, Any]:
    """Condense and score into a folder, or go on with the unfinished run there; returns the report.

    selecting: the selection's images are the sets. anyway: go on under options and versions that have changed, where
    that does no harm. group: the processes that do so together, of which the first one writes and speaks.
    Raises DccError. A run that fails after its first step keeps what it has written, with the images as they
    were, and says where. Ctrl-C and SIGTERM end it between two steps, with a checkpoint.
    """
    if isinstance(folder, Elsewhere) and folder.report:
        return folder.report
    interrupts = Interrupts(group)
    with display.logging(), folder.hold(), folder.logging(), interrupts.install():
        try:
            with contextlib.ExitStack() as listeners:
                return _Run(config, registry, folder, display, selecting, anyway, interrupts, listeners, group).go()
        except (Exception, KeyboardInterrupt) as error:
            kept = _kept(folder, "dcc select" if selecting else "dcc-run")
            if isinstance(error, KeyboardInterrupt):
                folder.record("interrupted", error)
                raise Stopped(error.signal if isinstance(error, Stopped) else signal.SIGINT, kept) from error
            message = str(unexpected(error))
            folder.record(message, error)
            raise DccError(f"{message}\n  {kept}".rstrip()) from error


def _kept(folder: Folder, command: str) -> str:
    """What there is of a run that ended early, and how to go on with it."""
    if not folder.begun:
        return ""
    return f"what was done so far is in '{folder.path}'; go on with: {command} --resume {shlex.quote(str(folder.path))}"


class _Run:
    def __init__(
        self,
        config: Config,
        registry: Registry,
        folder: Folder,
        display: Progress,
        selecting: bool,
        anyway: bool,
        interrupts: Interrupts,
        listeners: contextlib.ExitStack,
        group: Group,
    ) -> None:
        self.config = config
        self.registry = registry
        self.group = group
        self.observed = registry if group.first else Registry()
        self.folder = folder
        self.display = display
        self.selecting = selecting
        self.anyway = anyway
        self.interrupts = interrupts
        self.listeners = listeners
        self.report: dict[str, Any] | None = None
        self.clock = Stopwatch()
        self.every = parse_duration(config.run.checkpoint, "run.checkpoint")

    def go(self) -> dict[str, Any]:
        earlier = self._earlier()
        with self.clock("load"):
            initial = self.folder.path / INITIAL if earlier else None
            how = {"progress": self.display.shows, "initial": initial, "group": self.group}
            self.job = Job(self.config, self.registry, **how)
        self.files = [CONFIG, LOG, METRICS, REPORT]
        if not self.selecting and earlier is None:
            self._foretell()
        self.begun = self._begun(earlier)
        self.resumes = earlier is not None
        how = {"every": self.every, "group": self.group, "seconds": self.clock.so_far}
        self.keeping = Checkpointer(self.folder, self.begun, self.interrupts, **how)
        if not self.selecting:
            self._announce()
        if self.selecting and self.config.selection.whole:
            scores = self._all_images()
        else:
            scores = self._sets(self._selected if self.selecting else self._condensed)
        method = self.config.names["selection"] if self.selecting else self.job.method
        own = make_report(self.job, method, scores, self.clock.so_far())
        report = {"out": str(self.folder.path), "files": [*self.files, *self.folder.folders()]} | own
        self.folder.write(REPORT, json.dumps(report, indent=2).encode())
        self.folder.end()
        self.report = report
        return report

    def _earlier(self) -> Checkpoint | None:
        """The checkpoint of an unfinished run, where this one can go on from there. Raises DccError where it cannot."""
        if not self.folder.unfinished:
            return None
        found = self.group.broadcast(lambda: load_checkpoint(self.folder.path / CHECKPOINT))
        if found.selecting != self.selecting:
            raise DccError(f"'{self.folder.path}' holds an unfinished run of the other kind: dcc run, or dcc select")
        self.config = apply_earlier_budget(self.config, found.config)
        versions = versions_of(self.config) | {"processes": str(self.group.size)}
        then = {**found.versions, "processes": str(found.processes)}
        differing = check_resumable(found.config, then, self.config, versions, anyway=self.anyway)
        self.config = self.config.with_origins(found.config)
        if found.threads != torch.get_num_threads():
            log.warning(f"begun with {found.threads} threads, now {torch.get_num_threads()}: last digits may differ")
        if any(not key.startswith("run.") and key != "processes" for key in differing):  # other scoring, or other code
            found = replace(found, scores=())
        if "run.image_rate" in differing:
            found = replace(found, moment=replace(found.moment, retries=0))
        self.clock.add(found.seconds)
        notes = tuple(f"went on with {key} {words}" for key, words in differing.items())
        return replace(found, notes=(*found.notes, *notes))

    def _begun(self, earlier: Checkpoint | None) -> Checkpoint:
        """Where the run stands as it begins, or goes on. Raises DccError where the data are not what they were."""
        own = {"config": entries_of(self.config), "versions": self.job.versions, "threads": torch.get_num_threads()}
        own["processes"] = self.group.size
        data = self.job.data.digest()
        if earlier is None:
            return Checkpoint(**own, data=data, selecting=self.selecting)
        if earlier.data != data:
            raise DccError(f"data '{self.job.data.name}' has changed since the run was begun; --overwrite begins anew")
        return replace(earlier, **own)

    def _sets(self, make: Callable[[int], CondensedSet]) -> dict[str, list[Score]]:
        """Make, write and score every set; the scores by subject. Sets that an earlier process made are there."""
        scores: dict[str, list[Score]] = {}
        for index in range(self.config.run.sets):
            if index < self.begun.made:
                self._begin()
                name = self._name(index)
            else:
                name = self._write(make(index))
                self.keeping.set_made()
            s = self.group.broadcast(lambda name=name: load_set(self.folder.path / name))
            scoring = self._scoring()
            scored = scoring.of(s)
            self.folder.write(name, s.with_scores(*(one.as_dict() for one in scored["condensed"])).to_bytes())
            for subject, many in scored.items():
                scores.setdefault(subject, []).extend(many)
        return scores

    def _all_images(self) -> dict[str, list[Score]]:
        """The scores of networks trained on all real images. Raises DccError for protocols that compare sets."""
        if (protocol := self.config.score.protocol or "dc") not in PROTOCOLS:
            raise DccError(f"score.protocol: {protocol} compares sets; all real images take {', '.join(PROTOCOLS)}")
        self._begin()
        return self._scoring().score_all_images()

    def _scoring(self) -> Scoring:
        return Scoring(self.job, self.observed, self.display, self.folder.metric, self.clock, self.keeping)

    def _name(self, index: int) -> str:
        """The name of a set's file, noted among the run's files with that of its picture."""
        suffix = f"-{index}" if index else ""
        self.files += [f"set{suffix}.safetensors", f"grid{suffix}.png"]
        return self.files[-2]

    def _write(self, s: CondensedSet) -> str:
        """Write a set and its picture; the name of the set's file."""
        name = self._name(s.provenance.set)
        self.folder.write(name, s.to_bytes())
        self.folder.write(self.files[-1], self.job.grid(s))
        return name

    def _begin(self) -> None:
        """The first thing worth keeping is there."""
        if self.folder.begun:
            return
        if self.resumes:
            self.folder.reopen(self.begun.metrics)
        else:
            initial = {INITIAL: self.job.initial_set.to_bytes()} if self.job.initial_set else {}
            self.folder.begin({CHECKPOINT: self.begun.to_bytes(), **initial})
        self.folder.write(CONFIG, as_toml(self.config.entries).encode())
        self._listen()

    def _listen(self) -> None:
        """Begin to tell the observers that the run asks for; the end is told to all there are."""
        if not self.group.first:
            return
        for label, observer in self.config.observers.items():
            title = self.config.titles[f"run.log '{label}'"]
            with faults_of(title):
                listening = self.observed.listening(f"--log {label}", title, observer.listen(self._info()))
                self.listeners.enter_context(listening)
        self.listeners.callback(lambda: self.observed.notify("dcc_run_finished", report=self.report))

    def _selected(self, index: int) -> CondensedSet:
        with self.clock("select"):
            s = select_coreset(self.job, index)
        self._begin()
        return s.with_notes(*self.begun.notes)

    def _foretell(self) -> None:
        with self.clock("probe"):
            cost = self._foretold()
        self.config = self.job.config
        log.info(cost)

    def _foretold(self) -> str:
        """What the run will take, in words.

        A probe takes the run's own first steps: what it finds wrong ends the run before the work. Numbers that are
        not finite may be mended by the guard; of what nobody foresaw the run may tell more, unless others wait for it.
        """
        try:
            return f"it will take {planned(self.job, self.clock.so_far()['load']).words()}"
        except Exception as error:
            foreseen = isinstance(error, DccError) or self.group.size > 1
            if (foreseen and not isinstance(error, NotFiniteError)) or self.config.run.budget is not None:
                raise
            return f"what it will take cannot be foretold: {(str(error).splitlines() or ['?'])[0]}"

    def _announce(self) -> None:
        job, run = self.job, self.job.context()
        log.info(
            f"{job.data.name}: {len(job.data.train.labels)} training images of {job.data.num_classes} classes; "
            f"{job.method}, {self.config.names['arch']}, ipc {run.ipc}; "
            f"{run.outer_loops} outer × {run.inner_loops} inner loops, {run.network_steps} network steps; {job.device}"
        )
        if self.resumes:
            at = self.begun.moment
            place = f"set {self.begun.made}, outer loop {at.outer}, inner loop {at.inner}"
            log.info(f"going on with {place if self.begun.made < self.config.run.sets else 'scoring'}")
        self.observed.notify("dcc_run_started", run=self._info())

    def _info(self) -> RunInfo:
        run, at = self.job.context(), self.begun.moment
        return RunInfo(
            config=self.config.table(),
            class_names=self.job.data.class_names,
            sets=self.config.run.sets,
            outer_loops=run.outer_loops,
            inner_loops=run.inner_loops,
            out=str(self.folder.path),
            resumes_at=(self.begun.made, at.outer, at.inner) if self.resumes else None,
        )

    def _condensed(self, index: int) -> CondensedSet:
        with self.clock("condense"):
            return self._kept(index, self.job.start(index))

    def _kept(self, index: int, start: Start) -> CondensedSet:
        """The condensed set; where that fails, the images as they are then stay in the folder."""
        self._begin()
        try:
            return self._watched(index, start)
        except BaseException:
            with contextlib.suppress(DccError):  # the first error is the one to report
                unfinished = self.job.freeze(start.synthetic, index, finished=False)
                self.folder.write(UNFINISHED, unfinished.to_bytes())
            raise

    def _watched(self, index: int, start: Start) -> CondensedSet:
        outer, inner = start.run.outer_loops, start.run.inner_loops
        snapshots = Snapshots(self.folder, self.job, start, index, self._scoring().at_moment)
        what = f"condensing set {index + 1}/{self.config.run.sets}"
        with self.display.track(what, outer * inner) as progress:

            def watch(report: StepReport) -> None:
                done = report.outer * inner + report.inner + 1
                self.folder.metric(report.row())
                note = f"outer {report.outer + 1}/{outer} {report.phase} loss {report.loss:.4g}"
                progress(done, " ".join(note.split()))
                snapshots.after(done)
                self.observed.notify("dcc_step_finished", report=report)

            begin = self.begun.moment if index == self.begun.made else None
            if begin is None or not begin.tensors:
                snapshots.after(0)
            with self.interrupts.hold():
                s = self.job.condense(index, watch, start, keep=self.keeping.step, begin=begin)
            return s.with_notes(*self.begun.notes, *s.provenance.notes)

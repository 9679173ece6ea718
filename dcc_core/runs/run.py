"""A run into a folder: condense, write the sets, score them as read back, report."""

from __future__ import annotations

import contextlib
import json
import logging
import shlex
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from dcc_core.config import as_toml, parse_duration
from dcc_core.errors import DccError, Stopped, as_dcc_error, faults_of
from dcc_core.group import ALONE, Group
from dcc_core.jobs import Config, Job, Start, entries_of, select_coreset
from dcc_core.plugins import Registry, RunInfo, Score, StepReport
from dcc_core.runs.checkpoint import Checkpoint, load_checkpoint
from dcc_core.runs.checkpointing import Checkpointer
from dcc_core.runs.forecast import forecast_line
from dcc_core.runs.interrupts import Interrupts
from dcc_core.runs.progress import Progress
from dcc_core.runs.report import make_report
from dcc_core.runs.resume_checks import adopt_checkpoint
from dcc_core.runs.run_folder import CHECKPOINT, CONFIG, INITIAL, LOG, METRICS, REPORT, UNFINISHED, Folder, NullFolder
from dcc_core.runs.run_progress import CONDENSE, follow_run
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
    """Condense and score into a folder, or resume the unfinished run there; returns the report.

    selecting: the sets are the selection's images. anyway: resume although harmless options or versions have changed.
    group: the processes that share the run; the first one writes and logs.
    Raises DccError. A run that fails after its first step keeps what it has written, the images included, and says
    where. Ctrl-C and SIGTERM end it between two steps, with a checkpoint.
    """
    if isinstance(folder, NullFolder) and folder.report:
        return folder.report
    interrupts = Interrupts(group)
    with display.logging(), folder.hold(), folder.logging(), interrupts.install():
        try:
            with contextlib.ExitStack() as listeners:
                return _Run(config, registry, folder, display, selecting, anyway, interrupts, listeners, group).go()
        except (Exception, KeyboardInterrupt) as error:
            leftovers = _describe_leftovers(folder, "dcc select" if selecting else "dcc-run")
            if isinstance(error, KeyboardInterrupt):
                folder.record("interrupted", error)
                raise Stopped(error.signal if isinstance(error, Stopped) else signal.SIGINT, leftovers) from error
            message = str(as_dcc_error(error))
            folder.record(message, error)
            raise DccError(f"{message}\n  {leftovers}".rstrip()) from error


def _describe_leftovers(folder: Folder, command: str) -> str:
    """Where the results of an unfinished run are, and how to resume it; empty if there are none."""
    if not folder.begun:
        return ""
    return f"results so far are in '{folder.path}'; resume with: {command} --resume {shlex.quote(str(folder.path))}"


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
        self.expected: Mapping[str, float] = {}
        self.every = parse_duration(config.run.checkpoint, "run.checkpoint")

    def go(self) -> dict[str, Any]:
        earlier = self._load_earlier()
        with self.clock("load"):
            initial = self.folder.path / INITIAL if earlier else None
            how = {"progress": self.display.shows, "initial": initial, "group": self.group}
            self.job = Job(self.config, self.registry, **how)
        self.files = [CONFIG, LOG, METRICS, REPORT]
        if not self.selecting and earlier is None:
            self._log_forecast()
        self.checkpoint = self._start_checkpoint(earlier)
        self.resumes = earlier is not None
        how = {"every": self.every, "group": self.group, "seconds": self.clock.so_far}
        self.checkpointer = Checkpointer(self.folder, self.checkpoint, self.interrupts, **how)
        if not self.selecting:
            self._log_start()
        self.progress = self.listeners.enter_context(follow_run(self.display, self.job, self.checkpoint))
        if self.selecting and self.config.selection.whole:
            scores = self._score_all_images()
        else:
            scores = self._score_sets(self._select_set if self.selecting else self._condense_set)
        method = self.config.names["selection"] if self.selecting else self.job.method
        own = make_report(self.job, method, scores, self.clock.so_far())
        report = {"out": str(self.folder.path), "files": [*self.files, *self.folder.folders()]} | own
        self.folder.write(REPORT, json.dumps(report, indent=2).encode())
        self.folder.end()
        self.report = report
        return report

    def _load_earlier(self) -> Checkpoint | None:
        """The checkpoint of an unfinished run in the folder, if any. Raises DccError if this run cannot resume it."""
        if not self.folder.unfinished:
            return None
        found = self.group.broadcast(lambda: load_checkpoint(self.folder.path / CHECKPOINT))
        if found.selecting != self.selecting:
            command = "dcc select" if found.selecting else "dcc run"
            raise DccError(f"'{self.folder.path}' holds an unfinished run of {command}; resume it with that command")
        self.config, earlier = adopt_checkpoint(found, self.config, self.group.size, anyway=self.anyway)
        self.clock.add(earlier.seconds)
        return earlier

    def _start_checkpoint(self, earlier: Checkpoint | None) -> Checkpoint:
        """The checkpoint that the run starts or resumes from. Raises DccError if the data have changed."""
        own = {"config": entries_of(self.config), "versions": self.job.versions, "threads": torch.get_num_threads()}
        own["processes"] = self.group.size
        data = self.job.data.digest()
        if earlier is None:
            return Checkpoint(**own, data=data, selecting=self.selecting, expected=self.expected)
        if earlier.data != data:
            raise DccError(f"data '{self.job.data.name}' has changed since the run began; --overwrite starts again")
        return replace(earlier, **own)

    def _score_sets(self, make: Callable[[int], CondensedSet]) -> dict[str, list[Score]]:
        """Make and write the missing sets, score every set; returns the scores by subject."""
        scores: dict[str, list[Score]] = {}
        for index in range(self.config.run.sets):
            if index < self.checkpoint.made:
                self._open_folder()
                name = self._name_files(index)
            else:
                name = self._write_set(make(index))
                self.checkpointer.count_set()
            s = self.group.broadcast(lambda name=name: load_set(self.folder.path / name))
            scoring = self._scoring()
            scored = scoring.score_set(s)
            self.folder.write(name, s.with_scores(*(one.as_dict() for one in scored["condensed"])).to_bytes())
            for subject, many in scored.items():
                scores.setdefault(subject, []).extend(many)
        return scores

    def _score_all_images(self) -> dict[str, list[Score]]:
        """The scores of networks trained on all real images. Raises DccError if the protocol compares sets."""
        if (protocol := self.config.score.protocol or "dc") not in PROTOCOLS:
            raise DccError(f"score.protocol: {protocol} compares sets; all real images take {', '.join(PROTOCOLS)}")
        self._open_folder()
        return self._scoring().score_all_images()

    def _scoring(self) -> Scoring:
        where = self.observed, self.progress, lambda row: self.folder.metric(self.progress.see(row))
        return Scoring(self.job, *where, self.clock, self.checkpointer)

    def _name_files(self, index: int) -> str:
        """The name of a set's file; adds it and its picture to the run's files."""
        suffix = f"-{index}" if index else ""
        self.files += [f"set{suffix}.safetensors", f"grid{suffix}.png"]
        return self.files[-2]

    def _write_set(self, s: CondensedSet) -> str:
        """Write a set and its picture; returns the name of the set's file."""
        name = self._name_files(s.provenance.set)
        self.folder.write(name, s.to_bytes())
        self.folder.write(self.files[-1], self.job.grid(s))
        return name

    def _open_folder(self) -> None:
        """Write the first files of the run, as soon as there is something to keep."""
        if self.folder.begun:
            return
        if self.resumes:
            self.folder.reopen(self.checkpoint.metrics)
        else:
            initial = {INITIAL: self.job.initial_set.to_bytes()} if self.job.initial_set else {}
            self.folder.begin({CHECKPOINT: self.checkpoint.to_bytes(), **initial})
        self.folder.write(CONFIG, as_toml(self.config.entries).encode())
        self._start_observers()

    def _start_observers(self) -> None:
        """Register the observers that the run asks for; at its end, all observers are notified."""
        if not self.group.first:
            return
        for label, observer in self.config.observers.items():
            title = self.config.titles[f"run.log '{label}'"]
            with faults_of(title):
                listening = self.observed.listening(f"--log {label}", title, observer.listen(self._info()))
                self.listeners.enter_context(listening)
        self.listeners.callback(lambda: self.observed.notify("dcc_run_finished", report=self.report))

    def _select_set(self, index: int) -> CondensedSet:
        with self.clock("select"):
            s = select_coreset(self.job, index)
        self._open_folder()
        return s.with_notes(*self.checkpoint.notes)

    def _log_forecast(self) -> None:
        with self.clock("probe"):
            line, self.expected = forecast_line(self.job, self.clock.so_far()["load"])
        self.config = self.job.config
        log.info(line)

    def _log_start(self) -> None:
        job, run = self.job, self.job.context()
        log.info(
            f"{job.data.name}: {len(job.data.train.labels)} training images of {job.data.num_classes} classes; "
            f"{job.method}, {self.config.names['arch']}, ipc {run.ipc}; "
            f"{run.outer_loops} outer × {run.inner_loops} inner loops, {run.network_steps} network steps; {job.device}"
        )
        if self.resumes:
            at = self.checkpoint.moment
            place = f"set {self.checkpoint.made}, outer loop {at.outer}, inner loop {at.inner}"
            log.info(f"resuming at {place if self.checkpoint.made < self.config.run.sets else 'scoring'}")
        self.observed.notify("dcc_run_started", run=self._info())

    def _info(self) -> RunInfo:
        run, at = self.job.context(), self.checkpoint.moment
        return RunInfo(
            config=self.config.table(),
            class_names=self.job.data.class_names,
            sets=self.config.run.sets,
            outer_loops=run.outer_loops,
            inner_loops=run.inner_loops,
            out=str(self.folder.path),
            resumes_at=(self.checkpoint.made, at.outer, at.inner) if self.resumes else None,
        )

    def _condense_set(self, index: int) -> CondensedSet:
        with self.clock("condense"):
            return self._condense_safely(index, self.job.start(index))

    def _condense_safely(self, index: int, start: Start) -> CondensedSet:
        """Condense a set; if that fails, write the unfinished images to the folder."""
        self._open_folder()
        try:
            return self._condense_with_progress(index, start)
        except BaseException:
            with contextlib.suppress(DccError):  # the first error is the one to report
                unfinished = self.job.freeze(start.synthetic, index, finished=False)
                self.folder.write(UNFINISHED, unfinished.to_bytes())
            raise

    def _condense_with_progress(self, index: int, start: Start) -> CondensedSet:
        outer, inner = start.run.outer_loops, start.run.inner_loops
        snapshots = Snapshots(self.folder, self.job, start, index, self._scoring().score_moment)
        track = self.progress.track(f"condensing set {index + 1}/{self.config.run.sets}", outer * inner, CONDENSE)
        with track as progress:

            def watch(report: StepReport) -> None:
                self.folder.metric(report.row())
                progress(done := report.outer * inner + report.inner + 1, f"{report.phase} loss {report.loss:.4g}")
                snapshots.after(done)
                self.observed.notify("dcc_step_finished", report=report)

            def looks(o: int, i: int) -> bool:
                """Not on a GPU, if nobody asks: its numbers come once an outer loop, and nothing waits for them."""
                waits = self.job.device.type == "cpu" or self.group.size > 1
                return waits or self.observed.listens("dcc_step_finished") or snapshots.due(o * inner + i + 1)

            begin = self.checkpoint.moment if index == self.checkpoint.made else None
            if begin is None or not begin.tensors:
                snapshots.after(0)
            with self.interrupts.hold():
                s = self.job.condense(index, watch, start, looks=looks, keep=self.checkpointer.step, begin=begin)
            return s.with_notes(*self.checkpoint.notes, *s.provenance.notes)

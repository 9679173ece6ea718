"""A run that leaves a folder: condense, save, score as read back, report."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dcc_core.config import Config, as_toml
from dcc_core.display import Display
from dcc_core.errors import DccError
from dcc_core.evaluate import Score
from dcc_core.files import write_atomically
from dcc_core.grid import grid_png
from dcc_core.job import Job
from dcc_core.observe import RunInfo, ScoreReport, StepReport
from dcc_core.registry import Registry
from dcc_core.report import run_report
from dcc_core.setfile import CondensedSet, load_set

log = logging.getLogger("dcc")

UNFINISHED = "unfinished.safetensors"
WRITTEN = (
    "config.toml",
    "report.json",
    "metrics.jsonl",
    "run.log",
    "*set*.safetensors",
    "grid*.png",
    UNFINISHED,
)


def default_folder(config: Config) -> Path:
    """`runs/<readable name>`, numbered where that exists."""
    n = config.names
    words = [n["data"], n["loss"], n["aug"], n["arch"], f"ipc{config.run.ipc}", f"seed{config.run.seed}"]
    name = re.sub(r"[^\w.-]+", "_", "-".join(w for w in words if w != "none"))
    folder, number = Path("runs") / name, 1
    while folder.exists() and any(folder.iterdir()):
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder


def prepare_folder(folder: Path, *, overwrite: bool = False) -> None:
    """Make the folder, and see that it can be written.

    Raises DccError where it cannot, or where it holds something and `overwrite` is not set. Overwriting
    removes only files that a run writes.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = sorted(p.name for p in folder.iterdir())
        if held and not overwrite:
            raise DccError(f"--out '{folder}' is not empty (it holds {held[0]}); name another, or add --overwrite")
        _clear(folder)
    except OSError as error:
        raise DccError(f"--out '{folder}' cannot be written: {error.strerror or error}") from error
    write_atomically(folder / "run.log", b"")


def _clear(folder: Path) -> None:
    """Remove the files that a run writes."""
    for pattern in WRITTEN:
        for old in folder.glob(pattern):
            old.unlink()


def execute(config: Config, registry: Registry, folder: Path, display: Display) -> dict[str, Any]:
    """Condense and score in a prepared folder; returns the report.

    Raises DccError. What fails before the first step leaves the folder empty; later, a run keeps what it has
    written, with the images as they were, and says where.
    """
    with _log_file(folder / "run.log"):
        working = _Run(config, registry, folder, display)
        try:
            with display.logging():
                return working.go()
        except (DccError, KeyboardInterrupt) as error:
            log.error(str(error) or "interrupted")
            if not working.started:
                _clear(folder)
                raise
            kept = f"what was done so far is in '{folder}'"
            if isinstance(error, DccError):
                raise DccError(f"{error}\n  {kept}") from error
            raise KeyboardInterrupt(kept) from error


class _Run:
    def __init__(self, config: Config, registry: Registry, folder: Path, display: Display) -> None:
        self.config = config
        self.registry = registry
        self.folder = folder
        self.display = display
        self.seconds: dict[str, float] = {}
        self.started = False

    def go(self) -> dict[str, Any]:
        config, folder = self.config, self.folder
        write_atomically(folder / "config.toml", as_toml(config.entries).encode())
        with self._clock("load"):
            self.job = Job(config, self.registry)
        self._announce()
        scores: dict[str, list[Score]] = {}
        files = ["config.toml", "run.log", "metrics.jsonl", "report.json"]
        for index in range(config.run.sets):
            suffix = f"-{index}" if index else ""
            path, grid = folder / f"set{suffix}.safetensors", folder / f"grid{suffix}.png"
            with self._clock("condense"):
                condensed = self._condense(index)
            condensed.save(path)
            write_atomically(grid, grid_png(condensed.images, condensed.owners, condensed.class_names))
            condensed = load_set(path)
            with self._clock("score"):
                scored = {"condensed": self._score("condensed", condensed)}
            if config.score.baseline:
                with self._clock("baseline"):
                    scored["random"] = self._score("random", self.job.random_set(condensed))
            condensed.with_scores(scored["condensed"].as_dict()).save(path)
            for subject, score in scored.items():
                scores.setdefault(subject, []).append(score)
            files += [path.name, grid.name]
        report = run_report(
            config,
            method=self.job.method,
            out=str(folder),
            files=files,
            scores=scores,
            seconds=self.seconds,
            device=self.job.device,
            versions=self.job.versions,
        )
        write_atomically(folder / "report.json", json.dumps(report, indent=2).encode())
        return report

    def _announce(self) -> None:
        job, run = self.job, self.job.context()
        log.info(
            f"{job.data.name}: {len(job.data.train.labels)} training images of {job.data.num_classes} classes; "
            f"{job.method}, {self.config.names['arch']}, ipc {run.ipc}; "
            f"{run.outer_loops} outer × {run.inner_loops} inner loops, {run.network_steps} network steps; {job.device}"
        )
        info = RunInfo(
            config=self.config.table(),
            class_names=job.data.class_names,
            sets=self.config.run.sets,
            outer_loops=run.outer_loops,
            inner_loops=run.inner_loops,
            out=str(self.folder),
        )
        self.registry.notify("dcc_run_started", run=info)

    def _condense(self, index: int) -> CondensedSet:
        job = self.job
        run = job.context(index)
        synthetic = job.start(run)
        total = run.outer_loops * run.inner_loops
        try:
            with (
                self.display.track(f"condensing set {index + 1}/{self.config.run.sets}", total) as progress,
                open(self.folder / "metrics.jsonl", "a", encoding="utf-8") as metrics,
            ):

                def watch(report: StepReport) -> None:
                    self.started = True
                    metrics.write(json.dumps(vars(report)) + "\n")
                    done = report.outer * run.inner_loops + report.inner + 1
                    note = f"outer {report.outer + 1}/{run.outer_loops} {report.phase} loss {report.loss:.4g}"
                    progress(done, " ".join(note.split()))
                    self.registry.notify("dcc_step_finished", report=report)

                return job.condense(index, watch, synthetic)
        except OSError as error:
            raise DccError(f"cannot write in '{self.folder}': {error.strerror or error}") from error
        except BaseException:
            with contextlib.suppress(DccError):  # the first error is the one to report
                job.frozen(synthetic, index, finished=False).save(self.folder / UNFINISHED)
            raise

    def _score(self, subject: str, s: CondensedSet) -> Score:
        scorer, nets = self.job.scorer(s), self.config.score.nets
        with self.display.track(f"scoring {subject}", nets) as progress:
            score = scorer.score(self.job.decoded(s), nets, lambda done: progress(done, "networks"))
        log.info(f"set {s.provenance.set}, {subject}: {100 * score.mean:.1f} % ± {100 * score.std:.1f}")
        report = ScoreReport(set=s.provenance.set, subject=subject, score=score)
        with open(self.folder / "metrics.jsonl", "a", encoding="utf-8") as metrics:
            metrics.write(json.dumps({"set": report.set, "subject": subject} | score.as_dict()) + "\n")
        self.registry.notify("dcc_evaluated", report=report)
        return score

    @contextlib.contextmanager
    def _clock(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - start


@contextlib.contextmanager
def _log_file(path: Path) -> Iterator[None]:
    """Write the package's log lines to a file while the context lasts."""
    logger = logging.getLogger("dcc")
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()

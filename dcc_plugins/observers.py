"""Observers: they write a run's steps and scores to more formats than its own `metrics.jsonl`."""

from __future__ import annotations

import csv
import io
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

from annotated_types import Ge

from dcc_core import Observer, RunInfo, ScoreReport, StepReport, hookimpl
from dcc_plugins.extras import check_extra

STEPS = ("set", "outer", "inner", "loss", "phase")
SCORES = ("set", "subject", "architecture", "protocol", "version", "mean", "std", "accuracies")


@final
@dataclass(frozen=True, kw_only=True)
class Csv(Observer):
    """Two tables in the run's folder: `steps.csv`, a row for each step, and `scores.csv`, one for each score.

    Accuracies are in 0..1; those of the single networks are separated by spaces.
    """

    every: Annotated[int, "one row for so many steps of a set", Ge(1)] = 1

    def listen(self, run: RunInfo) -> _CsvFiles:
        files = _CsvFiles(Path(run.out or "."), self.every, run.inner_loops)
        files.begin(run.resumes_at)
        return files


class _CsvFiles:
    """Opens its files for every row, so that what was told is there whatever comes."""

    def __init__(self, folder: Path, every: int, inner_loops: int) -> None:
        self._steps, self._scores = folder / "steps.csv", folder / "scores.csv"
        self._every, self._inner_loops = every, inner_loops

    def begin(self, resumes_at: tuple[int, int, int] | None) -> None:
        """Write the headers; tables of an interrupted run continue."""
        head_steps(self._steps, STEPS, resumes_at)
        if not (resumes_at and self._scores.exists()):
            _replace(self._scores, _line(SCORES))

    @hookimpl
    def dcc_step_finished(self, report: StepReport) -> None:
        if (report.outer * self._inner_loops + report.inner) % self._every == 0:
            append_row(self._steps, list(report.row().values()))

    @hookimpl
    def dcc_evaluated(self, report: ScoreReport) -> None:
        s = report.score
        own = [report.set, report.subject, s.architecture, s.protocol, s.version, s.mean, s.std]
        row = [*own, " ".join(map(str, s.accuracies))]
        if _line(row) not in self._scores.read_text(encoding="utf-8"):  # a resumed run reports it again
            append_row(self._scores, row)


@final
@dataclass(frozen=True, kw_only=True)
class TensorBoard(Observer):
    """Scalars below `tensorboard/` in the run's folder: `tensorboard --logdir runs` shows them.

    `loss/set N` by step, `accuracy/SUBJECT/NETWORK` by set, in 0..1. Needs the package tensorboard.
    """

    every: Annotated[int, "one value for so many steps of a set", Ge(1)] = 1

    def __post_init__(self) -> None:
        check_extra("tensorboard", "tensorboard")

    def listen(self, run: RunInfo) -> _TensorBoardFiles:
        from torch.utils.tensorboard import SummaryWriter

        folder = Path(run.out or ".") / "tensorboard"
        if not run.resumes_at:
            shutil.rmtree(folder, ignore_errors=True)  # an earlier run's values would be drawn into this one's
        return _TensorBoardFiles(SummaryWriter(str(folder)), self.every, run.inner_loops)


class _TensorBoardFiles:
    def __init__(self, writer: Any, every: int, inner_loops: int) -> None:
        self._writer, self._every, self._inner_loops = writer, every, inner_loops

    @hookimpl
    def dcc_step_finished(self, report: StepReport) -> None:
        step = report.outer * self._inner_loops + report.inner
        if step % self._every == 0:
            self._writer.add_scalar(f"loss/set {report.set}", report.loss, step)

    @hookimpl
    def dcc_evaluated(self, report: ScoreReport) -> None:
        name = f"accuracy/{report.subject}/{report.score.architecture}"
        self._writer.add_scalar(name, report.score.mean, report.set)

    @hookimpl
    def dcc_run_finished(self, report: Mapping[str, Any] | None) -> None:
        self._writer.close()


def _place(row: list[str]) -> tuple[float, ...]:
    """Set, outer and inner loop of a step's row; beyond all for one that is none, such as the head."""
    try:
        return tuple(int(row[STEPS.index(name)]) for name in ("set", "outer", "inner"))
    except ValueError:
        return (math.inf,)


def head_steps(file: Path, heads: Sequence[str], resumes_at: tuple[int, int, int] | None) -> None:
    """Begin a table of steps, and keep of an interrupted run's the rows of steps that will not be taken again."""
    steps = []
    if resumes_at and file.exists():
        rows = csv.reader(file.read_text(encoding="utf-8").splitlines())
        steps = [row for row in rows if len(row) == len(heads) and _place(row) < resumes_at]
    _replace(file, "".join(map(_line, [heads, *steps])))


def _replace(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(file)


def append_row(file: Path, values: list[Any]) -> None:
    """Add a row to a table, which is closed again at once."""
    with file.open("a", encoding="utf-8") as opened:
        opened.write(_line(values))


def _line(values: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()

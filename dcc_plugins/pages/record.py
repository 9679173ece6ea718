"""Read a run folder: a finished run from its report, an unfinished one from its checkpoint, both from other files."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypeVar

from annotated_types import Ge, MinLen
from pydantic import FiniteFloat, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from dcc_core.errors import DccError
from dcc_core.plugins import Registry
from dcc_core.runs import (
    CHECKPOINT,
    METRICS,
    REPORT,
    UNFINISHED,
    Checkpoint,
    Pictures,
    by_architecture,
    is_alive,
    load_checkpoint,
    make_pictures,
)
from dcc_core.sets import load_set
from dcc_plugins.pages.snapshots import read_snapshots

Index = Annotated[int, Ge(0)]
Row = TypeVar("Row")


@validated(frozen=True)
class Entry:
    """An option's value and its origin."""

    value: Any
    origin: str


@validated(frozen=True)
class StepRow:
    """A line of `metrics.jsonl`: the fields of `StepReport`."""

    set: Index
    outer: Index
    inner: Index
    loss: float
    phase: str


@validated(frozen=True)
class MomentRow:
    """A line of `metrics.jsonl`: the score of a set that is being learned."""

    step: Index
    mean: float
    accuracies: Annotated[tuple[float, ...], MinLen(1)]
    architecture: str
    protocol: str


@validated(frozen=True)
class Summary:
    """The parts of a score summary on the page; see `summary` and `robustness_summary`. Accuracies in 0..1."""

    mean: float
    std: float | None = None
    std_over_sets: float | None = None
    std_over_networks: float | None = None
    ci95: tuple[float, float] | None = None
    networks: int | None = None
    protocol: str = ""
    images_seen: int = 0


@validated(frozen=True)
class RunReport:
    """The parts of a report on the page; see `report_of`. An unfinished run has only some of them.

    selecting: whether it is a coreset selection; only set for an unfinished run.
    """

    method: str
    config: dict[str, Entry]
    versions: dict[str, str]
    seconds: dict[str, FiniteFloat]
    by_architecture: dict[str, dict[str, Summary | float]] = field(default_factory=dict)
    device: str = ""
    threads: int = 0
    peak_memory_bytes: int | None = None
    selecting: bool = False


@dataclass(frozen=True)
class RunRecord:
    """The content of a run folder. finished: it has a report; running: a process is running in it."""

    path: Path
    report: RunReport
    finished: bool
    running: bool
    registry: Registry

    @property
    def state(self) -> str:
        """finished, running or interrupted."""
        return "finished" if self.finished else "running" if self.running else "interrupted"

    @property
    def networks(self) -> tuple[str, ...]:
        """The architectures that it has been scored on."""
        return tuple(self.report.by_architecture)

    def summary(self, network: str, subject: str) -> Summary | None:
        """The score summary of a subject on a network; None if there is none."""
        found = self.report.by_architecture.get(network, {}).get(subject)
        return found if isinstance(found, Summary) else None

    def number(self, key: str) -> int:
        """An option's value if it is an integer, else 0."""
        value = self.value(key)
        return value if isinstance(value, int) else 0

    def value(self, key: str) -> Any:
        """An option's value; None if the run has no such option."""
        return self.report.config[key].value if key in self.report.config else None

    @cached_property
    def steps(self) -> list[StepRow]:
        """The first set's inner steps, in order; the last line of a repeated step."""
        rows = {(row.outer, row.inner): row for row in self._rows(StepRow, "loss")}
        return [rows[place] for place in sorted(rows)]

    @cached_property
    def curve(self) -> list[MomentRow]:
        """The first set's accuracy during the run, in order; empty unless the run recorded it."""
        rows = {row.step: row for row in self._rows(MomentRow, "step")}
        return [rows[step] for step in sorted(rows)]

    @property
    def inner_loops(self) -> int:
        """Inner steps per outer loop."""
        return max([1, *(row.inner + 1 for row in self.steps), self.number("run.inner_loops")])

    @property
    def total(self) -> int:
        """Inner steps per set; 0 if nothing is learned."""
        learns = not self.report.selecting and (self.steps or not self.finished)
        return self.number("run.outer_loops") * self.inner_loops if learns else 0

    @property
    def done(self) -> int:
        """Finished inner steps of the first set."""
        return self.place(self.steps[-1]) if self.steps else 0

    def place(self, row: StepRow) -> int:
        """The number of finished steps, this one included."""
        return row.outer * self.inner_loops + row.inner + 1

    @cached_property
    def pictures(self) -> list[Pictures]:
        """The first set's images at every recorded moment, in order; empty if the run has no images."""
        found = {p.step: p for p in read_snapshots(self.path)}
        for name, step in (("set.safetensors", self.total), (UNFINISHED, self.done)):
            if (self.path / name).is_file():
                s = load_set(self.path / name)
                if s.provenance.set == 0:
                    last = max([step, *found])
                    try:
                        found[last] = make_pictures(s, self.registry, last)
                    except DccError:  # its parametrisation is not installed, but snapshots show it
                        if not found:
                            raise
                    break
        return [found[step] for step in sorted(found)]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names of the images."""
        return self.pictures[-1].class_names if self.pictures else ()

    def _rows(self, kind: type[Row], mark: str) -> Iterator[Row]:
        """The first set's metrics lines that have the field `mark`; skips invalid and half-written lines."""
        adapter = TypeAdapter(kind)
        try:
            lines = (self.path / METRICS).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise DccError(f"'{self.path / METRICS}' cannot be read: {error}") from error
        for line in lines:
            with contextlib.suppress(ValueError):
                fields = json.loads(line)
                if isinstance(fields, dict) and fields.get("set") == 0 and mark in fields:
                    yield adapter.validate_python(fields)


def read_run(path: Path, registry: Registry) -> RunRecord:
    """Read a run folder. Raises DccError if it is no run folder or is damaged."""
    running = is_alive(path)
    if (path / REPORT).is_file():
        return RunRecord(path, _validate_report(_read_json(path / REPORT), path / REPORT), True, running, registry)
    if (path / CHECKPOINT).is_file():
        return RunRecord(path, _from_checkpoint(load_checkpoint(path / CHECKPOINT), path), False, running, registry)
    what = "not a folder" if not path.is_dir() else "not a run folder: it has neither report.json nor a checkpoint"
    raise DccError(f"'{path}' is {what}; name a folder written by dcc-run or dcc select, e.g. {_example(path)}")


def _example(path: Path) -> str:
    """A nearby run folder, for a hint."""
    parents = [path, path.parent, Path("runs")]
    nearby = [report.parent for p in parents if p.is_dir() for report in sorted(p.glob(f"*/{REPORT}"))]
    return f"'{nearby[0]}'" if nearby else "runs/mine"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DccError(f"report '{path}' cannot be read: {error}") from error


def _validate_report(fields: Any, path: Path) -> RunReport:
    try:
        return TypeAdapter(RunReport).validate_python(fields)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']}" for e in error.errors()[:3])
        raise DccError(f"report '{path}' is damaged: {wrong}") from error


def _from_checkpoint(found: Checkpoint, path: Path) -> RunReport:
    values = found.values
    names = [values.get("selection")] if found.selecting else [values.get("loss"), values.get("aug")]
    scores: dict[str, list] = {}
    for entry in found.scores:
        if entry.name in ("condensed", "random"):
            scores.setdefault(entry.name, []).append(entry.score)
    networks = list(dict.fromkeys(s.architecture for s in scores.get("condensed", ())))
    fields = {
        "method": "+".join(str(name) for name in names if name not in (None, "none")),
        "config": found.config,
        "versions": found.versions,
        "seconds": found.seconds,
        "by_architecture": by_architecture(networks, scores),
        "threads": found.threads,
        "selecting": found.selecting,
    }
    return _validate_report(fields, path)

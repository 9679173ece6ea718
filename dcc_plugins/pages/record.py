"""What a run's folder tells of it: a finished run by its report, another one by its checkpoint, both by their files."""

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
from pydantic.dataclasses import dataclass as checked

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
    read_snapshots,
)
from dcc_core.sets import load_set

Index = Annotated[int, Ge(0)]
Row = TypeVar("Row")


@checked(frozen=True)
class Entry:
    """An option's value and where it came from."""

    value: Any
    origin: str


@checked(frozen=True)
class StepRow:
    """A line of `metrics.jsonl`: the fields of `StepReport`."""

    set: Index
    outer: Index
    inner: Index
    loss: float
    phase: str


@checked(frozen=True)
class MomentRow:
    """A line of `metrics.jsonl`: the score of a set that is still learned."""

    step: Index
    mean: float
    accuracies: Annotated[tuple[float, ...], MinLen(1)]
    architecture: str
    protocol: str


@checked(frozen=True)
class Summary:
    """What scores come to, as far as a reader needs it; see `summary` and `robustness_summary`. Accuracies in 0..1."""

    mean: float
    std: float | None = None
    std_over_sets: float | None = None
    std_over_networks: float | None = None
    ci95: tuple[float, float] | None = None
    networks: int | None = None
    protocol: str = ""
    images_seen: int = 0


@checked(frozen=True)
class Told:
    """What a report says, as far as a reader needs it; see `report_of`. An unfinished run has said some of it.

    selecting: known of an unfinished run alone.
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
    """A run's folder, read. finished: it has its report; running: a process is at work in it."""

    path: Path
    told: Told
    finished: bool
    running: bool
    registry: Registry

    @property
    def state(self) -> str:
        """In a word."""
        return "finished" if self.finished else "running" if self.running else "interrupted"

    @property
    def networks(self) -> tuple[str, ...]:
        """Those that it has been scored on."""
        return tuple(self.told.by_architecture)

    def summary(self, network: str, subject: str) -> Summary | None:
        """What the scores of a subject on a network came to; None where there are none."""
        found = self.told.by_architecture.get(network, {}).get(subject)
        return found if isinstance(found, Summary) else None

    def number(self, key: str) -> int:
        """An option's value where it is a whole number, else 0."""
        value = self.value(key)
        return value if isinstance(value, int) else 0

    def value(self, key: str) -> Any:
        """An option's value; None where the run has no such option."""
        return self.told.config[key].value if key in self.told.config else None

    @cached_property
    def steps(self) -> list[StepRow]:
        """The first set's inner steps, in order; of one that was taken again, the last."""
        rows = {(row.outer, row.inner): row for row in self._rows(StepRow, "loss")}
        return [rows[place] for place in sorted(rows)]

    @cached_property
    def curve(self) -> list[MomentRow]:
        """The first set's accuracy on the way, in order, where the run was asked for it."""
        rows = {row.step: row for row in self._rows(MomentRow, "step")}
        return [rows[step] for step in sorted(rows)]

    @property
    def inner_loops(self) -> int:
        """Inner steps of an outer loop."""
        return max([1, *(row.inner + 1 for row in self.steps), self.number("run.inner_loops")])

    @property
    def total(self) -> int:
        """Inner steps of a set; 0 where nothing is learned."""
        learns = not self.told.selecting and (self.steps or not self.finished)
        return self.number("run.outer_loops") * self.inner_loops if learns else 0

    @property
    def done(self) -> int:
        """Inner steps that the first set has had."""
        return self.place(self.steps[-1]) if self.steps else 0

    def place(self, row: StepRow) -> int:
        """How many steps have been taken after this one."""
        return row.outer * self.inner_loops + row.inner + 1

    @cached_property
    def pictures(self) -> list[Pictures]:
        """The first set's images at every moment there is, the last one last; none where a run has no images."""
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
        """Those of its images."""
        return self.pictures[-1].class_names if self.pictures else ()

    def _rows(self, kind: type[Row], mark: str) -> Iterator[Row]:
        """The first set's lines of a kind in the metrics, known by one field; the last line may be half written."""
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
    """Read a run's folder. Raises DccError where there is no run, or it is damaged."""
    running = is_alive(path)
    if (path / REPORT).is_file():
        return RunRecord(path, _told(_json(path / REPORT), path / REPORT), True, running, registry)
    if (path / CHECKPOINT).is_file():
        return RunRecord(path, _of_checkpoint(load_checkpoint(path / CHECKPOINT), path), False, running, registry)
    what = "no folder" if not path.is_dir() else "not a run's folder: it has neither report.json nor a checkpoint"
    raise DccError(f"'{path}' is {what}; name what dcc-run or dcc select has written, e.g. {_example(path)}")


def _example(path: Path) -> str:
    """A run's folder nearby, for a hint."""
    parents = [path, path.parent, Path("runs")]
    nearby = [report.parent for p in parents if p.is_dir() for report in sorted(p.glob(f"*/{REPORT}"))]
    return f"'{nearby[0]}'" if nearby else "runs/mine"


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DccError(f"report '{path}' cannot be read: {error}") from error


def _told(fields: Any, path: Path) -> Told:
    try:
        return TypeAdapter(Told).validate_python(fields)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']}" for e in error.errors()[:3])
        raise DccError(f"report '{path}' is damaged: {wrong}") from error


def _of_checkpoint(found: Checkpoint, path: Path) -> Told:
    values = found.values
    names = [values.get("selection")] if found.selecting else [values.get("loss"), values.get("aug")]
    scores: dict[str, list] = {}
    for kept in found.scores:
        if kept.name in ("condensed", "random"):
            scores.setdefault(kept.name, []).append(kept.score)
    networks = list(dict.fromkeys(s.architecture for s in scores.get("condensed", ())))
    told = {
        "method": "+".join(str(name) for name in names if name not in (None, "none")),
        "config": found.config,
        "versions": found.versions,
        "seconds": found.seconds,
        "by_architecture": by_architecture(networks, scores),
        "threads": found.threads,
        "selecting": found.selecting,
    }
    return _told(told, path)

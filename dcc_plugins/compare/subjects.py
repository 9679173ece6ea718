"""What is compared: a run folder, finished or not, or a set file, with its options, scores and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dcc_core.errors import DccError
from dcc_core.plugins import Registry, Score
from dcc_core.sets import load_set
from dcc_plugins.pages.record import RunRecord, ScoreRow, read_run


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Something that is compared.

    config: options by dotted key. scores: by network, one for each set, in order. seconds: of condensing one set; None
    if unknown. curve: seconds from the start and accuracies (0..1) of networks, while the first set was learned.
    machine: what it ran on; empty if unknown. finished: whether there is nothing to come.
    """

    name: str
    path: Path
    method: str
    config: Mapping[str, Any]
    scores: Mapping[str, tuple[Score, ...]]
    seconds: float | None = None
    curve: tuple[tuple[float, tuple[float, ...]], ...] = ()
    machine: str = ""
    finished: bool = True

    @property
    def ipc(self) -> int | None:
        """Images per class."""
        value = self.config.get("run.ipc")
        return value if isinstance(value, int) else None


def read_subjects(paths: Sequence[Path], registry: Registry) -> list[Subject]:
    """Read run folders and set files; each has a name of its own. Raises DccError if none of them has a score."""
    found = [_of_file(p) if p.is_file() else _of_run(read_run(p, registry)) for p in dict.fromkeys(paths)]
    if not any(s.scores for s in found):
        raise DccError("none of these has a score; dcc-run and dcc select score what they make, dcc eval a file")
    names = [s.name for s in found]
    return [s if names.count(s.name) == 1 else replace(s, name=str(s.path)) for s in found]


def _of_run(run: RunRecord) -> Subject:
    """A run's subject. A moment's time is that of its share of the image updates."""
    report = run.report
    sets, condensing = max(1, run.number("run.sets")), report.seconds.get("condense", report.seconds.get("select"))
    seconds = None if condensing is None or not run.finished else condensing / sets
    timed = run.curve if seconds is not None and run.total else []
    about = [report.device, f"{report.threads} threads" if report.threads else "", report.versions.get("torch", "")]
    return Subject(
        name=run.path.resolve().name,
        path=run.path,
        method=report.method,
        config={key: entry.value for key, entry in report.config.items()},
        scores=_by_network(report.scores.get("condensed", ())),
        seconds=seconds,
        curve=tuple((row.step / run.total * (seconds or 0.0), row.accuracies) for row in timed),
        machine=", ".join(filter(None, about)),
        finished=run.finished,
    )


def _of_file(path: Path) -> Subject:
    about = load_set(path).provenance
    rows = [ScoreRow(**{f: row[f] for f in ScoreRow.__dataclass_fields__ if f in row}) for row in about.scores]
    return Subject(
        name=f"{path.resolve().parent.name}/{path.name}",
        path=path,
        method=about.method,
        config={"data": about.data, "run.seed": about.seed} | dict(about.config),
        scores=_by_network(rows),
        finished=about.finished,
    )


def _by_network(rows: Sequence[ScoreRow]) -> dict[str, tuple[Score, ...]]:
    found: dict[str, list[Score]] = {}
    for row in rows:
        found.setdefault(row.architecture, []).append(Score(**vars(row), seconds=0.0))
    return {network: tuple(scores) for network, scores in found.items()}

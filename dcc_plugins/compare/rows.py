"""The numbers of a comparison: means with their spread, differences in pairs, and what forbids a comparison."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dcc_core.plugins import Score
from dcc_core.runs import by_architecture, confidence
from dcc_plugins.compare.subjects import Subject

PLACES = ("run.data_root", "run.log", "run.checkpoint", "run.download", "run.device")
"""Options that say where and how a run works; they make no difference to what it finds."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A mean difference of accuracies (0..1) to the first subject, in pairs; over: sets or networks."""

    mean: float
    ci95: list[float] | None
    over: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """A subject on a network. summary: as in a report; None if it has no score there.

    differs: what the score has not in common with the first subject's. difference: to the first subject, where the two
    share seeds; unpaired: why there is none.
    """

    subject: Subject
    network: str
    protocol: str
    summary: dict[str, Any] | None
    differs: tuple[str, ...]
    difference: Difference | None = None
    unpaired: str = ""


def make_rows(subjects: Sequence[Subject]) -> list[Row]:
    """One for every network and subject, in order."""
    networks = dict.fromkeys(network for s in subjects for network in s.scores)
    return [_make_row(subjects, s, network) for network in networks for s in subjects]


def _make_row(subjects: Sequence[Subject], own: Subject, network: str) -> Row:
    scores = own.scores.get(network, ())
    if not scores:
        return Row(subject=own, network=network, protocol="", summary=None, differs=(f"not scored on {network}",))
    summary = by_architecture([network], {"condensed": list(scores)})[network]["condensed"]
    first = next(s for s in subjects if network in s.scores)
    differs = () if own is first else tuple(_differences(first, own, network))
    found = {"subject": own, "network": network, "protocol": _protocol(scores[0]), "summary": summary}
    if own is first:
        return Row(**found, differs=differs)
    paired = _pair(first, own, network, differs)
    how = {"unpaired": paired} if isinstance(paired, str) else {"difference": paired}
    return Row(**found, differs=differs, **how)


def _protocol(score: Score) -> str:
    return f"{score.protocol} {score.version}"


def _differences(first: Subject, own: Subject, network: str) -> Iterator[str]:
    """What makes the scores of two subjects on a network different things."""
    theirs, ours = _protocol(first.scores[network][0]), _protocol(own.scores[network][0])
    if theirs != ours:
        yield f"protocol {ours}, not {theirs}"
    for key in ("data", "score.part"):
        if (here := own.config.get(key)) != (there := first.config.get(key)) and None not in (here, there):
            yield f"{key} {here}, not {there}"
    if network == own.config.get("arch") == first.config.get("arch"):  # the runs' own network, with its options
        for key in (k for k in own.config if k.startswith("arch.") and own.config[k] != first.config.get(k)):
            yield f"{key} {own.config[key]}, not {first.config.get(key)}"
    if not own.finished:
        yield "unfinished"


def _pair(first: Subject, own: Subject, network: str, differs: tuple[str, ...]) -> Difference | str:
    """The difference over sets that share their seeds, or over networks of a single set; or why there is none."""
    if differs:
        return "not the same score"
    if first.config.get("run.seed") is None or first.config["run.seed"] != own.config.get("run.seed"):
        return "seeds differ"
    pairs = list(zip(own.scores[network], first.scores[network], strict=False))
    if len(pairs) > 1:
        values, over = [a.mean - b.mean for a, b in pairs], "sets"
    else:
        values = [a - b for a, b in zip(pairs[0][0].accuracies, pairs[0][1].accuracies, strict=False)]
        over = "networks"
    return Difference(mean=statistics.fmean(values), ci95=confidence(values), over=f"{len(values)} {over}")


def differing_options(subjects: Sequence[Subject]) -> dict[str, list[Any]]:
    """The options that differ, each with the value of every subject; None where a subject has no such option."""
    keys = dict.fromkeys(key for s in subjects for key in s.config if key not in PLACES)
    values = {key: [s.config.get(key) for s in subjects] for key in keys}
    return {key: own for key, own in values.items() if any(value != own[0] for value in own)}


def warnings_of(subjects: Sequence[Subject], rows: Sequence[Row]) -> list[str]:
    """What to know before the numbers are put side by side."""
    notes = [f"{row.subject.name}, {row.network}: {'; '.join(row.differs)}" for row in rows if row.differs]
    told = [f"not the same measurement as {subjects[0].name}: {note}" for note in notes]
    machines = dict.fromkeys(s.machine for s in subjects if s.machine)
    if len(machines) > 1:
        told.append(f"times are of different machines: {'; '.join(machines)}")
    if missing := [s.name for s in subjects if s.seconds is None]:
        told.append(f"no time of condensing is known for {', '.join(missing)}")
    return told

"""Judge a set by the label- and the augmentation-robust score: by DD-Ranking's evaluators, or by ours."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

from rich.table import Table

from dcc_core.errors import as_dcc_error
from dcc_core.jobs import Config, Job
from dcc_core.plugins import Registry
from dcc_core.runs import Progress
from dcc_core.scoring import COMPOSITES
from dcc_core.sets import CondensedSet
from dcc_plugins.commands import dd_ranking
from dcc_plugins.commands.evaluation import evaluate_set
from dcc_plugins.terminal import NONE, percent


def judge_set(
    s: CondensedSet, config: Config, registry: Registry, display: Progress, evaluations: int | None = None
) -> dict[str, Any]:
    """Both scores of a set, in 0..1. evaluations: of DD-Ranking, how often it trains everything; none: its default."""
    with display.logging():
        try:
            job = Job(config, registry, progress=display.shows, matching=False)
            reason = dd_ranking.explain_absence(job, s)
            if reason:
                found = {name: _own_score(s, config, registry, display, name) for name in COMPOSITES}
                return {"judge": "dcc", "reason": reason, "scores": found}
            times = {} if evaluations is None else {"evaluations": evaluations}
            found = {}
            for name in COMPOSITES:
                with display.track(f"{COMPOSITES[name].title} by DD-Ranking", 1) as progress:
                    found[name] = _summary(dd_ranking.evaluate(job, s, name, **times))
                    progress(1, "")
            judge = f"{dd_ranking.DISTRIBUTION} {dd_ranking.VERSION}, {dd_ranking.NETWORK}"
            return {"judge": judge, "reason": "", "scores": found}
        except Exception as error:
            raise as_dcc_error(error) from error


def _own_score(s: CondensedSet, config: Config, registry: Registry, display: Progress, name: str) -> dict[str, Any]:
    scored = replace(config, score=replace(config.score, protocol=name, baseline=True))
    report = evaluate_set(s, scored, registry, display)
    return _summary(report["accuracy"][name]["values"]) | {"version": COMPOSITES[name].version}


def _summary(values: list[float]) -> dict[str, Any]:
    spread = statistics.pstdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "std": spread, "values": values}


def judgement_table(found: dict[str, Any]) -> Table:
    """The scores for a terminal, times 100, and whose they are."""
    whose = "this toolkit's own protocols lrs and ars" if found["reason"] else found["judge"]
    table = Table(title=f"robustness scores, × 100, by {whose}", title_justify="left")
    for head in ("score", "mean", "std"):
        table.add_column(head, justify="left" if head == "score" else "right")
    for name, row in found["scores"].items():
        spread = NONE if row["std"] is None else percent(row["std"])
        table.add_row(f"{COMPOSITES[name].title} ({name})", percent(row["mean"]), spread)
    return table

"""Score a set without a run folder."""

from __future__ import annotations

from typing import Any

from dcc_core.cli import Display
from dcc_core.errors import as_dcc_error
from dcc_core.group import ALONE, Group
from dcc_core.jobs import Config, Job
from dcc_core.plugins import Registry
from dcc_core.runs import Scoring, Stopwatch, make_report
from dcc_core.sets import CondensedSet


def evaluate_set(
    s: CondensedSet, config: Config, registry: Registry, display: Display, group: Group = ALONE
) -> dict[str, Any]:
    """Score a set without writing files; returns the report. Raises DccError if it does not fit the data."""
    with display.logging():
        clock = Stopwatch()
        try:
            with clock("load"):
                job = Job(config, registry, progress=display.shows, matching=False, group=group)
            scores = Scoring(job, registry if group.first else Registry(), display, lambda row: None, clock).score_set(
                s
            )
            return make_report(job, s.provenance.method, scores, clock.so_far())
        except Exception as error:
            raise as_dcc_error(error) from error

"""The report of a run or an evaluation: options, and summaries of scores, with spreads, intervals and cost."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from scipy.special import stdtrit

from dcc_core.compute import peak_memory
from dcc_core.jobs import Job, entries_of
from dcc_core.plugins import Score

FORMAT = 1


def make_report(
    job: Job, method: str, scores: Mapping[str, Sequence[Score]], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """The content of `report.json`, except what only a run has.

    method: in a word, as set files have it. scores: by subject, `condensed` and `random`. In the report,
    `by_architecture` holds for every network what `accuracy` holds for the first. Under a composite protocol,
    `condensed` is the set with its own labels (`lrs`) or under augmentation (`ars`), `random` its counterpart, and
    the composite score is beside them under the protocol's name.
    """
    rows = by_architecture(job.config.networks, scores)
    return {
        "format": FORMAT,
        "method": method,
        "accuracy": next(iter(rows.values())),
        "by_architecture": rows,
        "scores": {subject: [s.as_dict() for s in many] for subject, many in scores.items()},
        "seconds": {phase: round(s, 3) for phase, s in seconds.items()},
        "device": str(job.device),
        "threads": torch.get_num_threads(),
        "peak_memory_bytes": peak_memory(job.device),
        "versions": job.versions,
        "config": entries_of(job.config),
    }


def by_architecture(networks: Iterable[str], scores: Mapping[str, Sequence[Score]]) -> dict[str, dict[str, Any]]:
    """For every network, the summaries by subject, `condensed` and perhaps `random`; with both, the `gain`."""
    rows: dict[str, dict[str, Any]] = {}
    for label in networks:
        own = {subject: [s for s in many if s.architecture == label] for subject, many in scores.items()}
        row: dict[str, Any] = {subject: summary(many) for subject, many in own.items() if many}
        if "random" in row:
            row["gain"] = row["condensed"]["mean"] - row["random"]["mean"]
        rows[label] = row | robustness_summary(own["condensed"])
    return rows


def summary(scores: Sequence[Score]) -> dict[str, Any]:
    """The summary of scores of several sets on one architecture.

    Accuracies in 0..1, spread over all, over sets, and over networks; a single set has no spread over sets (none).
    `ci95`, see `confidence`, is of the mean: over sets if there are several, else over networks. Cost: seconds, and
    training images that networks were shown (`images_seen`), of all sets together.
    """
    every = [a for s in scores for a in s.accuracies]
    means = [s.mean for s in scores]
    return {
        "mean": statistics.fmean(every),
        "std": statistics.pstdev(every),
        "std_over_sets": statistics.pstdev(means) if len(scores) > 1 else None,
        "std_over_networks": statistics.fmean([s.std for s in scores]),
        "ci95": confidence(means if len(scores) > 1 else every),
        "ci95_over": "sets" if len(scores) > 1 else "networks",
        "sets": len(scores),
        "networks": len(scores[0].accuracies),
        "protocol": scores[0].protocol,
        "version": scores[0].version,
        "architecture": scores[0].architecture,
        "seconds": round(sum(s.seconds for s in scores), 3),
        "images_seen": sum(s.images_seen for s in scores),
    }


def confidence(values: Sequence[float]) -> list[float] | None:
    """The 95 % confidence interval of the mean, [low, high], by Student's t; none for a single value. Not clipped."""
    if len(values) < 2:
        return None
    mean = statistics.fmean(values)
    half = float(stdtrit(len(values) - 1, 0.975)) * statistics.stdev(values) / math.sqrt(len(values))
    return [mean - half, mean + half]


def robustness_summary(scores: Sequence[Score]) -> dict[str, dict[str, Any]]:
    """The composite scores of several sets on one architecture, by the protocol's name.

    `mean` of the scores (0..1) with its spread and interval over sets; `parts`: for every measurement its `summary`,
    or its accuracy if that was given. Cost: of all parts, each counted once.
    """
    found = [s.robustness for s in scores if s.robustness]
    if not found:
        return {}
    values = [r.value for r in found]
    parts = {name: _remove_repeats([r.scores[name] for r in found if name in r.scores]) for name in found[0].accuracies}
    trained = _remove_repeats([s for part in parts.values() for s in part])
    return {
        found[0].protocol: {
            "version": found[0].version,
            "mean": statistics.fmean(values),
            "std_over_sets": statistics.pstdev(values) if len(values) > 1 else None,
            "ci95": confidence(values),
            "ci95_over": "sets",
            "values": values,
            "parts": {
                name: summary(part) if part else {"mean": found[0].accuracies[name], "given": True}
                for name, part in parts.items()
            },
            "seconds": round(sum(s.seconds for s in trained), 3),
            "images_seen": sum(s.images_seen for s in trained),
        }
    }


def _remove_repeats(scores: Sequence[Score]) -> list[Score]:
    """Drop repeats: sets share the scores of all real images, and a set's labels may already be hard."""
    return list({id(s): s for s in scores}.values())

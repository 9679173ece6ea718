"""The accuracy to expect of a run: that of a measured one with the same options."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

log = logging.getLogger("dcc")

SLACK = 0.8
"""A run with this share of a measured one's time is still compared with it."""


def tell_expected_accuracy(options: Mapping[str, Any], forecast: Mapping[str, Any]) -> None:
    """Log what a run with the same options reached in about the same time, if there is one.

    options: of the run, by dotted key. forecast: as `dcc-run --dry-run --json` prints it.
    """
    seconds = forecast["seconds"]  # the probe prepares what a loss needs, once
    minutes = (float(seconds.get("probe", 0)) + float(seconds.get("condense", 0))) / 60
    alike = [row for row in measured_runs() if all(options.get(key) == v for key, v in row["options"].items())]
    near = [row for row in alike if SLACK * row["minutes"] <= minutes]
    if near:
        row = max(near, key=lambda row: row["minutes"])
        accuracies = ", ".join(f"{100 * accuracy:.1f}" for accuracy in row["accuracies"])
        log.info(
            f"such a run reached {accuracies} % in {row['minutes']:g} min of condensing: one number a set, "
            f"{row['network']}, protocol {row['protocol']}, {row['part']} images (benchmarks/results/frontier.md)"
        )


@functools.cache
def measured_runs() -> Sequence[dict[str, Any]]:
    """Rows that `benchmarks/frontier.py expect` writes: options by dotted key, minutes, accuracies in 0..1."""
    text = resources.files("dcc_plugins.recipes").joinpath("expected.json").read_text(encoding="utf-8")
    return json.loads(text)

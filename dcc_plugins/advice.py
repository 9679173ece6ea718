"""Which way suits large images: matching, or composing with a teacher. With the cost of both."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import torch

from dcc_core import Randomness, RunContext
from dcc_plugins.selections.composed import Composed
from dcc_plugins.selections.soft import Soft

log = logging.getLogger("dcc")

TRIED = 16
"""Images that a pass is timed on."""
PASSES = 3
"""Passes forwards that a step of training takes as long as."""


def decoupled_seconds(run: RunContext) -> float:
    """Seconds, about, of `dcc select --recipe rded` up to its score: teacher, crops, labels.

    From the time of a few training steps of the run's network; the teacher is one like it.
    """
    soft, composed = Soft(), Composed()
    some = torch.arange(min(TRIED, len(run.real)))
    network = run.build(Randomness(0).generator("advice"))
    start = time.perf_counter()
    logits = network(run.real.batch(some).images)
    run.criterion(logits, run.real.labels[some.to(run.device)]).mean().backward()
    step = (time.perf_counter() - start) / len(some)
    crops = sum(min(composed.candidates, len(own)) * composed.crops for own in run.real.by_class)
    labelled = soft.epochs * run.ipc * run.num_classes
    return step * (soft.teacher_epochs * len(run.real) + (crops + labelled) / PASSES)


def advise(run: RunContext, forecast: Mapping[str, Any]) -> None:
    """Log which of the two ways is cheaper, if composing is."""
    matching, composing = float(forecast["seconds"].get("condense", 0)), decoupled_seconds(run)
    sides = "×".join(map(str, run.data.shape[1:]))
    if composing < matching:
        log.info(
            f"images of {sides}: matching is forecast at {_words(matching)}, composing images with a teacher and soft "
            f"labels at {_words(composing)}: dcc select --recipe rded (docs/photographs.md)"
        )


def _words(seconds: float) -> str:
    hours, minutes = seconds / 3600, seconds / 60
    return f"{hours:.0f} h" if hours >= 10 else f"{hours:.1f} h" if hours >= 1 else f"{max(minutes, 0.1):.1f} min"

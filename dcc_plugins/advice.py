"""Which way suits large images: matching, or composing with a teacher. With the cost of both."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from dcc_core import RunContext
from dcc_plugins.selections.soft import Soft

log = logging.getLogger("dcc")


def advise(run: RunContext, forecast: Mapping[str, Any]) -> None:
    """Log which of the two ways is cheaper, if composing is."""
    matching, (composing, _) = float(forecast["seconds"].get("condense", 0)), Soft().forecast(run.ipc, run)
    sides = "×".join(map(str, run.data.shape[1:]))
    if composing < matching:
        log.info(
            f"images of {sides}: matching is forecast at {_words(matching)}, composing images with a teacher and soft "
            f"labels at {_words(composing)}: dcc select --recipe rded (docs/photographs.md)"
        )


def _words(seconds: float) -> str:
    hours, minutes = seconds / 3600, seconds / 60
    return f"{hours:.0f} h" if hours >= 10 else f"{hours:.1f} h" if hours >= 1 else f"{max(minutes, 0.1):.1f} min"

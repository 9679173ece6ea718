"""Which way suits large images: matching, or composing with a teacher. With the cost of both."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from dcc_core import RunContext
from dcc_core.config import format_duration
from dcc_plugins.selections.soft import Soft

log = logging.getLogger("dcc")


def advise(run: RunContext, forecast: Mapping[str, Any]) -> None:
    """Log which of the two ways is cheaper, if composing is."""
    matching, (composing, _) = float(forecast["seconds"].get("condense", 0)), Soft().forecast(run.ipc, run)
    sides = "×".join(map(str, run.data.shape[1:]))
    if composing < matching:
        log.info(
            f"images of {sides}: matching is forecast at {format_duration(matching)}, composing images with a teacher "
            f"and soft labels at {format_duration(composing)}: dcc select --recipe rded (docs/photographs.md)"
        )

"""What repetitions come to, and the pages that say it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import resources
from statistics import fmean, stdev


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation; the latter is not a number if there is a single value."""
    return fmean(values), stdev(values) if len(values) > 1 else math.nan


def words(values: Sequence[float], digits: int = 2, unit: str = "") -> str:
    """`0.31 ± 0.02`: mean and standard deviation, the latter if there are several values."""
    mean, deviation = spread(values)
    text = f"{mean:.{digits}f}"
    return f"{text}{unit}" if math.isnan(deviation) else f"{text} ± {deviation:.{digits}f}{unit}"


def markdown(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def page(name: str, **values: object) -> str:
    """The text of a study, from its Markdown beside this module, with values in the places that it names."""
    text = resources.files("dcc_plugins.studies").joinpath(f"{name}.md").read_text(encoding="utf-8")
    return text.format(**values)

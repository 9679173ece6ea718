"""The picture of a comparison: the average accuracy of the stages seen, as figures 7 and 8 of the paper draw it."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping, Sequence
from typing import Any

from dcc_core.errors import DccError

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
"""Colours that people with any colour vision tell apart. Source: Okabe & Ito 2008."""
MARKERS = "osD^vPX*"


def check_drawable() -> None:
    """Raise DccError where there is nothing to draw with."""
    if importlib.util.find_spec("matplotlib") is None:
        raise DccError(
            "the plot needs matplotlib, which is not installed: pip install 'dcc[plots]', or go without by "
            "-o continual.plot=false"
        )


def picture(stages: Sequence[str], curves: Mapping[str, Sequence[Mapping[str, Any]]], kind: str) -> bytes:
    """A file of a kind, `png` or `svg`: a curve for each memory, its mean and std (0..1) after every stage."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "dcc", "font.size": 9}):
        figure = Figure(figsize=(4.8, 3.4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for number, (memory, points) in enumerate(curves.items()):
            axes.errorbar(
                range(len(points)),
                [100 * p["mean"] for p in points],
                yerr=[100 * p["std"] for p in points],
                label=memory,
                color=OKABE_ITO[number % len(OKABE_ITO)],
                marker=MARKERS[number % len(MARKERS)],
                capsize=3,
            )
        labels = [f"T{k}\n{label}".replace(",", ",\n") for k, label in enumerate(stages, start=1)]
        axes.set_xticks(range(len(stages)), labels)
        axes.set_xlabel("training stage")
        axes.set_ylabel("average accuracy of stages seen (%)")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        figure.savefig(file, format=kind, dpi=160, metadata={"Date": None} if kind == "svg" else None)
    return file.getvalue()

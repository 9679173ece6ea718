"""The figure of a comparison: average accuracy of the stages seen, as in figures 7 and 8 of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dcc_plugins.figures import MARKERS, figure_style, render_figure


def draw_matrices(stages: Sequence[str], curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, bytes]:
    """PNG and SVG by suffix: one curve per memory, with mean and std (0..1) after each stage."""
    with figure_style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4.8, 3.4))
        axes = figure.add_subplot()
        for number, (memory, points) in enumerate(curves.items()):
            axes.errorbar(
                range(len(points)),
                [100 * p["mean"] for p in points],
                yerr=[100 * p["std"] for p in points],
                label=memory,
                marker=MARKERS[number % len(MARKERS)],
                capsize=3,
            )
        labels = [f"T{k}\n{label}".replace(",", ",\n") for k, label in enumerate(stages, start=1)]
        axes.set_xticks(range(len(stages)), labels)
        axes.set_xlabel("training stage")
        axes.set_ylabel("average accuracy of stages seen (%)")
        axes.legend()
    return render_figure(figure)

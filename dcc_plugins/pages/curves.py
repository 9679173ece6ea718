"""The curves of a report, drawn by matplotlib as SVG with the colours and fonts of the page."""

from __future__ import annotations

import io
import re
import statistics
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dcc_plugins.pages.record import RunRecord, Summary
from dcc_plugins.terminal import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 250
"""Largest number of points of a curve; each is the mean over a bin of steps."""
LOGARITHMIC = 20
"""The loss axis is logarithmic if the largest loss exceeds this multiple of the smallest."""
WARM_UP = "warm-up"
INK, LINE, BASELINE = "#fe0001", "#fe0002", "#fe0003"
RUN = "#fd00{:02x}"
"""Placeholders for the page's colours, which depend on light or dark mode."""
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dcc",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "figure.facecolor": "none",
}


def draw_loss_curve(runs: Sequence[RunRecord]) -> str:
    """The loss of each run's first set by inner step, with dashed, shaded warm-up; empty without steps."""
    lines = [(i, run, _bin_losses(run)) for i, run in enumerate(runs) if run.steps]
    if not lines:
        return ""

    def draw(axes: Axes) -> None:
        for i, run, phases in lines:
            for phase, points in phases.items():
                dashed = phase == WARM_UP and len(phases) > 1
                mark = "." if len(points) == 1 else None
                axes.plot(
                    *zip(*points, strict=True), color=RUN.format(i), lw=1.4, ls="--" if dashed else "-", marker=mark
                )
            if end := _warmup_end(run):
                axes.axvspan(0, end, color=RUN.format(i), alpha=0.12, lw=0)
        values = [y for _, _, phases in lines for points in phases.values() for _, y in points]
        if min(values) > 0 and max(values) > LOGARITHMIC * min(values):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("")
        axes.set_xlabel("image updates")
        axes.set_ylabel("loss")
        axes.grid(True)

    return _draw_svg(draw, "loss", 2.9)


def draw_accuracy_curve(runs: Sequence[RunRecord]) -> str:
    """Accuracy of each run's first set during the run, with a band over networks; empty if no run recorded it."""
    lines = [(i, run) for i, run in enumerate(runs) if run.curve]

    def draw(axes: Axes) -> None:
        for i, run in lines:
            places = [row.step for row in run.curve]
            lowest, highest = ([100 * of(row.accuracies) for row in run.curve] for of in (min, max))
            axes.fill_between(places, lowest, highest, color=RUN.format(i), alpha=0.2, lw=0)
            axes.plot(places, [100 * row.mean for row in run.curve], color=RUN.format(i), marker=".", lw=1.4)
            if end := _warmup_end(run):
                axes.axvspan(0, end, color=RUN.format(i), alpha=0.12, lw=0)
        axes.set_xlabel("image updates")
        axes.set_ylabel("accuracy, %")
        axes.grid(True)

    return _draw_svg(draw, "accuracy", 2.9) if lines else ""


def draw_score_chart(runs: Sequence[RunRecord]) -> str:
    """Accuracy by network: mean and 95 % interval of each run's sets, and of random images; empty without scores."""
    networks = list(dict.fromkeys(n for run in runs for n in run.networks))
    if not networks:
        return ""
    rows = len(runs) + 1

    def draw(axes: Axes) -> None:
        for i, run in enumerate(runs):
            for n, network in enumerate(networks):
                offset = (i - (rows - 1) / 2) * 0.7 / rows
                _draw_dot(axes, run.summary(network, "condensed"), n + offset, RUN.format(i), "o")
                _draw_dot(axes, run.summary(network, "random"), n + 0.35 - 0.35 / rows, BASELINE, "|")
        axes.set_yticks(range(len(networks)), [printable(n)[:24] for n in networks])
        axes.set_ylim(len(networks) - 0.5, -0.5)
        axes.set_xlabel("accuracy, %")
        axes.grid(True, axis="x")

    return _draw_svg(draw, "scores", 1.1 + 0.3 * len(networks) * max(1.5, 0.6 * rows))


def _draw_dot(axes: Axes, summary: Summary | None, y: float, color: str, marker: str) -> None:
    if summary is None:
        return
    mean, interval = summary.mean, summary.ci95
    low, high = (max(0.0, interval[0]), min(1.0, interval[1])) if interval else (mean, mean)
    bars = [[max(0.0, 100 * side)] for side in (mean - low, high - mean)]
    axes.errorbar([100 * mean], [y], xerr=bars, color=color, marker=marker, ms=7, lw=1.6, capsize=3)


def _bin_losses(run: RunRecord) -> dict[str, list[tuple[float, float]]]:
    """For each phase, one point per bin: mean step number and mean loss."""
    bins = min(BINS, run.done)
    found: dict[str, dict[int, list[tuple[int, float]]]] = {}
    for row in run.steps:
        place = run.place(row)
        found.setdefault(row.phase, {}).setdefault((place - 1) * bins // run.done, []).append((place, row.loss))
    return {
        phase: [(statistics.fmean(p for p, _ in rows), statistics.fmean(v for _, v in rows)) for rows in bins.values()]
        for phase, bins in found.items()
    }


def _warmup_end(run: RunRecord) -> int:
    """The number of the last warm-up step; 0 without warm-up."""
    return max((run.place(row) for row in run.steps if row.phase == WARM_UP), default=0)


def _draw_svg(draw: Any, name: str, height: float) -> str:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of glyphs missing in matplotlib's font; the page's fonts have them
        figure = Figure(figsize=(4.6, height), layout="constrained")
        draw(figure.add_subplot())
        buffer = io.StringIO()
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    return _adapt_svg(buffer.getvalue(), name)


def _adapt_svg(svg: str, name: str) -> str:
    """The `svg` element with unique ids and the page's colours, hidden from screen readers."""
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.S)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 aria-hidden="true" focusable="false">', svg, count=1)
    svg = re.sub(r"<style.*?</style>|font-family: [^;\"]*;? ?", "", svg, flags=re.S)
    svg = svg.replace(INK, "currentColor").replace(LINE, "var(--line)").replace(BASELINE, "var(--baseline)")
    return re.sub(r"#fd00([0-9a-f]{2})", lambda m: f"var(--run-{int(m[1], 16) % 6})", svg)

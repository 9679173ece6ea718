"""The curves of a report, drawn by matplotlib as SVG that takes the colours and the letters of the page around it."""

from __future__ import annotations

import io
import re
import statistics
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dcc_core.cli import printable
from dcc_plugins.pages.record import RunRecord, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 250
"""Points of a curve at most: each is the mean of the steps that it stands for."""
LOGARITHMIC = 20
"""Losses whose largest is so many times the smallest are drawn on a logarithmic axis."""
WARMING = "warm-up"
INK, LINE, BASELINE = "#fe0001", "#fe0002", "#fe0003"
RUN = "#fd00{:02x}"
"""Colours that stand for those of the page, which differ by light and dark."""
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
    """The loss of every run's first set by inner steps, warm-up dashed and its steps shaded; empty without steps."""
    lines = [(i, run, _binned(run)) for i, run in enumerate(runs) if run.steps]
    if not lines:
        return ""

    def draw(axes: Axes) -> None:
        for i, run, phases in lines:
            for phase, points in phases.items():
                dashed = phase == WARMING and len(phases) > 1
                mark = "." if len(points) == 1 else None
                axes.plot(
                    *zip(*points, strict=True), color=RUN.format(i), lw=1.4, ls="--" if dashed else "-", marker=mark
                )
            if end := _warming(run):
                axes.axvspan(0, end, color=RUN.format(i), alpha=0.12, lw=0)
        values = [y for _, _, phases in lines for points in phases.values() for _, y in points]
        if min(values) > 0 and max(values) > LOGARITHMIC * min(values):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("")
        axes.set_xlabel("image updates")
        axes.set_ylabel("loss")
        axes.grid(True)

    return _figure(draw, "loss", 2.9)


def draw_accuracy_curve(runs: Sequence[RunRecord]) -> str:
    """The accuracy of every run's first set on the way, its networks as a band; empty where no run was asked for it."""
    lines = [(i, run) for i, run in enumerate(runs) if run.curve]

    def draw(axes: Axes) -> None:
        for i, run in lines:
            places = [row.step for row in run.curve]
            lowest, highest = ([100 * of(row.accuracies) for row in run.curve] for of in (min, max))
            axes.fill_between(places, lowest, highest, color=RUN.format(i), alpha=0.2, lw=0)
            axes.plot(places, [100 * row.mean for row in run.curve], color=RUN.format(i), marker=".", lw=1.4)
            if end := _warming(run):
                axes.axvspan(0, end, color=RUN.format(i), alpha=0.12, lw=0)
        axes.set_xlabel("image updates")
        axes.set_ylabel("accuracy, %")
        axes.grid(True)

    return _figure(draw, "accuracy", 2.9) if lines else ""


def scores(runs: Sequence[RunRecord]) -> str:
    """Accuracy by network: mean and 95 % interval of every run's set, and of random images; empty without scores."""
    networks = list(dict.fromkeys(n for run in runs for n in run.networks))
    if not networks:
        return ""
    rows = len(runs) + 1

    def draw(axes: Axes) -> None:
        for i, run in enumerate(runs):
            for n, network in enumerate(networks):
                offset = (i - (rows - 1) / 2) * 0.7 / rows
                _dot(axes, run.summary(network, "condensed"), n + offset, RUN.format(i), "o")
                _dot(axes, run.summary(network, "random"), n + 0.35 - 0.35 / rows, BASELINE, "|")
        axes.set_yticks(range(len(networks)), [printable(n)[:24] for n in networks])
        axes.set_ylim(len(networks) - 0.5, -0.5)
        axes.set_xlabel("accuracy, %")
        axes.grid(True, axis="x")

    return _figure(draw, "scores", 1.1 + 0.3 * len(networks) * max(1.5, 0.6 * rows))


def _dot(axes: Axes, summary: Summary | None, y: float, color: str, marker: str) -> None:
    if summary is None:
        return
    mean, interval = summary.mean, summary.ci95
    low, high = (max(0.0, interval[0]), min(1.0, interval[1])) if interval else (mean, mean)
    bars = [[max(0.0, 100 * side)] for side in (mean - low, high - mean)]
    axes.errorbar([100 * mean], [y], xerr=bars, color=color, marker=marker, ms=7, lw=1.6, capsize=3)


def _binned(run: RunRecord) -> dict[str, list[tuple[float, float]]]:
    """By phase, the mean loss of the steps of every bin, at the mean of their places."""
    bins = min(BINS, run.done)
    found: dict[str, dict[int, list[tuple[int, float]]]] = {}
    for row in run.steps:
        place = run.place(row)
        found.setdefault(row.phase, {}).setdefault((place - 1) * bins // run.done, []).append((place, row.loss))
    return {
        phase: [(statistics.fmean(p for p, _ in rows), statistics.fmean(v for _, v in rows)) for rows in bins.values()]
        for phase, bins in found.items()
    }


def _warming(run: RunRecord) -> int:
    """The step after which there is no more warm-up."""
    return max((run.place(row) for row in run.steps if row.phase == WARMING), default=0)


def _figure(draw: Any, name: str, height: float) -> str:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that its own font has not: the page's fonts have them
        figure = Figure(figsize=(4.6, height), layout="constrained")
        draw(figure.add_subplot())
        buffer = io.StringIO()
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    return _for_page(buffer.getvalue(), name)


def _for_page(svg: str, name: str) -> str:
    """The `svg` element alone, its names its own, its colours the page's, hidden from screen readers."""
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.S)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 aria-hidden="true" focusable="false">', svg, count=1)
    svg = re.sub(r"<style.*?</style>|font-family: [^;\"]*;? ?", "", svg, flags=re.S)
    svg = svg.replace(INK, "currentColor").replace(LINE, "var(--line)").replace(BASELINE, "var(--baseline)")
    return re.sub(r"#fd00([0-9a-f]{2})", lambda m: f"var(--run-{int(m[1], 16) % 6})", svg)

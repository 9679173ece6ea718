"""Pictures of a comparison, small enough for a column of a paper: accuracy against time, and against ipc."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dcc_core.runs import confidence
from dcc_plugins.compare.rows import Row
from dcc_plugins.figures import MARKERS, OKABE_ITO, figure_style, render_figure
from dcc_plugins.terminal import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = ("png", "svg", "pdf")
COLUMN = (3.4, 2.6)
"""Inches: the width of a column of most papers."""
LINES = ("-", "--", "-.", ":")
WIDE = 10
"""An axis is logarithmic if its largest value is this multiple of the smallest."""
APART = 1.04
"""Factor between the places of two series at one ipc."""
LEGEND = 32
"""Letters of a name in the legend, at most."""


def draw_pictures(rows: Sequence[Row], suffix: str = "") -> dict[str, bytes]:
    """The pictures on one network by file name, in every format; without those for which nothing is known.

    suffix: of the names.
    """
    drawn = [row for row in rows if row.summary]
    found: dict[str, bytes] = {}
    if timed := [row for row in drawn if row.subject.seconds is not None]:
        found |= _render(f"time{suffix}", timed, _draw_time)
    if sized := [row for row in drawn if row.subject.ipc]:
        found |= _render(f"ipc{suffix}", sized, _draw_ipc)
    return found


def _render(name: str, rows: Sequence[Row], draw: Any) -> dict[str, bytes]:
    with figure_style(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of glyphs that matplotlib's font has not
        from matplotlib.figure import Figure

        figure = Figure(figsize=COLUMN)
        axes = figure.add_subplot()
        draw(axes, rows)
        axes.set_ylabel(f"accuracy on {printable(rows[0].network)}, %", parse_math=False)
        for text in axes.legend(fontsize=7, handlelength=2.6).get_texts():
            text.set_parse_math(False)
        return {f"{name}.{suffix}": content for suffix, content in render_figure(figure, SUFFIXES).items()}


def _style(number: int) -> dict[str, Any]:
    """Colour, marker and dashes of a line: without colour, the latter two tell lines apart."""
    colour, marker = OKABE_ITO[number % len(OKABE_ITO)], MARKERS[number % len(MARKERS)]
    return {"color": colour, "marker": marker, "ls": LINES[number % len(LINES)]}


def _name(row: Row) -> str:
    text = printable(row.subject.name)
    text = text if len(text) <= LEGEND else f"{text[: LEGEND - 1]}…"
    return f"{text} (!)" if row.differs else text


def _draw_time(axes: Axes, rows: Sequence[Row]) -> None:
    """Each run's end with its interval, and its way there where the run has measured it."""
    for number, row in enumerate(rows):
        style, curve = _style(number), [m for m in row.subject.curve if m[0] > 0]
        if curve:
            places, accuracies = zip(*curve, strict=True)
            bounds = [_bounds(a) for a in accuracies]
            axes.fill_between(places, *zip(*bounds, strict=True), color=style["color"], alpha=0.15, lw=0)
            axes.plot(places, [100 * statistics.fmean(a) for a in accuracies], **{**style, "marker": ""})
        _draw_point(axes, row.subject.seconds or 0.0, row, style, _name(row))
    places = [p for row in rows for p in (row.subject.seconds or 0.0, *(m[0] for m in row.subject.curve)) if p > 0]
    _scale(axes, places)
    axes.set_xlabel("seconds of condensing one set")


def _draw_ipc(axes: Axes, rows: Sequence[Row]) -> None:
    """Runs of one method are joined, unless two of them have the same ipc. Series stand a little apart."""
    series = _series(rows)
    for number, (name, own) in enumerate(series.items()):
        style, apart = _style(number), APART ** (number - (len(series) - 1) / 2)
        places = [(row.subject.ipc or 0) * apart for row in own]
        axes.plot(places, [100 * row.summary["mean"] for row in own if row.summary], **{**style, "marker": ""})
        for i, row in enumerate(own):
            _draw_point(axes, places[i], row, style, name if i == 0 else None)
    places = sorted({row.subject.ipc or 0 for row in rows})
    axes.set_xscale("log")
    axes.set_xticks(places, [str(p) for p in places])
    axes.minorticks_off()
    axes.set_xlabel("images per class")


def _series(rows: Sequence[Row]) -> Mapping[str, list[Row]]:
    methods: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.subject.ipc or 0):
        methods.setdefault(row.subject.method, []).append(row)
    apart = all(len({row.subject.ipc for row in own}) == len(own) for own in methods.values())
    if not apart:
        return {_name(row): [row] for row in rows}
    return {printable(m) + (" (!)" if any(row.differs for row in own) else ""): own for m, own in methods.items()}


def _draw_point(axes: Axes, x: float, row: Row, style: Mapping[str, Any], label: str | None) -> None:
    if row.summary:
        low, high = _bounds(None, row.summary)
        mean = 100 * row.summary["mean"]
        bars = [[max(0.0, mean - low)], [max(0.0, high - mean)]]
        axes.errorbar([x], [mean], yerr=bars, label=label, capsize=2, elinewidth=1, **style)


def _bounds(accuracies: Sequence[float] | None, summary: Mapping[str, Any] | None = None) -> tuple[float, float]:
    """The 95 % interval in percent, within 0 and 100; of a single value the value."""
    interval = summary["ci95"] if summary else confidence(accuracies or ())
    low, high = interval or [summary["mean"] if summary else statistics.fmean(accuracies or (0.0,))] * 2
    return max(0.0, 100 * low), min(100.0, 100 * high)


def _scale(axes: Axes, places: Sequence[float]) -> None:
    if places and max(places) >= WIDE * min(places):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")

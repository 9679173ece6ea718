"""Figures: one look for all, readable on paper and by the colour-blind, and the same bytes for the same figure."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours that the colour-blind tell apart (Okabe & Ito 2008), without the yellow, which is faint on paper."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLE: Any = {
    "axes.prop_cycle": f"cycler(color={list(OKABE_ITO)})",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.constrained_layout.use": True,
    "figure.dpi": 150,
    "savefig.dpi": 150,
    "svg.hashsalt": "dcc",
    "pdf.fonttype": 42,
}


@contextlib.contextmanager
def figure_style() -> Iterator[None]:
    """Draw in this package's style while the context lasts: `matplotlib.figure.Figure(...)`, without pyplot."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        yield


ABOUT: Mapping[str, Mapping[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""Formats of figures by suffix, and what of the time and the program is left out of each."""


def render_figure(figure: Figure, suffixes: Sequence[str] = ("png", "svg")) -> dict[str, bytes]:
    """A figure in some formats by suffix, with nothing in them of the time or the program."""
    found = {}
    for suffix in suffixes:
        buffer = io.BytesIO()
        with figure_style():  # the salt of an SVG's ids is looked up as it is written
            figure.savefig(buffer, format=suffix, metadata=dict(ABOUT[suffix]))
        found[suffix] = buffer.getvalue()
    return found

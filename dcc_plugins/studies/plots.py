"""Elements of figures that several studies share."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dcc_core import CondensedSet
from dcc_plugins.studies.words import spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = "os^DvPX"
NUMBERS = {"class-wise": 0, "collective": 1, "collective, no warm-up": 2, "random": 3}
"""Of colours and markers, the same in every figure."""


def dots(axes: Axes, x: float, values: Sequence[float], number: int, label: str | None = None) -> None:
    """Values at a place x, faint, and beside them their mean ± standard deviation. number: of colour and marker."""
    style = {"color": f"C{number}", "marker": MARKERS[number]}
    axes.plot([x] * len(values), values, ls="", alpha=0.35, mew=0, **style)
    mean, deviation = spread(values)
    axes.errorbar(x + 0.08, mean, deviation, ls="", capsize=2, label=label, **style)


def curve(axes: Axes, x: Sequence[float], values: Sequence[Sequence[float]], number: int, label: str) -> None:
    """Means ± standard deviations at places x, joined by a line."""
    deviations = [spread(v)[1] for v in values]
    style = {"color": f"C{number}", "marker": MARKERS[number]}
    axes.errorbar(x, [fmean(v) for v in values], deviations, capsize=2, label=label, **style)


def tiles(axes: Axes, s: CondensedSet, most: int = 10) -> None:
    """A set's images, a row per class; what lies outside 0..1 is shown as black or white."""
    count = min(most, int(torch.bincount(s.owners).min()))
    rows = [torch.cat(list(s.images[s.owners == k][:count]), dim=2) for k in range(len(s.class_names))]
    picture: Tensor = torch.cat(rows, dim=1).clamp(0, 1).permute(1, 2, 0)
    axes.imshow(picture.squeeze(2).numpy(), cmap="gray", vmin=0, vmax=1, interpolation="none")
    axes.set(xticks=[], yticks=[])
    axes.grid(False)

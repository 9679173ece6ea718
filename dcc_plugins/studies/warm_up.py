"""Tables 4 and 5 of the paper: what the warm-up is good for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, final

from dcc_core import DccError
from dcc_plugins.studies import Bench, Findings, Study
from dcc_plugins.studies.plots import MARKERS
from dcc_plugins.studies.words import markdown, page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DESIGNS = ("none", "simple", "bi-level")
PAPER = {
    ("dcc", "ipc1"): (11.98, 13.01, 13.27),
    ("dcc", "ipc10"): (28.46, 29.74, 30.59),
    ("dsac", "ipc1"): (12.91, 14.21, 14.57),
    ("dsac", "ipc10"): (29.27, 31.97, 33.47),
}
"""CIFAR-100, accuracy in percent by design. Source: table 5."""
Cells = Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]
"""By method and ipc: the rows of the three designs."""


@final
@dataclass(frozen=True, kw_only=True)
class WarmUp(Study):
    """Collective matching without warm-up, with the simple and with the bi-level one, on any data at any scale.

    The cells are those of the table `warm-ups`; what is done is not done again if a study is interrupted.
    """

    fixed: ClassVar[tuple[str, ...]] = ("aug", "data", "loss", "loss.warmup", "run.ipc")

    data: Annotated[str, "data source"] = "digits"
    scale: Annotated[Literal["tiny", "small", "paper"], "size of the runs, of the table `warm-ups`"] = "small"
    methods: Annotated[tuple[Literal["dcc", "dsac"], ...], "without and with Siamese augmentation"] = ("dcc",)
    ipcs: Annotated[tuple[int, ...], "images per class, of 1, 10, 50"] = (1, 10)

    def conduct(self, bench: Bench) -> Findings:
        patterns = [f"{method}/ipc{ipc}/*" for method in self.methods for ipc in self.ipcs]
        if not patterns:
            raise DccError("study.methods and study.ipcs: at least one of each")
        rows = bench.table("warm-ups", self.scale, cells=patterns, options={"data": self.data})
        if failed := [f"{row['cell']}: {row['failed']}" for row in rows if row["failed"]]:
            raise DccError("cells failed\n  " + "\n  ".join(failed))
        cells: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for row in rows:
            method, ipc, _ = row["cell"].split("/")
            cells.setdefault((method, ipc), []).append(row)
        return self._findings(rows, cells)

    def _findings(self, rows: Sequence[Mapping[str, Any]], cells: Cells) -> Findings:
        numbers = {f"{row['cell']}: accuracy, %": 100 * row["mean"] for row in rows}
        lines, said = [], []
        for (method, ipc), of_designs in cells.items():
            paper = PAPER.get((method, ipc))
            words = [f"{100 * r['mean']:.1f} ± {100 * r['std']:.1f}" for r in of_designs]
            lines.append([method, ipc, *words, " / ".join(map(str, paper)) if paper else "–"])
            gain = 100 * (of_designs[2]["mean"] - of_designs[0]["mean"])
            numbers[f"{method}/{ipc}: bi-level − none, points"] = gain
            said.append(f"- {method}, {ipc}: bi-level − none is {gain:+.1f} points; {_order(of_designs)}.")
        kept = ("cell", "mean", "std", "std_over_sets", "std_over_networks", "ci95", "sets", "networks", "protocol")
        table = [{key: row[key] for key in kept} for row in rows]
        for row in table:
            row["ci95"] = " ".join(f"{v:.4f}" for v in row["ci95"]) if row["ci95"] else ""
        return Findings(
            title=f"The warm-up: none, simple, bi-level, on {self.data}",
            page=page(
                "warm_up",
                data=self.data,
                scale=self.scale,
                sets=rows[0]["sets"],
                nets=rows[0]["networks"],
                said="\n".join(said),
                table=markdown(["method", "ipc", *DESIGNS, "table 5, CIFAR-100"], lines),
            ),
            numbers=numbers,
            tables={"warm_up": table},
            figures={"warm_up": self._figure(cells)},
        )

    def _figure(self, cells: Cells) -> Figure:
        from matplotlib.figure import Figure

        ipcs = list(dict.fromkeys(ipc for _, ipc in cells))
        methods = list(dict.fromkeys(method for method, _ in cells))
        figure = Figure(figsize=(1.2 + 2.6 * len(ipcs), 2.8))
        for axes, ipc in zip(figure.subplots(1, len(ipcs), squeeze=False)[0], ipcs, strict=True):
            for number, method in enumerate(methods):
                means = [100 * row["mean"] for row in cells[method, ipc]]
                bars = [100 * row["std"] for row in cells[method, ipc]]
                places = [x + 0.12 * number for x in range(len(DESIGNS))]
                axes.errorbar(places, means, bars, ls="", capsize=3, marker=MARKERS[number], label=method)
            axes.set_xticks(range(len(DESIGNS)), DESIGNS)
            axes.set(xlim=(-0.5, len(DESIGNS) - 0.5), xlabel="warm-up", title=f"{self.data}, {ipc}")
        figure.axes[0].set_ylabel("test accuracy, % (± std over networks)")
        figure.axes[-1].legend(loc="best")
        return figure


def _half_interval(row: Mapping[str, Any]) -> float:
    """Half of a cell's 95 % interval in points; 0 if a single score gives none."""
    return 50 * (row["ci95"][1] - row["ci95"][0]) if row["ci95"] else 0.0


def _order(rows: Sequence[Mapping[str, Any]]) -> str:
    """Which design is best, and whether its interval is apart from that of no warm-up."""
    best = max(range(len(rows)), key=lambda i: rows[i]["mean"])
    if not best:
        return "no warm-up is best"
    apart = rows[best]["mean"] - rows[0]["mean"] > (_half_interval(rows[best]) + _half_interval(rows[0])) / 100
    return f"{DESIGNS[best]} is best, its interval {'apart from' if apart else 'overlapping'} that of no warm-up"

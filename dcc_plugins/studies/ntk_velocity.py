"""Figure 4 of the paper: how fast the kernel of matching turns, class-wise and collective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, final

from annotated_types import Ge

from dcc_core import StepReport
from dcc_plugins.ntk import Velocities
from dcc_plugins.studies import Bench, Findings, Study
from dcc_plugins.studies.plots import MARKERS
from dcc_plugins.studies.words import markdown, page, spread, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHODS: Mapping[str, str] = {"class-wise": "class-wise", "collective": "collective-bare"}


@final
@dataclass(frozen=True, kw_only=True)
class NtkVelocity(Study):
    """The velocity of the kernel over inner steps and network initialisations, for class-wise and collective matching.

    The collective loss is without warm-up: what the warm-up is to steady is seen here. `--log ntk-velocity` follows
    the same number in any run.
    """

    fixed: ClassVar[tuple[str, ...]] = ("data", "loss", "run.inner_loops", "run.ipc", "run.outer_loops")

    data: Annotated[str, "data source"] = "cifar10"
    ipc: Annotated[int, "images per class", Ge(1)] = 10
    outer_loops: Annotated[int, "network initialisations", Ge(2)] = 4
    inner_loops: Annotated[int, "image updates per network", Ge(3)] = 10
    seeds: Annotated[int, "runs of each method", Ge(1)] = 3

    def conduct(self, bench: Bench) -> Findings:
        rows: list[dict[str, Any]] = []
        with bench.track("following the kernel", len(METHODS) * self.seeds) as done:
            for seed in bench.seeds(self.seeds):
                for method in METHODS:
                    rows += self._follow_kernel(bench, method, seed)
                    done(f"seed {seed}, {method}")
        return self._findings(rows)

    def _follow_kernel(self, bench: Bench, method: str, seed: int) -> list[dict[str, Any]]:
        """One run's steps."""
        rows: list[dict[str, Any]] = []
        velocities = Velocities()

        def watch(report: StepReport) -> None:
            turned, trace = velocities.step(report, self.inner_loops)
            step = report.outer * self.inner_loops + report.inner
            own = {"method": method, "seed": seed, "step": step, "outer": report.outer, "inner": report.inner}
            rows.append({**own, "velocity": turned, "trace": trace})

        options = {"arch.width": 16, "run.real_batch": 32, "run.network_steps": 5, "run.outer_loops": self.outer_loops}
        choices = {"data": self.data, "ipc": self.ipc, "inner_loops": self.inner_loops, "seed": seed}
        bench.condense(loss=METHODS[method], options=options, watch=watch, **choices)
        return rows

    def _findings(self, rows: Sequence[Mapping[str, Any]]) -> Findings:
        seeds = sorted({r["seed"] for r in rows})
        measured: dict[str, dict[str, list[float]]] = {
            m: {
                "at initialisations": [fmean(self._at(rows, m, s, fresh=True)) for s in seeds],
                "at other steps": [fmean(self._at(rows, m, s, fresh=False)) for s in seeds],
                "peaks on initialisations": [self._peaks(rows, m, s) for s in seeds],
            }
            for m in METHODS
        }
        numbers = {f"{m}: {what}": fmean(v) for m, of in measured.items() for what, v in of.items()}
        above = {
            what: sum(c > w for c, w in zip(measured["collective"][what], measured["class-wise"][what], strict=True))
            for what in ("at initialisations", "at other steps")
        }
        ratios = {w: numbers[f"collective: {w}"] / max(numbers[f"class-wise: {w}"], 1e-12) for w in above}
        numbers |= {f"collective / class-wise, {what}": ratio for what, ratio in ratios.items()}
        lines = [[m, *(words(values, 3) for values in of.values())] for m, of in measured.items()]
        return Findings(
            title=f"The kernel's velocity over network initialisations, on {self.data}",
            page=page(
                "ntk_velocity",
                data=self.data,
                ipc=self.ipc,
                outer=self.outer_loops,
                inner=self.inner_loops,
                seeds=self.seeds,
                class_wise_peaks=100 * numbers["class-wise: peaks on initialisations"],
                collective_peaks=100 * numbers["collective: peaks on initialisations"],
                fresh_ratio=ratios["at initialisations"],
                fresh_above=above["at initialisations"],
                other_ratio=ratios["at other steps"],
                other_above=above["at other steps"],
                table=markdown(["", *measured["collective"]], lines),
            ),
            numbers=numbers,
            tables={"ntk_velocity": rows},
            figures={"ntk_velocity": self._figure(rows)},
        )

    @staticmethod
    def _at(rows: Sequence[Mapping[str, Any]], method: str, seed: int, *, fresh: bool) -> list[float]:
        """The velocities of a run at steps with a new network, or at the others."""
        own = [r for r in rows if (r["method"], r["seed"]) == (method, seed) and r["velocity"] is not None]
        return [r["velocity"] for r in own if (r["inner"] == 0) == fresh]

    def _peaks(self, rows: Sequence[Mapping[str, Any]], method: str, seed: int) -> float:
        """The share of the new networks whose step is the fastest within half an outer loop on either side."""
        own = {r["step"]: r["velocity"] for r in rows if (r["method"], r["seed"]) == (method, seed)}
        half = self.inner_loops // 2
        found = []
        for fresh in range(self.inner_loops, self.outer_loops * self.inner_loops, self.inner_loops):
            around = [own[s] for s in range(fresh - half, fresh + half + 1) if s != fresh and own.get(s) is not None]
            found.append(own[fresh] > max(around))
        return fmean(found)

    def _figure(self, rows: Sequence[Mapping[str, Any]]) -> Figure:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 2.9))
        axes = figure.subplots()
        for fresh in range(self.inner_loops, self.outer_loops * self.inner_loops, self.inner_loops):
            axes.axvline(
                fresh, color="#999999", ls=":", lw=0.9, label="new network" if fresh == self.inner_loops else None
            )
        for number, method in enumerate(METHODS):
            by_step: dict[int, list[float]] = {}
            for row in rows:
                if row["method"] == method and row["velocity"] is not None:
                    by_step.setdefault(row["step"], []).append(row["velocity"])
            means = [fmean(v) for v in by_step.values()]
            axes.plot(list(by_step), means, marker=MARKERS[number], ms=3.5, color=f"C{number}", label=method)
            if self.seeds > 1:
                deviations = [spread(v)[1] for v in by_step.values()]
                low, high = zip(*((m - d, m + d) for m, d in zip(means, deviations, strict=True)), strict=True)
                axes.fill_between(list(by_step), low, high, color=f"C{number}", alpha=0.2, lw=0)
        axes.set(xlabel="inner step", ylabel="kernel velocity (± std over runs)", ylim=(0, None))
        axes.legend(loc="upper right", ncols=3)
        return figure

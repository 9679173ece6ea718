"""When contrast pays: random images, class-wise and collective matching against what classes have in common."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, final

from annotated_types import Ge

from dcc_plugins.studies import Bench, Findings, Study
from dcc_plugins.studies.plots import NUMBERS, curve
from dcc_plugins.studies.words import markdown, page, spread, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHODS: Mapping[str, str] = {
    "random": "",
    "class-wise": "class-wise",
    "collective": "collective",
    "collective, no warm-up": "collective-bare",
}
"""The loss of each; none: random real images."""
RESAMPLES = 2000
Accuracies = Mapping[str, Sequence[Sequence[float]]]
"""By method: for each place of the dial, an accuracy per seed."""


def crossing(dial: Sequence[float], gaps: Sequence[float]) -> float | None:
    """Where a gap last turns from not above 0 to above it, by linear interpolation; none if it does not."""
    for i in range(len(gaps) - 1, 0, -1):
        low, high = gaps[i - 1], gaps[i]
        if high <= 0:
            return None
        if low <= 0:
            return dial[i - 1] + (dial[i] - dial[i - 1]) * -low / (high - low)
    return None


def crossings(dial: Sequence[float], gaps: Sequence[Sequence[float]], resamples: int) -> list[float | None]:
    """The crossing of the mean gap over bootstrap resamples of the seeds."""
    draw = random.Random(0)
    seeds = range(len(gaps[0]))
    found = []
    for _ in range(resamples):
        chosen = [draw.choice(seeds) for _ in seeds]
        found.append(crossing(dial, [fmean(at[i] for i in chosen) for at in gaps]))
    return found


@final
@dataclass(frozen=True, kw_only=True)
class SharedFeatures(Study):
    """A generated image family with a dial: the share of the signal's energy that classes have in common.

    Accuracies of networks trained on random real images, and on sets condensed class-wise and collectively. Each seed
    has patterns, initial images and networks of its own, the same for all methods.
    """

    fixed: ClassVar[tuple[str, ...]] = (
        "data",
        "data.count",
        "data.share",
        "data.split_seed",
        "loss",
        "run.ipc",
        "run.outer_loops",
        "score.nets",
        "score.protocol",
    )

    dial: Annotated[tuple[float, ...], "shares in common, 0 to 1"] = (0.0, 0.4, 0.8, 0.9)
    seeds: Annotated[int, "families, each of patterns of its own", Ge(2)] = 3
    ipc: Annotated[int, "images per class", Ge(1)] = 1
    outer_loops: Annotated[int, "network initialisations", Ge(1)] = 10
    nets: Annotated[int, "networks that score a set", Ge(1)] = 2

    def __post_init__(self) -> None:
        if len(set(self.dial)) < 2 or not all(0 <= x <= 1 for x in self.dial):
            raise ValueError(f"dial is {list(self.dial)}; it takes at least two different shares from 0 to 1")

    def conduct(self, bench: Bench) -> Findings:
        rows: list[dict[str, Any]] = []
        dial = sorted(set(self.dial))
        with bench.track("condensing and scoring", len(dial) * self.seeds * len(METHODS)) as done:
            for share in dial:
                for seed in bench.seeds(self.seeds):
                    for method in METHODS:
                        accuracy = self._accuracy(bench, method, share, seed)
                        rows.append({"share": share, "seed": seed, "method": method, "accuracy": accuracy})
                        done(f"share {share:g}, seed {seed}, {method}: {100 * accuracy:.1f} %")
        accuracies = {
            m: [[r["accuracy"] for r in rows if (r["method"], r["share"]) == (m, x)] for x in dial] for m in METHODS
        }
        return self._findings(dial, rows, accuracies)

    def _accuracy(self, bench: Bench, method: str, share: float, seed: int) -> float:
        own = {"data.count": 4, "data.share": share, "data.split_seed": seed, "arch.width": 16, "run.real_batch": 32}
        options = {**own, "run.outer_loops": self.outer_loops}
        how = {"data": "shared-features", "ipc": self.ipc, "seed": seed, "options": options}
        loss = METHODS[method]
        s = bench.condense(loss=loss, **how) if loss else bench.select(method="random", **how)
        return bench.score(s, nets=self.nets, protocol="dc").mean

    def _findings(self, dial: Sequence[float], rows: list[dict[str, Any]], accuracies: Accuracies) -> Findings:
        pairs = {
            "collective − class-wise": ("collective", "class-wise"),
            "collective, no warm-up − class-wise": ("collective, no warm-up", "class-wise"),
        }
        gaps = {name: gaps_of(accuracies, *pair) for name, pair in pairs.items()}
        numbers: dict[str, Any] = {}
        said: list[str] = []
        for name, gap in gaps.items():
            place, text = _describe_crossing(dial, gap)
            numbers[f"{name}: crossing at share"] = place
            numbers |= {
                f"{name}: gap at share {x:g}, points": 100 * fmean(g)
                for x, g in ((dial[0], gap[0]), (dial[-1], gap[-1]))
            }
            said.append(f"- {name}: {text}")
        over_random = gaps_of(accuracies, "class-wise", "random")
        numbers[f"class-wise − random: gap at share {dial[-1]:g}, points"] = 100 * fmean(over_random[-1])
        lines = [
            [
                f"{x:g}",
                *(words([100 * a for a in accuracies[m][i]], 1) for m in METHODS),
                words([100 * g for g in gaps["collective − class-wise"][i]], 1),
            ]
            for i, x in enumerate(dial)
        ]
        below = [f"{x:g}" for x, g in zip(dial, over_random, strict=True) if fmean(g) < 0]
        return Findings(
            title="When contrast pays: what classes have in common, by a dial",
            page=page(
                "shared",
                seeds=self.seeds,
                ipc=self.ipc,
                nets=self.nets,
                crossings="\n".join(said),
                below=f"below random images at share {', '.join(below)}" if below else "above random images everywhere",
                table=markdown(["share", *METHODS, "collective − class-wise"], lines),
            ),
            numbers=numbers,
            tables={"accuracies": rows},
            figures={"shared": self._figure(dial, accuracies, gaps)},
        )

    def _figure(self, dial: Sequence[float], accuracies: Accuracies, gaps: Accuracies) -> Figure:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 3.1))
        left, right = figure.subplots(1, 2)
        for method, at in accuracies.items():
            curve(left, dial, [[100 * a for a in values] for values in at], NUMBERS[method], method)
        left.axhline(25, color="#888888", ls=":", lw=1)
        left.annotate("chance", (dial[0], 25.8), color="#555555")
        left.set(xlabel="share of the signal in common", ylabel="test accuracy, % (± std over seeds)")
        left.legend(loc="lower left", bbox_to_anchor=(0, 0.08))
        for number, (name, at) in enumerate(gaps.items(), start=NUMBERS["collective"]):
            curve(right, dial, [[100 * g for g in values] for values in at], number, name)
            if (place := crossing(dial, [fmean(g) for g in at])) is not None:
                right.axvline(place, color=f"C{number}", ls=":", lw=1)
        right.axhline(0, color="black", lw=0.8)
        right.set(xlabel="share of the signal in common", ylabel="gain over class-wise, points (± std)")
        right.legend(loc="upper left")
        return figure


def gaps_of(accuracies: Accuracies, method: str, other: str) -> list[list[float]]:
    """How much better a method is than another one, at each place of the dial, seed by seed."""
    pairs = zip(accuracies[method], accuracies[other], strict=True)
    return [[a - b for a, b in zip(*pair, strict=True)] for pair in pairs]


def _describe_crossing(dial: Sequence[float], gap: Sequence[Sequence[float]]) -> tuple[float | None, str]:
    """Where the mean gap crosses 0, and that in words, with how sure it is."""
    means = [fmean(g) for g in gap]
    place = crossing(dial, means)
    if place is not None:
        where = f"crosses 0 at share {place:.2f}"
    else:
        where = "above 0 at every share" if means[-1] > 0 else "not above 0 at the last share"
    again = crossings(dial, gap, RESAMPLES)
    known = sorted(p for p in again if p is not None)
    sure = f"{100 * len(known) / len(again):.0f} % of resamplings of the seeds cross"
    if known:
        low, high = (known[round(q * (len(known) - 1))] for q in (0.05, 0.95))
        sure += f", nine tenths of those between {low:.2f} and {high:.2f}"
    mean, deviation = spread(gap[-1])
    return place, f"{where}; {sure}. At share {dial[-1]:g}: {100 * mean:.1f} ± {100 * deviation:.1f} points."

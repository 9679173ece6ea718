"""The paper's claims at full length on a narrower network: collects what `dcc table full-length` has run, and judges.

    dcc table full-length --scale narrow --cells 'cifar10/ipc1/*' --data-root DIR --out RUNS
    python benchmarks/full_length.py collect RUNS --machine "2-core CPU"
    python benchmarks/full_length.py write

`collect` adds the cells that are done to `results/full_length/rows.jsonl`. `write` makes `results/full_length.md` and
its picture of these rows alone. A claim is about the difference of two methods on sets of the same seeds, which begin
from the same images: it holds, or does not hold, where the 95 % interval of the mean difference over sets lies on one
side of 0. Fewer than two pairs of sets decide nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev

import click
from cells import Row, collect_command, read_rows, read_table
from matplotlib.figure import Figure

from dcc_core.runs.report import confidence

RESULTS = Path(__file__).parent / "results"
ROWS = RESULTS / "full_length" / "rows.jsonl"
AXES = ("data", "ipc", "seed", "method")
SCORED = "convnet"
"""The network that sets are made for."""
WARM_UP = [
    (f"{m} with its warm-up above {m} with {other}", (m, f"{m}-{other}"))
    for m in ("dcc", "dsac")
    for other in ("none", "simple")
]
CLAIMS = [
    ("DCC above DC", ("dcc", "dc")),
    ("DSAC above DSA", ("dsac", "dsa")),
    ("DCC above random images", ("dcc", "random")),
    *WARM_UP,
]
HOLDS = "holds"
FINE, COARSE = "insect", "cifar10"


@dataclass(frozen=True)
class Sets:
    """What rows say of one scale: accuracies in percent, by data, images per class, network, method and seed."""

    rows: Sequence[Row]

    def accuracies(self, data: str, ipc: str, network: str, method: str) -> dict[str, tuple[float, ...]]:
        """Of every network trained on a set, by the set's seed."""
        return {
            row["seed"]: tuple(100 * a for a in row["accuracies"][network])
            for row in self.rows
            if (row["data"], row["ipc"], row["method"]) == (data, ipc, method) and network in row["accuracies"]
        }

    def differences(self, data: str, ipc: str, network: str, methods: tuple[str, str]) -> dict[str, float]:
        """Of two methods' means, by seed."""
        first, second = (self.accuracies(data, ipc, network, method) for method in methods)
        return {seed: fmean(first[seed]) - fmean(second[seed]) for seed in sorted(first.keys() & second.keys())}

    def curves(self, data: str, ipc: str, method: str) -> dict[float, dict[str, float]]:
        """Mean validation accuracies by outer loop and seed."""
        found: defaultdict[float, dict[str, float]] = defaultdict(dict)
        for row in self.rows:
            if (row["data"], row["ipc"], row["method"]) == (data, ipc, method):
                for outer, accuracies in row["curve"]:
                    found[outer][row["seed"]] = 100 * fmean(accuracies)
        return dict(sorted(found.items()))

    def values(self, key: Callable[[Row], Sequence[str]]) -> list[str]:
        """All different values, in the order of the rows."""
        return list(dict.fromkeys(value for row in self.rows for value in key(row)))

    @property
    def tasks(self) -> list[tuple[str, str]]:
        """Data and images per class."""
        return sorted({(row["data"], row["ipc"]) for row in self.rows})


@click.group()
def main() -> None:
    """Collect cells that are done, or write what they say."""


main.add_command(collect_command("full-length", AXES, ROWS))


@main.command()
@click.option("--rows", "file", type=click.Path(path_type=Path, exists=True), default=ROWS)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "full_length")
def write(file: Path, out: Path) -> None:
    rows = read_rows(file)
    text = [
        "# The paper's claims at full length, on narrower networks",
        "Written by `python benchmarks/full_length.py write` from `full_length/rows.jsonl`, which names command, seed, "
        "options, versions and machine of every cell. Test accuracy in percent.",
    ]
    scales = sorted({row["scale"] for row in rows})
    for scale in scales:
        sets = Sets([row for row in rows if row["scale"] == scale])
        text += [f"## Scale {scale}", scale_in_words(scale), *describe(sets)]
        draw_curves(sets).savefig(f"{out}_{scale}.svg", metadata={"Date": None, "Creator": None})
        text.append(f"![Accuracy over outer loops]({out.name}_{scale}.svg)")
    Path(f"{out}.md").write_text("\n\n".join(text) + "\n")


def scale_in_words(scale: str) -> str:
    return read_table("full-length")["scales"][scale]["says"]


def describe(sets: Sets) -> Iterator[str]:
    for network in sets.values(lambda row: list(row["accuracies"])):
        yield f"### Scored on {network}"
        yield accuracy_table(sets, network)
        yield claim_table(sets, network)
    yield "### On the way: validation accuracy after so many outer loops"
    for data, ipc in sets.tasks:
        yield curve_table(sets, data, ipc)


def accuracy_table(sets: Sets, network: str) -> str:
    """Rows of data and ipc, columns of methods; the paper's figure in brackets."""
    methods = sets.values(lambda row: [row["method"]])
    lines = [markdown_row(["data, ipc", *methods]), "|---" * (len(methods) + 1) + "|"]
    for data, ipc in sets.tasks:
        cells = []
        for method in methods:
            found = sets.accuracies(data, ipc, network, method)
            paper = paper_accuracy(data, ipc, method) if network == SCORED else None
            cells.append(" ".join(filter(None, [in_words(list(found.values())), f"[{paper:.1f}]" if paper else ""])))
        lines.append(markdown_row([f"{data}, {ipc}", *cells]))
    note = (
        "± spread over sets / over the networks of a set, the 95 % interval of the mean over sets, and in brackets how "
        "many. A single set has only the spread over networks. In square brackets the paper's."
    )
    return "\n".join([*lines, "", note])


def in_words(sets: Sequence[Sequence[float]]) -> str:
    """Mean, spreads and interval of accuracies of sets."""
    if not sets:
        return "–"
    means = [fmean(own) for own in sets]
    over_networks = f"{fmean([pstdev(own) for own in sets]):.1f}"
    interval = confidence(means)
    over_sets = "–" if interval is None else f"{pstdev(means):.1f}"
    between = "" if interval is None else f", {interval[0]:.1f} to {interval[1]:.1f}"
    return f"{fmean(means):.1f} ± {over_sets} / {over_networks}{between} ({len(means)})"


def paper_accuracy(data: str, ipc: str, method: str) -> float | None:
    table = read_table("fine-grained" if data == FINE else "benchmarks")["paper"]
    found = table.get(data, {}).get(ipc, {}).get(method)
    return found[0] if found else None


def claim_table(sets: Sets, network: str) -> str:
    lines = ["| claim | data, ipc | difference | pairs of sets | verdict |", "|---|---|---|---|---|"]
    found = [
        (claim, f"{data}, {ipc}", list(sets.differences(data, ipc, network, methods).values()))
        for claim, methods in CLAIMS
        for data, ipc in sets.tasks
    ]
    for claim, methods in CLAIMS[:2]:
        for ipc in sorted({ipc for _, ipc in sets.tasks}):
            fine, coarse = (sets.differences(data, ipc, network, methods) for data in (FINE, COARSE))
            gains = [fine[seed] - coarse[seed] for seed in fine.keys() & coarse.keys()]
            found.append((f"{claim} by more where classes are alike", f"{FINE} against {COARSE}, {ipc}", gains))
    for claim, task, differences in found:
        if differences:
            lines.append(markdown_row([claim, task, *judge(differences)]))
    return "\n".join(lines) if len(lines) > 2 else "No pair of sets for any claim yet."


def judge(differences: Sequence[float]) -> tuple[str, str, str]:
    """The mean difference with its interval, the number of pairs, and the verdict."""
    interval = confidence(differences)
    mean = f"{fmean(differences):+.1f}"
    if interval is None:
        return mean, "1", "not decided"
    low, high = interval
    verdict = HOLDS if low > 0 else "does not hold" if high < 0 else "not decided"
    return f"{mean} ({low:+.1f} to {high:+.1f})", str(len(differences)), verdict


def curve_table(sets: Sets, data: str, ipc: str) -> str:
    curves = {m: curve for m in sets.values(lambda row: [row["method"]]) if (curve := sets.curves(data, ipc, m))}
    if not curves:
        return f"{data}, {ipc}: no curve."
    outer = sorted({loop for curve in curves.values() for loop in curve})
    lines = [markdown_row([f"{data}, {ipc}", *(f"{loop:g}" for loop in outer)]), "|---" * (len(outer) + 1) + "|"]
    for method, curve in curves.items():
        cells = (f"{fmean(curve[loop].values()):.1f}" if loop in curve else "–" for loop in outer)
        lines.append(markdown_row([method, *cells]))
    for claim, (a, b) in CLAIMS:
        if {a, b} <= curves.keys():
            loop = overtake(curves[a], curves[b])
            words = f"from outer loop {loop:g} on" if loop is not None else "not decided at the end"
            lines += ["", f"{claim}: {words}."]
    return "\n".join(lines)


def overtake(first: dict[float, dict[str, float]], second: dict[float, dict[str, float]]) -> float | None:
    """The outer loop from which on the first curve is judged to lie above the second's; None if not at the end."""
    found = None
    for loop in sorted(first.keys() & second.keys(), reverse=True):
        pairs = [first[loop][seed] - second[loop][seed] for seed in sorted(first[loop].keys() & second[loop].keys())]
        if not pairs or judge(pairs)[-1] != HOLDS:
            break
        found = loop
    return found


def draw_curves(sets: Sets) -> Figure:
    """Mean validation accuracy over outer loops, a line for each method."""
    figure = Figure(figsize=(4.2 * len(sets.tasks), 3.4), layout="constrained")
    methods = sets.values(lambda row: [row["method"]])
    for axes, (data, ipc) in zip(figure.subplots(1, len(sets.tasks), squeeze=False)[0], sets.tasks, strict=True):
        for i, method in enumerate(methods):
            if curve := sets.curves(data, ipc, method):
                style = {"marker": "osv^D<>pP*X"[i % 11], "ms": 4, "lw": 1.2, "color": f"C{i % 10}"}
                axes.plot(list(curve), [fmean(by_seed.values()) for by_seed in curve.values()], label=method, **style)
        axes.set_xscale("symlog", linthresh=10)
        axes.set(xlabel="outer loops", ylabel="validation accuracy, %", title=f"{data}, {ipc}")
        if axes.lines:
            axes.legend(fontsize=7)
    return figure


def markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()

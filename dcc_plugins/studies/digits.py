"""Figure 3 of the paper: if images of two digits put their ink, class-wise and collective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, final

import torch
from annotated_types import Ge
from torch import Tensor

from dcc_core import CondensedSet, DccError
from dcc_plugins.studies import Bench, Findings, Study
from dcc_plugins.studies.plots import dots, tiles
from dcc_plugins.studies.words import markdown, page, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHODS: Mapping[str, str] = {"real": "", "class-wise": "class-wise", "collective": "collective-bare"}
"""The loss of each; none: the real images that both begin from."""
HALVES: Mapping[str, Literal["left", "right"]] = {"plain": "left", "mirrored": "right"}
"""The half that tells the classes apart, by how the data are arranged."""
ARRANGEMENTS = tuple(HALVES)
Shares = Callable[..., list[float]]
MEASURES: Mapping[str, str] = {
    "class mean": "from the class's mean",
    "start": "from the images it began as",
}
"""What an image's difference is taken to."""


def half_share(difference: Tensor, half: Literal["left", "right"]) -> float:
    """The share of the energy of differences (N, C, H, W) that lies in their `left` or `right` half."""
    width = difference.shape[-1]
    energy = difference.double().square().sum(dim=(0, 1, 2))
    part = energy[: width // 2] if half == "left" else energy[-(width // 2) :]
    return float(part.sum() / energy.sum())


@final
@dataclass(frozen=True, kw_only=True)
class Digits38(Study):
    """3 against 8, which differ in their left half, and the mirrored 3 against 8, which differ in the right one.

    Where does the energy of the images' difference to their class's mean lie? Class-wise matching is the control, real
    images are the second one.
    """

    fixed: ClassVar[tuple[str, ...]] = ("data", "data.classes", "data.mirrored", "loss", "run.ipc", "run.outer_loops")

    classes: Annotated[tuple[str, str], "two classes of MNIST; the first one is mirrored"] = ("3", "8")
    ipc: Annotated[int, "images per class", Ge(1)] = 10
    seeds: Annotated[int, "sets of each kind", Ge(1)] = 3
    outer_loops: Annotated[int, "network initialisations", Ge(1)] = 6

    def conduct(self, bench: Bench) -> Findings:
        sets: dict[tuple[str, str, int], CondensedSet] = {}
        learned = [name for name, loss in METHODS.items() if loss]
        with bench.track("condensing", len(ARRANGEMENTS) * self.seeds * len(learned)) as done:
            for arrangement in ARRANGEMENTS:
                for seed in bench.seeds(self.seeds):
                    how = self._how(arrangement, seed)
                    sets[arrangement, "real", seed] = bench.select(method="random", **how)
                    for name in learned:
                        sets[arrangement, name, seed] = bench.condense(loss=METHODS[name], **how)
                        done(f"{arrangement}, seed {seed}, {name}")
        means = {a: self._means(bench, a) for a in ARRANGEMENTS}
        rows = [row for key, s in sets.items() for row in self._rows(key, s, sets, means)]
        return self._findings(bench, rows, sets, means)

    def _how(self, arrangement: str, seed: int) -> dict[str, Any]:
        options = {"data.classes": self.classes, "data.mirrored": self.classes[:1] if arrangement == "mirrored" else ()}
        options |= {"arch.width": 16, "run.real_batch": 64, "run.network_steps": 5, "run.inner_loops": 10}
        options |= {"run.outer_loops": self.outer_loops}
        return {"data": "mnist", "ipc": self.ipc, "seed": seed, "options": options}

    def _means(self, bench: Bench, arrangement: str) -> Tensor:
        """The classes' mean images (2, C, H, W) in unit space, of all training images."""
        data = bench.context(**self._how(arrangement, 0)).data
        if data.num_classes != 2:
            raise DccError(f"study.classes: two are compared, {len(self.classes)} given")
        return torch.stack([data.train.images[data.train.labels == k].float().mean(dim=0) / 255 for k in (0, 1)])

    def _rows(
        self,
        key: tuple[str, str, int],
        s: CondensedSet,
        sets: Mapping[tuple[str, str, int], CondensedSet],
        means: Mapping[str, Tensor],
    ) -> list[dict[str, Any]]:
        """The shares of one set, by class and by what the difference is taken to."""
        arrangement, method, seed = key
        start = sets[arrangement, "real", seed]
        half = HALVES[arrangement]
        rows = []
        for label, name in enumerate(s.class_names):
            images = s.images[s.owners == label]
            others = {"class mean": means[arrangement][label], "start": start.images[s.owners == label]}
            for measure, other in others.items():
                if method != "real" or measure != "start":
                    share = half_share(images - other, half)
                    own = {"arrangement": arrangement, "method": method, "seed": seed, "class": name, "half": half}
                    rows.append({**own, "difference_to": measure, "share": share})
        return rows

    def _findings(
        self,
        bench: Bench,
        rows: list[dict[str, Any]],
        sets: Mapping[tuple[str, str, int], CondensedSet],
        means: Mapping[str, Tensor],
    ) -> Findings:
        def shares(arrangement: str, method: str, measure: str, name: str | None = None) -> list[float]:
            """Of every seed; over both classes unless one is named."""
            wanted = {"arrangement": arrangement, "method": method, "difference_to": measure}
            found: dict[int, list[float]] = {}
            for row in rows:
                if wanted.items() <= row.items() and name in (None, row["class"]):
                    found.setdefault(row["seed"], []).append(row["share"])
            return [sum(f) / len(f) for f in found.values()]

        data_shares = {a: half_share((means[a][0] - means[a][1]).unsqueeze(0), half) for a, half in HALVES.items()}
        numbers: dict[str, float] = {f"{a}: share of the class means' difference": v for a, v in data_shares.items()}
        lines = []
        for measure, said in MEASURES.items():
            for a in ARRANGEMENTS:
                for method in METHODS:
                    found = shares(a, method, measure)
                    if not found:
                        continue
                    numbers[f"{a}, {method}: share of the difference {said}"] = sum(found) / len(found)
                    by_class = [words([100 * v for v in shares(a, method, measure, c)], 1) for c in self.classes]
                    lines.append([said, a, method, words([100 * v for v in found], 1), *by_class])
        gains = {
            a: [c - w for c, w in zip(*(shares(a, m, "class mean") for m in ("collective", "class-wise")), strict=True)]
            for a in ARRANGEMENTS
        }
        numbers |= {f"{a}: collective − class-wise, from the class's mean": sum(g) / len(g) for a, g in gains.items()}
        return Findings(
            title=f"{' and '.join(self.classes)}: which half of the images tells them apart",
            page=page(
                "digits",
                first=self.classes[0],
                second=self.classes[1],
                ipc=self.ipc,
                seeds=self.seeds,
                plain=100 * data_shares["plain"],
                mirrored=100 * data_shares["mirrored"],
                gain_plain=words([100 * g for g in gains["plain"]], 1),
                gain_mirrored=words([100 * g for g in gains["mirrored"]], 1),
                higher_plain=sum(g > 0 for g in gains["plain"]),
                higher_mirrored=sum(g > 0 for g in gains["mirrored"]),
                table=markdown(["difference", "data", "images", "both", *self.classes], lines),
            ),
            numbers=numbers,
            tables={"shares": rows},
            figures={"images": self._images(bench, sets), "shares": self._shares(shares, data_shares)},
        )

    def _images(self, bench: Bench, sets: Mapping[tuple[str, str, int], CondensedSet]) -> Figure:
        """A set of each kind, a row per class."""
        from matplotlib.figure import Figure

        (seed,) = bench.seeds(1)
        figure = Figure(figsize=(7.2, 0.95 * len(METHODS)))
        columns = figure.subplots(len(METHODS), len(ARRANGEMENTS)).T
        for column, arrangement in zip(columns, ARRANGEMENTS, strict=True):
            digits = f"{'mirrored ' if arrangement == 'mirrored' else ''}{' and '.join(self.classes)}"
            for axes, method in zip(column, METHODS, strict=True):
                tiles(axes, sets[arrangement, method, seed])
                axes.set_title(f"{digits}: {method}")
        return figure

    def _shares(self, shares: Shares, data_shares: Mapping[str, float]) -> Figure:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 3.0))
        pair = figure.subplots(1, 2, sharey=True)
        for axes, arrangement in zip(pair, ARRANGEMENTS, strict=True):
            for number, (measure, said) in enumerate(MEASURES.items()):
                for place, method in enumerate(METHODS):
                    if found := [100 * v for v in shares(arrangement, method, measure)]:
                        label = said if method == "collective" else None
                        dots(axes, place + 0.3 * (number - 0.5), found, number, label)
            own = 100 * data_shares[arrangement]
            axes.axhline(50, color="#888888", lw=0.8)
            axes.axhline(own, color="black", ls="--", lw=1, label="classes' means from each other")
            axes.set_title(f"{arrangement}: the {HALVES[arrangement]} half tells the classes apart")
            axes.set_xticks(range(len(METHODS)), list(METHODS))
        pair[0].set(ylabel="energy in that half, %", ylim=(40, 65))
        figure.legend(*pair[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return figure

"""Figure 6 of the paper: alignment and uniformity of condensed images' features under trained networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, final

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn import functional as F

from dcc_core import CondensedSet, DccError, RunContext, load_set, train_on_real
from dcc_plugins.studies import Bench, Findings, Study
from dcc_plugins.studies.plots import MARKERS, NUMBERS
from dcc_plugins.studies.words import markdown, page, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MADE: Mapping[str, str] = {"random": "", "class-wise": "class-wise", "collective": "collective"}
"""What is compared if no set files are given; the loss of each."""
TESTED = 1000
"""Test images that a trained network's accuracy is measured on."""
Row = dict[str, Any]


def alignment(features: Tensor, labels: Tensor) -> float:
    """Mean squared distance of the features (N, D), on the unit sphere, of two images of one class; lower is closer.

    Source: Wang & Isola 2020, with exponent 2; positive pairs are those of one class.
    """
    apart = _squared_distances(features)
    pairs = (labels.unsqueeze(0) == labels.unsqueeze(1)).triu(1)
    return float(apart[pairs].mean())


def uniformity(features: Tensor) -> float:
    """log of the mean of exp(−2 d²) over all pairs, d the distance on the unit sphere; lower is more evenly spread.

    Source: Wang & Isola 2020, t = 2.
    """
    apart = _squared_distances(features)
    pairs = torch.ones_like(apart, dtype=torch.bool).triu(1)
    return float(torch.log(torch.exp(-2 * apart[pairs]).mean()))


def _squared_distances(features: Tensor) -> Tensor:
    unit = F.normalize(features.double(), dim=1)
    return (2 - 2 * unit @ unit.T).clamp(min=0)


@final
@dataclass(frozen=True, kw_only=True)
class Alignment(Study):
    """Alignment and uniformity losses of the features of set files, by networks that are trained on real images once
    and kept.

    Without set files, some are made: class-wise, collective, and random real images as the control.
    """

    fixed: ClassVar[tuple[str, ...]] = ("data", "data.per_class", "loss", "run.ipc", "run.outer_loops")

    data: Annotated[str, "data source, of the networks' training and of the sets"] = "cifar10"
    sets: Annotated[tuple[Path, ...], "set files, at least two images per class; without any, sets are made"] = ()
    count: Annotated[int, "sets of each method to make", Ge(1)] = 2
    ipc: Annotated[int, "images per class of the sets to make", Ge(2)] = 10
    outer_loops: Annotated[int, "network initialisations in making them", Ge(1)] = 4
    archs: Annotated[tuple[str, ...], "architectures of the trained networks"] = ("convnet", "vgg11")
    networks: Annotated[int, "trained networks of each", Ge(1)] = 2
    per_class: Annotated[int, "real images of each class that they are trained on", Ge(1)] = 100
    epochs: Annotated[int, "of their training", Ge(1)] = 6

    def conduct(self, bench: Bench) -> Findings:
        sets = self._read_sets() or self._make_sets(bench)
        rows: list[Row] = []
        with bench.track("training networks", len(self.archs) * self.networks * self.epochs) as done:
            for arch in self.archs:
                for number in range(self.networks):
                    run, network, accuracy = self._train_networks(bench, arch, number, done)
                    for title, group in sets.items():
                        for index, s in enumerate(group):
                            own = {"images": title, "set": index, "arch": arch, "network": number, "accuracy": accuracy}
                            rows.append(own | _measure(run, network, s))
        return self._findings(rows)

    def _read_sets(self) -> dict[str, list[CondensedSet]]:
        """The sets of the files, by method."""
        sets: dict[str, list[CondensedSet]] = {}
        for path in self.sets:
            s = load_set(path)
            if int(torch.bincount(s.owners).max()) < 2:
                raise DccError(f"study.sets: '{path}' has one image per class; alignment is of two of a class")
            sets.setdefault(s.provenance.method, []).append(s)
        return sets

    def _make_sets(self, bench: Bench) -> dict[str, list[CondensedSet]]:
        sets: dict[str, list[CondensedSet]] = {title: [] for title in MADE}
        options = {"arch.width": 32, "run.real_batch": 32, "run.network_steps": 10, "run.outer_loops": self.outer_loops}
        with bench.track("making sets", len(MADE) * self.count) as done:
            for seed in bench.seeds(self.count):
                for title, loss in MADE.items():
                    how = {"data": self.data, "ipc": self.ipc, "seed": seed, "options": options}
                    made = bench.condense(loss=loss, **how) if loss else bench.select(method="random", **how)
                    sets[title].append(made)
                    done(f"{title}, seed {seed}")
        return sets

    def _train_networks(
        self, bench: Bench, arch: str, number: int, done: Callable[[str], None]
    ) -> tuple[RunContext, nn.Module, float]:
        """A run with this network, the network trained on the real images of the run, and its test accuracy.

        done: called after every epoch, or once with all if the trained network is cached.
        """
        run = bench.context(data=self.data, arch=arch, options={"data.per_class": self.per_class})
        random = run.random.at("alignment", arch, number)
        network = run.build(random.generator("network"))

        left = self.epochs

        def trained() -> dict[str, Tensor]:
            nonlocal left
            for _ in train_on_real(run, network, self.epochs, random.at("training")):
                left -= 1
                done(f"{arch} {number}")
            return network.state_dict()

        key = {"data": run.data.digest(), "network": repr(network), "arch": arch, "number": number}
        key |= {"epochs": self.epochs, "seed": random.seed, "torch": torch.__version__}
        key |= {"criterion": run.criterion.__name__, "dtype": str(run.dtype)}
        network.load_state_dict(bench.kept("network", key, trained))
        for _ in range(left):
            done(f"{arch} {number}, kept")
        network.eval()
        images, labels = run.data.test.images, run.data.test.labels
        some = torch.arange(0, len(labels), max(1, len(labels) // TESTED))
        right = [
            network(run.real.normalisation.from_bytes(images[part].to(run.device))).argmax(dim=1).cpu() == labels[part]
            for part in some.split(run.chunks.images)
        ]
        return run, network, float(torch.cat(right).float().mean())

    def _findings(self, rows: Sequence[Row]) -> Findings:
        titles = list(dict.fromkeys(r["images"] for r in rows))
        networks = list(dict.fromkeys((r["arch"], r["network"]) for r in rows))
        losses = ("alignment", "uniformity")

        def of(title: str, what: str) -> list[float]:
            """Of each network, the mean over sets."""
            return [
                fmean(r[what] for r in rows if (r["images"], r["arch"], r["network"]) == (title, *network))
                for network in networks
            ]

        numbers: dict[str, float] = {f"{t}: {what}": fmean(of(t, what)) for t in titles for what in losses}
        said = []
        if {"class-wise", "collective"} <= set(titles):
            for what in losses:
                gaps = [c - w for c, w in zip(of("collective", what), of("class-wise", what), strict=True)]
                lower = sum(gap < 0 for gap in gaps)
                numbers[f"collective − class-wise: {what}"] = fmean(gaps)
                gap = f"collective − class-wise is {words(gaps, 3)}"
                said.append(f"- {what}: {gap}, below 0 under {lower} of {len(gaps)} networks")
        accuracies = {n: next(r["accuracy"] for r in rows if (r["arch"], r["network"]) == n) for n in networks}
        return Findings(
            title=f"Alignment and uniformity of features, on {self.data}",
            page=page(
                "alignment",
                data=self.data,
                networks=", ".join(f"{a} {n} ({100 * accuracies[a, n]:.1f} %)" for a, n in networks),
                per_class=self.per_class,
                epochs=self.epochs,
                said="\n".join(said) or "The files have no class-wise and collective sets to compare.",
                table=markdown(["images", *losses], [[t, *(words(of(t, what), 3) for what in losses)] for t in titles]),
            ),
            numbers=numbers,
            tables={"alignment": rows},
            figures={"alignment": _figure(rows, titles, list(dict.fromkeys(r["arch"] for r in rows)))},
        )


def _measure(run: RunContext, network: nn.Module, s: CondensedSet) -> Row:
    """Both losses of a set's images under a network. Raises DccError for a set of other classes or images."""
    if s.class_names != run.data.class_names:
        raise DccError(f"a set of {s.provenance.data} has other classes than data '{run.data.name}': they must agree")
    images, labels = s.dataset().tensors
    labels = labels.argmax(dim=1) if labels.is_floating_point() else labels
    with torch.no_grad():
        parts = [network.embed(part.to(run.device, run.dtype)).cpu() for part in images.split(run.chunks.images)]
    features = torch.cat(parts)
    return {"alignment": alignment(features, labels), "uniformity": uniformity(features)}


def _figure(rows: Sequence[Row], titles: Sequence[str], archs: Sequence[str]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.2))
    panels = figure.subplots(1, len(archs), squeeze=False)[0]
    for axes, arch in zip(panels, archs, strict=True):
        for place, title in enumerate(titles):
            number = NUMBERS.get(title, place) % len(MARKERS)
            own = [r for r in rows if (r["images"], r["arch"]) == (title, arch)]
            points = [r["alignment"] for r in own], [r["uniformity"] for r in own]
            axes.plot(*points, ls="", marker=MARKERS[number], color=f"C{number}", alpha=0.8, label=title)
        axes.locator_params(axis="x", nbins=4)
        axes.set(xlabel="alignment loss", title=arch)
    panels[0].set_ylabel("uniformity loss")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, len(titles)))
    return figure

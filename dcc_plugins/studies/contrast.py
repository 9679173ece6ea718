"""Section 3.2 of the paper: what class-wise and collective matching keep of two Gaussian classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, final

import torch
from annotated_types import Ge, Gt
from scipy.stats import norm
from torch import Tensor

from dcc_core import CondensedSet
from dcc_plugins.studies import Bench, Findings, Study
from dcc_plugins.studies.words import markdown, page, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VARIANTS: Mapping[str, tuple[str, bool]] = {
    "class-wise": ("class-wise", True),
    "collective": ("collective-bare", True),
    "collective, no penalty": ("collective-bare", False),
}
"""A loss each, and whether it is penalised."""


def inside_mean(alpha: float) -> float:
    """m = α − φ(1−α) / Φ(1−α): the mean along φ₁ of the images that the hinge keeps, those with y w·x < 1."""
    return alpha - float(norm.pdf(1 - alpha) / norm.cdf(1 - alpha))


def class_wise_ratio(alpha: float, beta: float) -> float:
    """R(S) of eq. 6's solution, m / (m + β), which eq. 7 bounds by α / (α + β); |m|, since m may be negative."""
    m = abs(inside_mean(alpha))
    return m / (m + beta)


def solutions(alpha: float, beta: float, weight: float) -> dict[str, Tensor]:
    """What the losses come to for s₊ and s₋ (2, 2), rows in class order −, +: eqs. 6 and 8, with this package's scales.

    Its gradients are means over all images of a class, of which the hinge keeps the share p = Φ(1−α). So class-wise
    matching is ‖pμ − s‖² + λ‖s‖ for each class, and collective matching ‖p(μ₊ − μ₋) − (s₊ − s₋)‖² + λ(‖s₊‖ + ‖s₋‖).
    """
    p, m = float(norm.cdf(1 - alpha)), inside_mean(alpha)
    mean = p * torch.tensor([[-m, beta], [m, beta]])
    length = mean.norm(dim=1, keepdim=True)
    apart = math.copysign(max(0.0, abs(p * m) - weight / 4), m)
    return {
        "class-wise": mean * (1 - weight / (2 * length)).clamp(min=0),
        "collective": torch.tensor([[-apart, 0.0], [apart, 0.0]]),
    }


def ratio(images: Tensor) -> float:
    """R(S) = Σ|s·φ₁| / Σ(|s·φ₁| + |s·φ₂|) of images (N, 2). Source: eq. 5."""
    along, across = images.abs().sum(dim=0).tolist()
    return along / (along + across)


@final
@dataclass(frozen=True, kw_only=True)
class Contrast(Study):
    """The motivating example: two Gaussian classes, a fixed linear classifier, hinge loss, one image per class.

    R(S) is the share of what tells the classes apart in the images: 1 if they hold nothing else. The losses of this
    package are run on samples, and set beside the closed forms of eqs. 6 to 9.
    """

    fixed: ClassVar[tuple[str, ...]] = (
        "arch",
        "data",
        "data.alpha",
        "data.beta",
        "data.count",
        "data.split_seed",
        "loss",
        "loss.of",
        "loss.weight",
        "loss.distance",
        "loss.reduction",
        "run.criterion",
        "run.inner_loops",
        "run.ipc",
        "run.network_steps",
        "run.outer_loops",
    )

    alpha: Annotated[float, "strength of what tells the classes apart, α", Gt(0)] = 1.0
    ratios: Annotated[tuple[float, ...], "strengths of what is common, β/α"] = (0, 0.25, 0.5, 1, 2, 3, 4, 6, 8, 10)
    shown: Annotated[float, "β/α of the figure of the images", Ge(0)] = 2.0
    weight: Annotated[float, "of the penalty, λ", Gt(0)] = 0.1
    steps: Annotated[int, "image updates", Ge(1)] = 600
    count: Annotated[int, "images of each class; a multiple of 4", Ge(4)] = 4000
    seeds: Annotated[int, "samples, each with initial images of its own", Ge(1)] = 3

    def __post_init__(self) -> None:
        if not self.ratios or min(self.ratios) < 0:
            raise ValueError(f"ratios are {list(self.ratios)}; they are β/α, at least one, and none below 0")
        p, m = float(norm.cdf(1 - self.alpha)), abs(inside_mean(self.alpha))
        if self.weight >= 2 * p * m:
            raise ValueError(
                f"weight is {self.weight}; from {2 * p * m:.3g} on the penalty leaves nothing of the images"
            )

    def conduct(self, bench: Bench) -> Findings:
        ratios = sorted({*self.ratios, self.shown})
        rows: list[dict[str, Any]] = []
        with bench.track("contrast", len(ratios) * len(VARIANTS) * self.seeds) as done:
            for relative in ratios:
                for seed in bench.seeds(self.seeds):
                    for variant in VARIANTS:
                        images = self._learn_images(bench, variant, relative, seed)
                        rows.append(self._row(variant, relative, seed, images))
                        done(f"β/α {relative:g}, {variant}: R {rows[-1]['R']:.3f}")
        return self._findings(rows)

    def _learn_images(self, bench: Bench, variant: str, relative: float, seed: int) -> Tensor:
        """The learned images (2, 2) in normalised space, which is that of x."""
        loss, penalised = VARIANTS[variant]
        data = {"data.alpha": self.alpha, "data.beta": relative * self.alpha}
        options = {**data, "data.count": self.count, "data.split_seed": seed, "arch": "along"}
        index = self._within_margin(bench, options, seed)
        own = "loss.of" if penalised else "loss"
        options |= {own: loss, f"{own}.distance": "mse"} | ({"loss.weight": self.weight} if penalised else {})
        options |= {f"{own}.reduction": "sum"} if loss != "class-wise" else {}
        options |= {"run.image_rate": 0.2, "run.real_batch": self.count, "run.inner_loops": self.steps}
        options |= {"run.outer_loops": 1, "run.network_steps": 0, "run.criterion": "hinge"}
        choices = {"loss": "penalised"} if penalised else {}
        own_set = {"seed": seed, "set_index": index}
        return _images(bench.condense(data="gaussians", ipc=1, options=options, **own_set, **choices))

    def _within_margin(self, bench: Bench, options: Mapping[str, Any], seed: int) -> int:
        """The first set whose initial images both miss the margin: beyond it the hinge has no gradient."""
        index = 0
        while True:
            how = {"options": options, "seed": seed, "set_index": index}
            start = _images(bench.select(method="random", data="gaussians", ipc=1, **how))
            if bool((start[:, 0] * torch.tensor([-1.0, 1.0]) < 1).all()):
                return index
            index += 1

    def _row(self, variant: str, relative: float, seed: int, images: Tensor) -> dict[str, Any]:
        beta = relative * self.alpha
        wanted = {"class-wise": class_wise_ratio(self.alpha, beta), "collective": 1.0}.get(variant)
        (minus_1, minus_2), (plus_1, plus_2) = images.tolist()
        own = {
            "beta_over_alpha": relative,
            "variant": variant,
            "seed": seed,
            "R": ratio(images),
            "R_closed_form": wanted,
        }
        return own | {"minus_phi1": minus_1, "minus_phi2": minus_2, "plus_phi1": plus_1, "plus_phi2": plus_2}

    def _findings(self, rows: list[dict[str, Any]]) -> Findings:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 3.0))
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
        self._draw_images(left, rows)
        self._draw_ratios(right, rows)
        class_wise = [r for r in rows if r["variant"] == "class-wise"]
        off = max(
            abs(fmean(self._of(rows, "class-wise", x)) - r["R_closed_form"])
            for r in class_wise
            for x in [r["beta_over_alpha"]]
        )
        collective = [r["R"] for r in rows if r["variant"] == "collective"]
        largest = max(r["beta_over_alpha"] for r in rows)
        numbers = {
            "m": inside_mean(self.alpha),
            "class-wise: largest distance of mean R from m/(m+β)": off,
            "class-wise: largest distance of any R from m/(m+β)": max(
                abs(r["R"] - r["R_closed_form"]) for r in class_wise
            ),
            "collective with penalty: smallest R": min(collective),
            f"class-wise: R at β/α = {largest:g}": fmean(self._of(rows, "class-wise", largest)),
            f"collective without penalty: R at β/α = {largest:g}": fmean(
                self._of(rows, "collective, no penalty", largest)
            ),
        }
        return Findings(
            title="Why classes are matched together: two Gaussian classes that share a feature",
            page=self._page(rows, numbers, largest),
            numbers=numbers,
            tables={"contrast": rows},
            figures={"contrast": figure},
        )

    @staticmethod
    def _of(rows: list[dict[str, Any]], variant: str, relative: float) -> list[float]:
        return [r["R"] for r in rows if r["variant"] == variant and r["beta_over_alpha"] == relative]

    def _draw_ratios(self, axes: Axes, rows: list[dict[str, Any]]) -> None:
        ratios = sorted({r["beta_over_alpha"] for r in rows})
        fine = torch.linspace(0, max(ratios), 200).tolist()
        axes.plot(
            fine,
            [class_wise_ratio(self.alpha, x * self.alpha) for x in fine],
            "--",
            color="black",
            lw=1,
            label="m / (m + β)",
        )
        axes.plot(fine, [1 / (1 + x) for x in fine], ":", color="black", lw=1, label="bound α / (α + β)")
        for variant, marker in zip(VARIANTS, "os^", strict=True):
            points = [spread(self._of(rows, variant, x)) for x in ratios]
            means, deviations = zip(*points, strict=True)
            axes.errorbar(ratios, means, deviations, fmt=marker, capsize=2, label=f"{variant}, measured")
        axes.set(xlabel="strength of the common feature, β/α", ylabel="R(S), discriminative share", ylim=(-0.03, 1.05))
        axes.legend(loc="center right", bbox_to_anchor=(1.0, 0.62))

    def _draw_images(self, axes: Axes, rows: list[dict[str, Any]]) -> None:
        """One sample's classes and what is learned of them, in the plane of φ₁ and φ₂."""
        from matplotlib.patches import Circle

        beta = self.shown * self.alpha
        for sign, word in ((-1, "−"), (1, "+")):
            axes.add_patch(Circle((sign * self.alpha, beta), 1, fill=False, color="#999999", lw=1))
            axes.annotate(f"class {word}1", (sign * self.alpha, beta + 1.08), ha="center", color="#555555")
        seed = min(r["seed"] for r in rows)
        exact = solutions(self.alpha, beta, self.weight)
        for position, (variant, marker) in enumerate(zip(VARIANTS, "os^", strict=True)):
            (row,) = [r for r in rows if (r["variant"], r["beta_over_alpha"], r["seed"]) == (variant, self.shown, seed)]
            x, y = (row["minus_phi1"], row["plus_phi1"]), (row["minus_phi2"], row["plus_phi2"])
            axes.plot(x, y, marker, color=f"C{position}", ms=6)
            if variant in exact:
                axes.plot(
                    *exact[variant].T.tolist(),
                    "+",
                    color="black",
                    ms=8,
                    mew=1,
                    label="closed form" if not position else None,
                )
        axes.axhline(0, color="#bbbbbb", lw=0.6)
        axes.axvline(0, color="#bbbbbb", lw=0.6)
        axes.set(xlabel="along φ₁, discriminative", ylabel="along φ₂, common", title=f"images at β/α = {self.shown:g}")
        axes.set(xlim=(-self.alpha - 1.4, self.alpha + 1.4), ylim=(-1.3, beta + 1.7), aspect="equal")
        axes.legend(loc="lower center")

    def _page(self, rows: list[dict[str, Any]], numbers: Mapping[str, float], largest: float) -> str:
        lines = [
            [
                f"{x:g}",
                f"{class_wise_ratio(self.alpha, x * self.alpha):.3f}",
                *(f"{fmean(self._of(rows, v, x)):.3f}" for v in VARIANTS),
            ]
            for x in sorted({r["beta_over_alpha"] for r in rows})
        ]
        off, off_any, smallest, class_wise, free = list(numbers.values())[1:]
        return page(
            "contrast",
            alpha=self.alpha,
            count=self.count,
            seeds=self.seeds,
            weight=self.weight,
            shown=self.shown,
            m=numbers["m"],
            off=off,
            off_any=off_any,
            smallest=smallest,
            largest=largest,
            class_wise=class_wise,
            free=free,
            table=markdown(["β/α", "m/(m+β)", *VARIANTS], lines),
        )


def _images(s: CondensedSet) -> Tensor:
    images, _ = s.dataset().tensors
    return images.flatten(1)

"""What a scoring protocol measures, and composite protocols: robustness scores built from several accuracies.

A protocol trains networks on one thing or more (`Measurement`), each by a training of `PROTOCOLS`. A simple
one, such as `dc`, measures a set, and random real images beside it. A composite one (`COMPOSITES`) measures more, and
makes one number between 0 and 1 of all: how good a set is by itself, beyond what soft labels or augmentation give to
any images. Source: DD-Ranking, whose scores take accuracies as fractions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dcc_core.plugins import Robustness, Score


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What networks are trained on, and by which training of `PROTOCOLS`.

    subject: the condensed set, as many random real images, or all real images. labels: each image's class, or the
    set's own; for random images, labels of the same kind: if the set's are soft, the softmax of the logits of a
    network that was trained on all real images, the first of those that are. selection: labels that the run's selection
    gives, by the teacher of the set's.
    """

    subject: Literal["condensed", "random", "full"]
    training: str
    labels: Literal["own", "hard", "selection"]


@dataclass(frozen=True, kw_only=True)
class Composite:
    """A composite protocol: what it measures, `condensed` and `random` among it, and what each accuracy counts.

    Version: a change of any number that it gives is a new one.
    """

    name: str
    version: int
    title: str
    measurements: Mapping[str, Measurement]
    weights: Mapping[str, float]

    def combine(self, accuracies: Mapping[str, float]) -> float:
        """From accuracies (0..1) by measurement to a number between 0 and 1."""
        return map_to_unit(sum(weight * accuracies[name] for name, weight in self.weights.items()))

    def compute_score(self, scores: Mapping[str, Score], given: Mapping[str, float]) -> Robustness:
        """The composite score of trained measurements, and of accuracies that are known without (`given`)."""
        means = {name: given[name] if name in given else scores[name].mean for name in self.measurements}
        trained = {name: scores[name] for name in self.measurements if name not in given}
        return Robustness(
            protocol=self.name, version=self.version, value=self.combine(means), accuracies=means, scores=trained
        )


def map_to_unit(a: float) -> float:
    """(e^a − e^−1) / (e − e^−1): from −1..1 onto 0..1, increasing."""
    return (math.exp(a) - math.exp(-1)) / (math.e - math.exp(-1))


# `lrs`: half of what the set with its own labels gains over random images with such labels, less half of what the set
# with hard labels loses against all real images. `ars`: the gain over random images, with augmentation and without,
# averaged; random images keep their classes as labels, whatever the set's. All lie in -1..1 for any accuracies.
COMPOSITES = {
    c.name: c
    for c in (
        Composite(
            name="lrs",
            version=1,
            title="label-robust score",
            measurements={
                "condensed": Measurement(subject="condensed", training="dc", labels="own"),
                "hard": Measurement(subject="condensed", training="dc", labels="hard"),
                "full": Measurement(subject="full", training="dc", labels="hard"),
                "random": Measurement(subject="random", training="dc", labels="own"),
            },
            weights={"condensed": 0.5, "random": -0.5, "full": -0.5, "hard": 0.5},
        ),
        Composite(
            name="ars",
            version=1,
            title="augmentation-robust score",
            measurements={
                "condensed": Measurement(subject="condensed", training="dsa", labels="own"),
                "condensed_plain": Measurement(subject="condensed", training="dc", labels="own"),
                "random": Measurement(subject="random", training="dsa", labels="hard"),
                "random_plain": Measurement(subject="random", training="dc", labels="hard"),
            },
            weights={"condensed": 0.5, "random": -0.5, "condensed_plain": 0.5, "random_plain": -0.5},
        ),
    )
}


def measurements(protocol: str, *, baseline: bool = True, taught: bool = False) -> Mapping[str, Measurement]:
    """What a protocol measures, by name, in the order of the work.

    baseline: whether a simple protocol measures random real images; a composite one always does. taught: whether a
    teacher has made the set's labels; then a simple protocol measures what the labels alone bring.
    """
    if protocol in COMPOSITES:
        return COMPOSITES[protocol].measurements
    simple = {
        "condensed": Measurement(subject="condensed", training=protocol, labels="own"),
        "hard": Measurement(subject="condensed", training=protocol, labels="hard"),
        "random": Measurement(subject="random", training=protocol, labels="hard"),
        "random_soft": Measurement(subject="random", training=protocol, labels="selection"),
    }
    left_out = {"hard", "random_soft"} if not taught else set()
    left_out |= {"random", "random_soft"} if not baseline else set()
    return {name: m for name, m in simple.items() if name not in left_out}

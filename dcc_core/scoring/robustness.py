"""What a scoring protocol measures, and composite protocols: robustness scores built from several accuracies.

A protocol trains networks on one thing or more (`Measurement`), each by a training of `PROTOCOLS`. A simple
one, such as `dc`, measures a set, and random real images beside it. A composite one (`COMPOSITES`) measures more, and
makes one number between 0 and 1 of all: how good a set is by itself, beyond what soft labels or augmentation give to
any images. Source: DD-Ranking, whose scores take accuracies as fractions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from dcc_core.plugins import Robustness, Score

WEIGHT = 0.5
"""w of the label-robust score and γ of the augmentation-robust one."""


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
    """A composite protocol: what it measures, `condensed` and `random` among it, and what it makes of the accuracies.

    combine: from accuracies (0..1) by measurement to a number between 0 and 1. Version: a change of any number that
    it gives is a new one.
    """

    name: str
    version: int
    title: str
    measurements: Mapping[str, Measurement]
    combine: Callable[[Mapping[str, float]], float]

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


def label_robust(accuracies: Mapping[str, float]) -> float:
    """The label-robust score: `robust` of w · IOR − (1 − w) · HLR, w = 0.5.

    HLR, the hard-label recovery, is the accuracy of all real images less that of the set with hard labels; IOR, the
    improvement over random, that of the set with its own labels less that of random images with such labels. HLR
    is 1 at most and IOR −1 at least, so that the result lies in 0..1 for any accuracies.
    """
    lost = accuracies["full"] - accuracies["hard"]
    gained = accuracies["condensed"] - accuracies["random"]
    return map_to_unit(WEIGHT * gained - (1 - WEIGHT) * lost)


def augmentation_robust(accuracies: Mapping[str, float]) -> float:
    """The augmentation-robust score: `robust` of the improvement over random, with augmentation and without, averaged.

    γ · (condensed − random) + (1 − γ) · (condensed_plain − random_plain), γ = 0.5.
    """
    augmented = accuracies["condensed"] - accuracies["random"]
    plain = accuracies["condensed_plain"] - accuracies["random_plain"]
    return map_to_unit(WEIGHT * augmented + (1 - WEIGHT) * plain)


# Under `ars` random images keep their classes as labels, whatever the set's: it is about augmentation, not labels.
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
            combine=label_robust,
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
            combine=augmentation_robust,
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

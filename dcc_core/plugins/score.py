"""The score of a set: what observers receive, and what reports and set files hold."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Test accuracies (0..1) of networks trained on one set: the last accuracy of each, never the best.

    protocol, version: of the training. images_seen: training images that the networks were shown, all together.
    """

    accuracies: tuple[float, ...]
    protocol: str
    version: int
    architecture: str
    seconds: float
    images_seen: int


@dataclass(frozen=True, kw_only=True)
class Score(Measured):
    """What was measured. robustness: what a composite protocol makes of this score and others."""

    robustness: Robustness | None = None

    @property
    def mean(self) -> float:
        return statistics.fmean(self.accuracies)

    @property
    def std(self) -> float:
        """Spread over networks: the population's standard deviation."""
        return statistics.pstdev(self.accuracies)

    def as_dict(self) -> dict[str, Any]:
        """What a set file records: everything but the time."""
        return {
            "protocol": self.protocol,
            "version": self.version,
            "architecture": self.architecture,
            "accuracies": list(self.accuracies),
            "mean": self.mean,
            "std": self.std,
            "images_seen": self.images_seen,
            **({"robustness": self.robustness.as_dict()} if self.robustness else {}),
        }


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """A composite score of one set on one architecture: `value` is between 0 and 1.

    accuracies: means (0..1) of every measurement, by name. scores: those that were trained here, with the accuracies
    of all networks; the others were known beforehand.
    """

    protocol: str
    version: int
    value: float
    accuracies: Mapping[str, float]
    scores: Mapping[str, Score]

    def as_dict(self) -> dict[str, Any]:
        """What a set file records: the score, and of every part its accuracies."""
        parts = {
            name: self.scores[name].as_dict() if name in self.scores else {"mean": mean, "given": True}
            for name, mean in self.accuracies.items()
        }
        return {"protocol": self.protocol, "version": self.version, "score": self.value, "parts": parts}

"""The embedded default data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch

from dcc_core import DataSource, ImageSet, RealData

GREYS = 16


@final
@dataclass(frozen=True, kw_only=True)
class Digits(DataSource):
    """scikit-learn's 1,797 handwritten digits, 8×8 grey, with a fixed stratified split: 1,347 train, 450 test.

    They ship inside its wheel: no download.
    """

    def suggestions(self) -> Mapping[str, Any]:
        return {
            "run.outer_loops": 10,
            "run.sets": 1,
            "run.real_batch": 32,
            "arch.depth": 2,
            "score.nets": 3,
        }

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        digits = load_digits()
        train, test, y_train, y_test = train_test_split(
            digits.images, digits.target, test_size=450, random_state=0, stratify=digits.target
        )
        return RealData(
            name="digits",
            train=_image_set(train, y_train),
            test=_image_set(test, y_test),
            class_names=tuple(str(d) for d in range(10)),
            traits=frozenset({"mirror-changes-class"}),
        )


def _image_set(images: Any, labels: Any) -> ImageSet:
    grey = torch.from_numpy(images).unsqueeze(1)
    return ImageSet((grey * (255 / GREYS)).round().to(torch.uint8), torch.from_numpy(labels).long())

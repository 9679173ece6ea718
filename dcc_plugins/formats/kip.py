"""The files of Kernel Inducing Points: `.npz`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, final

import numpy as np

from dcc_core import CondensedSet, DccError
from dcc_plugins.exchange import Exporting, Format, Importing, read_npz


@final
@dataclass(frozen=True, kw_only=True)
class Kip(Format):
    """One file of two arrays: `images` (N, H, W, C), ZCA-whitened, and `labels` (N, K), targets of a regression.

    Targets are one-hot less 1 / K if they were not learned. A set file calls the class of the largest target an
    image's label, as DC-BENCH does, and keeps the targets beside it, as `label_targets`. Whitened images go into a
    tensor `whitened`: no whitening is in the file, so they cannot be brought to unit space, nor scored on images that
    are whitened differently.
    """

    zca: Annotated[
        Literal["whitened", "none"], "what was done to the images; none: normalised by mean and std alone"
    ] = "whitened"

    def read(self, path: Path, context: Importing) -> CondensedSet:
        arrays = read_npz(path, "images", "labels")
        images = arrays["images"]
        if images.ndim != 4:
            raise DccError(f"images of '{path}' have the shape {tuple(images.shape)}; expected (N, H, W, C)")
        space = "whitened" if self.zca == "whitened" else "normalised"
        return context.condensed(images.permute(0, 3, 1, 2), arrays["labels"], space=space, labels_are="targets")

    def write(self, s: CondensedSet, path: Path, context: Exporting) -> None:
        found = context.decoded(s, "whitened" if self.zca == "whitened" else "normalised")
        targets = found.targets(len(s.class_names))
        with path.open("wb") as file:
            np.savez(file, images=found.images.permute(0, 2, 3, 1).numpy(), labels=targets.numpy())

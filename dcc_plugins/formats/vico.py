"""The files of VICO's code (DC, DSA, DM) and of the official DCC code: `res_*.pt`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, final

import torch
from annotated_types import Ge
from torch import Tensor

from dcc_core import CondensedSet, DccError
from dcc_plugins.exchange import Exporting, Format, Importing, read_torch

SCORED_BEFORE = "accuracies are the file's, over all its experiments; the published code measures before its last step"


@final
@dataclass(frozen=True, kw_only=True)
class Vico(Format):
    """One file: a dictionary of `data`, a list [images, labels] per experiment, and `accs_all_exps`, by network.

    Images float32 (N, C, H, W), normalised, not clipped; labels int64 (N,), sorted by class. The file does not say by
    which mean and std.

    Departure: accuracies are written as Python's numbers. The published code writes numpy's, which torch does not read
    by default.
    """

    experiment: Annotated[
        int | None, "which experiment's set to read, from 0; none: the last, as the field's readers do", Ge(0)
    ] = None

    def read(self, path: Path, context: Importing) -> CondensedSet:
        content = read_torch(path)
        sets = content.get("data") if isinstance(content, dict) else None
        if not isinstance(sets, list) or not sets:
            raise DccError(f"'{path}' has no list 'data'; expected a dictionary with one, a set per experiment")
        index = len(sets) - 1 if self.experiment is None else self.experiment
        if index >= len(sets):
            raise DccError(f"format.experiment: {index}, and '{path}' has {len(sets)} experiments, from 0")
        images, labels = pair(sets[index], path)
        scores = _scores(content.get("accs_all_exps"))
        notes = (f"experiment {index} of {len(sets)}", *([SCORED_BEFORE] if scores else []))
        return context.condensed(images, labels, space="normalised", scores=scores, notes=notes)

    def write(self, s: CondensedSet, path: Path, context: Exporting) -> None:
        found = context.decoded(s, "normalised")
        accuracies = {score["architecture"]: list(score["accuracies"]) for score in s.provenance.scores}
        torch.save({"data": [[found.images, found.classes()]], "accs_all_exps": accuracies}, path)


def pair(content: Any, path: Path) -> tuple[Tensor, Tensor]:
    """Images and labels of a list of the two. Raises DccError for anything else."""
    if isinstance(content, list) and len(content) == 2 and all(isinstance(t, Tensor) for t in content):
        return content[0], content[1]
    raise DccError(f"'{path}' holds no list [images, labels] of two tensors where one belongs")


def _scores(accuracies: Any) -> tuple[Mapping[str, Any], ...]:
    """Accuracies by network as a set file records them; none where the file has none of that form."""
    found = accuracies if isinstance(accuracies, dict) else {}
    return tuple(
        {
            "protocol": "imported",
            "architecture": str(network),
            "accuracies": numbers,
            "mean": statistics.fmean(numbers),
            "std": statistics.pstdev(numbers),
        }
        for network, numbers in found.items()
        if isinstance(numbers, list) and numbers and all(isinstance(n, int | float) and isfinite(n) for n in numbers)
    )

"""Results of a comparison of memories: JSON, CSV, pictures, and a table for the terminal."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.table import Table

from dcc_core.config import format_duration, format_size
from dcc_core.data import RealData
from dcc_core.runs import confidence
from dcc_plugins.continual import metrics
from dcc_plugins.continual.branch import Outcome
from dcc_plugins.continual.metrics import Matrix

FORMAT = 1
NONE = "–"
JSON, CSV, PICTURES = "continual.json", "matrix.csv", ("continual.png", "continual.svg")


class Results:
    """Accuracies of every memory and seed, and their metrics.

    stages: data by label, in order. outcomes: by memory and seed. about: further JSON fields.
    """

    def __init__(
        self,
        stages: Mapping[str, RealData],
        memories: Sequence[str],
        seeds: Sequence[int],
        outcomes: Mapping[tuple[str, int], Outcome],
        about: Mapping[str, Any],
    ) -> None:
        self._stages = stages
        self._seeds = list(seeds)
        self._about = about
        self._outcomes = {memory: [outcomes[memory, seed] for seed in seeds] for memory in memories}

    def as_dict(self) -> dict[str, Any]:
        """Accuracies in 0..1; `mean`, `std` (population) and `ci95` are over seeds.

        For each memory: `average_accuracy`, `forgetting` and `backward_transfer` after each stage (the last two are
        none after the first); the mean `matrix` and one per seed; total rows and bytes of its sets, and seconds of a
        sequence by phase.
        """
        stages = [
            {"stage": label, "classes": list(d.class_names), "train": len(d.train.labels), "test": len(d.test.labels)}
            for label, d in self._stages.items()
        ]
        memories = {memory: self._memory(many) for memory, many in self._outcomes.items()}
        return {"format": FORMAT, "stages": stages, "seeds": self._seeds, "memories": memories, **self._about}

    def files(self, *, plot: bool) -> dict[str, bytes]:
        """The content of all result files, by file name."""
        files = {JSON: (json.dumps(self.as_dict(), indent=1) + "\n").encode(), CSV: self.csv().encode()}
        if plot:
            from dcc_plugins.continual.plot import draw_matrices

            curves = {memory: one["average_accuracy"] for memory, one in self.as_dict()["memories"].items()}
            drawn = draw_matrices(list(self._stages), curves)
            files |= {name: drawn[name.rpartition(".")[2]] for name in PICTURES}
        return files

    def csv(self) -> str:
        """One row per accuracy: memory, seed, last stage learned, stage tested."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["memory", "seed", "learned", "tested", "accuracy"])
        labels = list(self._stages)
        for memory, many in self._outcomes.items():
            for seed, outcome in zip(self._seeds, many, strict=True):
                for i, row in enumerate(outcome.matrix):
                    writer.writerows([memory, seed, labels[i], labels[j], value] for j, value in enumerate(row))
        return text.getvalue()

    def terminal(self) -> Table:
        """Average accuracy in percent after each stage, with forgetting, backward transfer and cost."""
        seeds = f"{len(self._seeds)} seed(s)"
        table = Table(
            title="average accuracy of the stages seen, %", caption=f"mean ± std over {seeds}; cost per sequence"
        )
        heads = [f"T{k}" for k in range(1, len(self._stages) + 1)]
        for head in ("memory", *heads, "forgetting", "backward transfer", "memory size", "memory time", "learning"):
            table.add_column(head, justify="left" if head == "memory" else "right")
        for memory, one in self.as_dict()["memories"].items():
            last = [one[name][-1] for name in ("forgetting", "backward_transfer")]
            cost = [
                format_size(one["bytes"]),
                *(format_duration(one["seconds"][phase]) for phase in ("memory", "learn")),
            ]
            table.add_row(memory, *map(_percent, [*one["average_accuracy"], *last]), *cost)
        return table

    def _memory(self, many: Sequence[Outcome]) -> dict[str, Any]:
        matrices = [o.matrix for o in many]

        def over_seeds(metric: Callable[[Matrix], Sequence[float | None]]) -> list[dict[str, Any] | None]:
            return [_summary(values) for values in zip(*map(metric, matrices), strict=True)]

        rows = range(len(self._stages))
        return {
            "average_accuracy": over_seeds(metrics.average_accuracy),
            "forgetting": over_seeds(metrics.forgetting),
            "backward_transfer": over_seeds(metrics.backward_transfer),
            "matrix": [[statistics.fmean(m[i][j] for m in matrices) for j in range(i + 1)] for i in rows],
            "matrices": dict(zip(map(str, self._seeds), matrices, strict=True)),
            "rows": many[0].rows,
            "bytes": many[0].bytes,
            "seconds": {p: round(statistics.fmean(sum(o.seconds[p]) for o in many), 3) for p in many[0].seconds},
        }


def _summary(values: Sequence[float | None]) -> dict[str, Any] | None:
    known = [v for v in values if v is not None]
    if not known:
        return None
    return {
        "mean": statistics.fmean(known),
        "std": statistics.pstdev(known),
        "ci95": confidence(known),
        "values": known,
    }


def _percent(one: Mapping[str, Any] | None) -> str:
    return NONE if one is None else f"{100 * one['mean']:.1f} ± {100 * one['std']:.1f}"

"""Soft labels of a teacher for what another selection picks or makes."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, final

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from dcc_core import Batch, Rows, RunContext, Selection, epoch_order, peak_memory, shuffled_batches
from dcc_plugins.crops import Crops, flips
from dcc_plugins.selections.composed import Composed
from dcc_plugins.teachers import Teacher, WithTeacher

log = logging.getLogger("dcc")

PRECISIONS = {"float16": torch.float16, "float32": torch.float32}
COPIES = 4
"""Copies of the images that exist at a time."""


@final
@dataclass(frozen=True, kw_only=True)
class Soft(WithTeacher, Selection):
    """The images of another selection, labelled by a teacher: whole, and crop by crop in every epoch of a training.

    Stored: `labels` (N, K), probabilities; `label_logits` (N, K), whose softmax they are; for `crops` also
    `crop_logits` (N, E, K), the logits of each image's crop in each of E epochs, mixed by CutMix. The crops are not
    stored: the same random numbers make them again. If the other selection has a teacher, it is this one.
    Source: Shen & Xing 2022 (FKD), Yin et al. 2023 (SRe2L), Sun et al. 2024 (RDED).
    """

    of: Annotated[Selection, "the selection whose images are labelled"] = field(default_factory=Composed)
    labels: Annotated[Literal["crops", "images"], "what is labelled: crops of every epoch too, or images"] = "crops"
    temperature: Annotated[float, "by which logits are divided, in training on crops the student's too", Gt(0)] = 20.0
    epochs: Annotated[int, "epochs whose crops are labelled; longer trainings repeat them", Ge(1)] = 300
    batch: Annotated[int, "images that CutMix mixes, and that a step of the training takes", Ge(1)] = 50
    smallest: Annotated[float, "smallest share of the image's area in a crop", Gt(0), Le(1)] = 0.5
    cutmix: Annotated[float, "probability that a batch is mixed", Ge(0), Le(1)] = 1.0
    precision: Annotated[Literal["float16", "float32"], "type of the stored logits of crops"] = "float16"

    def __post_init__(self) -> None:
        own, inner = self.teacher_options, getattr(self.of, "teacher_options", {})
        if wrong := [n for n in inner if inner[n] not in (getattr(Composed(), n), own[n])]:
            raise ValueError(f"of.{wrong[0]} is not its own: {wrong[0]} is that of both, leave out of.{wrong[0]}")

    def make(self, ipc: int, run: RunContext) -> Rows:
        seconds, peak = self.forecast(ipc, run)
        log.info(f"teacher, images and labels will take about {seconds / 60:.1f} min, {peak / 1e9:.1f} GB of memory")
        of = replace(self.of, **self.teacher_options) if isinstance(self.of, WithTeacher) else self.of
        return self.label(of.make(ipc, run), run)

    def forecast(self, ipc: int, run: RunContext) -> tuple[float, int]:
        """Seconds that `make` will take, about, and bytes of memory, with scoring: from a few images' passes.

        The seconds of a selection without a teacher are left out.
        """
        training, forward, step = self.forecast_teacher(run)
        labels = self.epochs * ipc * run.num_classes if self.labels == "crops" else 0
        crops = self.of.count_crops(run) if isinstance(self.of, Composed) else 0
        images = COPIES * ipc * run.num_classes * math.prod(run.data.shape) * run.real.normalisation.mean.itemsize
        logits = labels * run.num_classes * PRECISIONS[self.precision].itemsize
        tested = run.data.test.images.numel() * run.real.normalisation.mean.itemsize
        return training + (labels + crops) * forward, peak_memory(run.device) + max(2 * step, images + logits) + tested

    def label(self, rows: Rows, run: RunContext) -> Rows:
        teacher = self.find_teacher(run)
        images = run.real.normalisation.normalise(rows.images)
        logits = teacher.logits(images) / (self.temperature if self.labels == "images" else 1)
        about = {"kind": self.labels, "temperature": self.temperature, "teacher": dict(teacher.about)}
        more = {"label_logits": logits.float()}
        if self.labels == "crops":
            crops = Crops(smallest=self.smallest, flip=flips(run.data), cutmix=self.cutmix, labels=False)
            more["crop_logits"], recorded = self._label_crops(images, teacher, crops, run)
            about |= recorded
        return replace(rows, labels=logits.softmax(dim=1), more={**rows.more, **more}, about=about)

    def _label_crops(
        self, images: Tensor, teacher: Teacher, crops: Crops, run: RunContext
    ) -> tuple[Tensor, dict[str, Any]]:
        """Logits (N, E, K) of the crops of every epoch, on the CPU, and what makes the crops again."""
        batch, random = whole_batches(len(images), self.batch), run.random.at("selection", "crops")
        shape = (len(images), self.epochs, run.num_classes)
        found = torch.empty(shape, dtype=PRECISIONS[self.precision])
        log.info(f"labels of crops: {' × '.join(map(str, shape))} logits, {found.nbytes / 1e6:.1f} MB in the set file")
        data, start = Batch(images, torch.zeros(len(images), dtype=torch.int64, device=run.device)), time.perf_counter()
        for epoch in range(self.epochs):
            own = random.at("epoch", epoch)
            how = {"num_classes": run.num_classes, "augmentation": crops, "random": own}
            for chosen, mixed in zip(
                epoch_order(len(images), own).split(batch), shuffled_batches(data, batch, **how), strict=True
            ):
                found[chosen, epoch] = teacher.logits(mixed.images).cpu().to(found.dtype)
            if epoch == 0:
                log.info(f"labels of crops will take about {(self.epochs - 1) * (time.perf_counter() - start):.0f} s")
        options = {"smallest": crops.smallest, "flip": crops.flip, "cutmix": crops.cutmix, "labels": False}
        about = {"epochs": self.epochs, "batch": batch, "augmentation": "crops", "options": options}
        return found, about | {"seed": random.seed, "address": list(random.address)}


def whole_batches(count: int, batch: int) -> int:
    """The batch size, or the next larger one that leaves no batch of a single image: training would join that one."""
    return next(b for b in range(batch, batch + count + 1) if count % b != 1)

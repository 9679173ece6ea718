"""Labels of crops: training on crops that come again from the same random numbers, with a teacher's labels of each."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dcc_core.compute import Randomness
from dcc_core.data import Batch
from dcc_core.engine import TrainingImages

CROPS = "crop_logits"
"""The tensor (N, E, K) of a set file: a teacher's logits of every image's crop in every epoch."""


@dataclass(frozen=True)
class LabelledCrops(Batch):
    """Images with labels of their own, and the logits (N, E, K) of their crops in E epochs, after which they repeat.

    random: below it, the order and the draws of every epoch.
    """

    logits: Tensor
    temperature: float
    random: Randomness

    def epoch(self, number: int) -> tuple[Batch, Randomness]:
        """The images with the labels of an epoch's crops, and the random numbers that make these crops."""
        place = number % self.logits.shape[1]
        labels = (self.logits[:, place].to(self.images.dtype) / self.temperature).softmax(dim=1)
        return Batch(self.images, labels), self.random.at("epoch", place)


def images_of_epoch(data: TrainingImages, number: int, random: Randomness) -> tuple[TrainingImages, Randomness]:
    """What networks with these random numbers train on in an epoch, and the random numbers of that epoch."""
    return data.epoch(number) if isinstance(data, LabelledCrops) else (data, random.at("epoch", number))

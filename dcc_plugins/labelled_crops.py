"""A set's crops with their labels, epoch by epoch, for training code of one's own."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from dcc_core import Batch, CondensedSet, DccError, Randomness, epoch_order, shuffled_batches
from dcc_plugins.crops import Crops


def labelled_crops(s: CondensedSet, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of an epoch: normalised crops (B, C, H, W), and the probabilities (B, K) of their teacher.

    The teacher's logits are divided by the set's temperature, `s.provenance.labels["temperature"]`; a student's are to
    be divided by it too. Epochs beyond the recorded ones repeat them. Raises DccError for a set without such labels.
    """
    about, logits = s.provenance.labels, s.stored.get("crop_logits")
    if logits is None:
        raise DccError("the set has no labels of crops; dcc select --method soft makes them")
    images, _ = s.dataset().tensors
    place = epoch % logits.shape[1]
    random = Randomness(about["seed"], (*about["address"], "epoch", place))
    data = Batch(images, torch.zeros(len(images), dtype=torch.int64))
    how = {"num_classes": len(s.class_names), "augmentation": Crops(**about["options"]), "random": random}
    order = epoch_order(len(images), random).split(about["batch"])
    for chosen, crops in zip(order, shuffled_batches(data, about["batch"], **how), strict=True):
        yield crops.images, (logits[chosen, place].float() / about["temperature"]).softmax(dim=1)

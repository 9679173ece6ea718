"""Labels and class names in files, as a set file has them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dcc_core.errors import DccError

LabelKind = Literal["probabilities", "logits", "targets"]
"""Kind of soft labels: probabilities, logits, or regression targets."""

LOGITS = "label_logits"
TARGETS = "label_targets"
RAW = {"logits": LOGITS, "targets": TARGETS}
"""The tensor of a set file that keeps such labels unchanged."""


def check_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """These class names. Raises DccError for one that cannot be written as text."""
    if invalid := [name for name in names if not name or not name.isprintable()]:
        raise DccError(f"the class name {invalid[0]!r} cannot be written as text")
    return names


def placeholders(labels: Tensor) -> tuple[str, ...]:
    """`class 0` and so on, one per class in the labels."""
    if labels.ndim == 2:
        return tuple(f"class {k}" for k in range(labels.shape[1]))
    least, most = int(labels.min()), int(labels.max())
    if least < 0 or most >= len(labels):
        raise DccError(f"labels go from {least} to {most}; expected 0 to at most {len(labels) - 1}, an image per class")
    return tuple(f"class {k}" for k in range(most + 1))


def convert_labels(labels: Tensor, kind: LabelKind, classes: int) -> tuple[dict[str, Tensor], Tensor, tuple[str, ...]]:
    """The label tensors that a set stores, the class of each row, and notes."""
    if labels.ndim == 1:
        if int(labels.max()) >= classes or int(labels.min()) < 0:
            raise DccError(
                f"labels go from {int(labels.min())} to {int(labels.max())}, but there are {classes} classes"
            )
        hard = labels.long()
        return {"labels": hard}, hard, ()
    if labels.shape[1] != classes:
        raise DccError(f"labels are for {labels.shape[1]} classes, but {classes} class names are given")
    if not torch.isfinite(labels).all():
        raise DccError("labels hold NaN or infinite values")
    owners, label_notes = _find_owners(labels)
    if kind == "probabilities":
        return {"labels": labels.float()}, owners, label_notes
    kept = {RAW[kind]: labels.float()}
    if kind == "logits":
        note = f"labels are the softmax of the file's logits, which are kept in {LOGITS}"
        return {"labels": labels.double().softmax(dim=1).float(), **kept}, owners, (*label_notes, note)
    note = f"labels are the classes of the largest of the file's regression targets, which are kept in {TARGETS}"
    return {"labels": labels.argmax(dim=1), **kept}, owners, (*label_notes, note)


def _find_owners(labels: Tensor) -> tuple[Tensor, tuple[str, ...]]:
    """The class of each row of soft labels, by position: these layouts are sorted by class.

    If fewer than half of the largest labels agree, the file is not sorted, and the largest label decides.
    """
    rows, classes = labels.shape
    largest = labels.argmax(dim=1)
    if rows % classes:
        return largest, ()
    places = torch.arange(classes).repeat_interleave(rows // classes)
    differ = int((largest != places).sum())
    if 2 * differ > rows:
        return largest, ()
    return places, (f"the largest label of {differ} images is not their own class's",) if differ else ()

"""What components give during a run, held to the rules of their kind: those that cost nothing to check.

The rest are the conformance kit's (`dcc_core.testing`). Every function raises ContractError, without the component's
name, which the caller adds (`errors.breaches_of`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from dcc_core.data import Batch, RealData
from dcc_core.engine.parametrisation import SHARED
from dcc_core.errors import ContractError


def describe_value(value: object) -> str:
    """Something that is not what it should be: `torch.int64 of shape (2,), 0 to 9`, or its type."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    whole = value.dtype == torch.int64 and value.numel()
    span = f", {int(value.min())} to {int(value.max())}" if whole else ""
    return f"{value.dtype} of shape {tuple(value.shape)}{span}"


def check_picked(chosen: object, n: int, data: RealData) -> Tensor:
    """The indices that a selection gives for every class, `n` each, in one tensor."""
    if not isinstance(chosen, Iterable):
        raise ContractError(f"select gives indices for every class; it gave {type(chosen).__name__}")
    each = list(chosen)
    if len(each) != data.num_classes:
        raise ContractError(f"select picks for every class; of {data.num_classes} classes it gave {len(each)}")
    for label, (name, indices) in enumerate(zip(data.class_names, each, strict=True)):
        if not isinstance(indices, Tensor) or indices.dtype != torch.int64 or indices.ndim != 1:
            found = describe_value(indices)
            raise ContractError(f"select gives indices as int64 tensors ({n},); for class '{name}' it gave {found}")
        inside = bool(((indices >= 0) & (indices < len(data.train.labels))).all())
        if not inside or len(indices) != n or len(indices.unique()) != n or (data.train.labels[indices] != label).any():
            raise ContractError(
                f"select picks {n} different images of every class, by their place among the training images, 0 to "
                f"{len(data.train.labels) - 1}; of class '{name}' it picked {indices.tolist()[:10]}"
            )
    return torch.cat(each)


def check_stored(tensors: object, rows: int) -> dict[str, Tensor]:
    """What a parametrisation stores for a number of rows."""
    if not isinstance(tensors, Mapping):
        raise ContractError(f"init gives tensors by name; it gave {type(tensors).__name__}")
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise ContractError(f"init gives tensors by name; '{name}' is {type(tensor).__name__}")
        if not name.startswith(SHARED) and tensor.shape[:1] != (rows,):
            raise ContractError(
                f"a stored tensor has one row for every stored image, or a name that begins with {SHARED}; "
                f"of {rows} rows '{name}' has the shape {tuple(tensor.shape)}"
            )
    if not any(tensor.requires_grad for tensor in tensors.values()):
        raise ContractError(f"what requires grad is learned; of what init gives ({', '.join(tensors)}) nothing does")
    return dict(tensors)


def as_batch(found: object) -> Batch:
    """What `decode` gives: images and labels."""
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise ContractError(f"decode gives images and labels, a tuple of two; it gave {describe_value(found)}")
    return Batch(*found)


def check_decoded(batch: Batch, images: int, data: RealData, dtype: torch.dtype) -> Batch:
    """The training images that a parametrisation decodes from some rows. images: their expected number."""
    expected = (images, *data.shape)
    if not isinstance(batch.images, Tensor) or (tuple(batch.images.shape), batch.images.dtype) != (expected, dtype):
        raise ContractError(
            f"decode gives images_per_row images of the data's shape for every row, {dtype} of shape {expected}; "
            f"it gave {describe_value(batch.images)}"
        )
    if not _labels_fit(batch.labels, images, data.num_classes):
        raise ContractError(
            f"decode gives labels, int64 of shape ({images},), 0 to {data.num_classes - 1}, or probabilities of shape "
            f"({images}, {data.num_classes}); it gave {describe_value(batch.labels)}"
        )
    if not (batch.images.requires_grad or batch.labels.requires_grad):
        raise ContractError("what is decoded depends on what is stored and requires grad; nothing of it does")
    return batch


def _labels_fit(labels: object, images: int, classes: int) -> bool:
    if not isinstance(labels, Tensor):
        return False
    if labels.is_floating_point():
        return labels.shape == (images, classes)
    inside = bool(((labels >= 0) & (labels < classes)).all())
    return labels.dtype == torch.int64 and labels.shape == (images,) and inside

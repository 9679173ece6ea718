"""Read the snapshots in a run folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from dcc_core.errors import DccError
from dcc_core.runs import SNAPSHOT_KEY, SNAPSHOTS, Pictures


def read_snapshots(folder: Path) -> Iterator[Pictures]:
    """The snapshots in a run's folder, in the order of their moments. Raises DccError for a damaged one."""
    for path in sorted((folder / SNAPSHOTS).glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads((file.metadata() or {})[SNAPSHOT_KEY])
                images, owners = file.get_tensor("images"), file.get_tensor("owners")
            found = Pictures(
                int(about["step"]), tuple(map(str, about["class_names"])), images, owners, tuple(about["counts"])
            )
            _check(found)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise DccError(f"snapshot '{path}' is damaged: {error}; remove it") from error
        yield found


def _check(p: Pictures) -> None:
    classes, shape = len(p.class_names), tuple(p.images.shape)
    if p.images.dtype != torch.uint8 or len(shape) != 4 or shape[1] not in (1, 3) or shape[:1] != p.owners.shape:
        raise ValueError(f"images are {p.images.dtype} {shape} for {len(p.owners)} owners")
    if len(p.counts) != classes or not torch.equal(p.owners.unique(), torch.arange(classes)):
        raise ValueError(f"not every one of {classes} classes has images")

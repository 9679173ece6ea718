"""The synthetic set before its first step: real images, noise, or another set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dcc_core.contracts import stored
from dcc_core.coreset import selected
from dcc_core.decoding import check_fits
from dcc_core.errors import DccError, faults_of
from dcc_core.run_context import RunContext
from dcc_core.setfile import CondensedSet

if TYPE_CHECKING:
    from dcc_core.job import Job

Rows = tuple[dict[str, Tensor], Tensor]


def initial_rows(job: Job, run: RunContext) -> Rows:
    """What is stored before the first step, and the class of each row: (N,) int64 on the CPU, ascending.

    Raises DccError where a selection or the parametrisation breaks its contract, or a set file does not fit.
    """
    if job.initial_set:
        return _from_set(job, job.initial_set, run)
    owners = torch.arange(run.num_classes).repeat_interleave(run.ipc)
    n = run.ipc * run.parametrisation.images_per_row
    if job.config.run.init == "noise":
        labels = torch.arange(run.num_classes).repeat_interleave(n).to(run.device)
        noise = torch.randn((len(labels), *run.data.shape), generator=run.random.generator("init"), dtype=run.dtype)
        return _stored(run, noise.to(run.device), labels, len(owners)), owners
    batch = run.real.batch(selected(job, run, n))
    return _stored(run, batch.images, batch.labels, len(owners)), owners


def _stored(run: RunContext, images: Tensor, labels: Tensor, rows: int) -> dict[str, Tensor]:
    """What the parametrisation makes of images. Raises DccError that names it where that is not what it should be."""
    with faults_of(run.titled("param")):
        return stored(run.parametrisation.init(images, labels, run), rows)


def _from_set(job: Job, s: CondensedSet, run: RunContext) -> Rows:
    """A set as initial images: as it is stored where the parametrisation is the same, else decoded."""
    check_fits(s, job.data)
    decoded = job.decoded(s)
    owners = _packed(s.owners.repeat_interleave(len(decoded.images) // len(s.owners)), run)
    largest = int(torch.bincount(owners).max())
    if largest != run.ipc:
        raise DccError(
            f"run.ipc: {run.ipc} images per class, but the set to start from has {largest}; add --ipc {largest}"
        )
    images = run.real.normalisation.normalise(job.normalisation_of(s).to_unit(decoded.images))
    rows = _stored(run, images, decoded.labels, len(owners))
    same_space = (s.provenance.mean, s.provenance.std) == (run.data.mean, run.data.std)
    if same_space and s.provenance.options("param") == job.own_parametrisation():
        values = job.normalised(s)
        rows = {name: values[name].requires_grad_(t.requires_grad) for name, t in rows.items()}
    return rows, owners


def _packed(owners: Tensor, run: RunContext) -> Tensor:
    """The class of each row, where images of these classes (ascending) are packed several into one."""
    together = run.parametrisation.images_per_row
    for name, count in zip(run.data.class_names, torch.bincount(owners).tolist(), strict=True):
        if count % together:
            raise DccError(
                f"run.init: the parametrisation packs {together} images into one, and the set to start from has "
                f"{count} of class '{name}', not a multiple of that"
            )
    return owners[::together]

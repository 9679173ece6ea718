"""Real images as a set: those that the configured selection picks, and random ones to compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dcc_core.contracts import picked
from dcc_core.errors import DccError, faults_of
from dcc_core.provenance import provenance_of_coreset, provenance_of_random
from dcc_core.run_context import RunContext
from dcc_core.setfile import CondensedSet

if TYPE_CHECKING:
    from dcc_core.job import Job


def selected(job: Job, run: RunContext, n: int) -> Tensor:
    """Indices of `n` training images of every class, as the selection picks them, class by class.

    Raises DccError where the selection breaks its contract, or keeps every image.
    """
    if job.config.selection.whole:
        raise DccError(
            f"selection '{job.config.names['selection']}' keeps every image, not {n} of each class; "
            "it can be scored by `dcc select` alone"
        )
    with faults_of(run.titled("selection")):
        return picked(job.config.selection.select(run.data, n, run), n, run.data)


def coreset(job: Job, set_index: int = 0) -> CondensedSet:
    """The images that the selection picks, `run.ipc` of every class, exactly as they are."""
    run = job.context(set_index)
    chosen = selected(job, run, run.ipc)
    images, labels = run.data.train.images[chosen].to(torch.float32) / 255, run.data.train.labels[chosen]
    return CondensedSet({"images": images, "labels": labels, "owners": labels}, provenance_of_coreset(job, set_index))


def random_set(job: Job, like: CondensedSet) -> CondensedSet:
    """Random real images, as many of each class as `like` stores: the baseline."""
    counts = torch.bincount(like.owners, minlength=job.data.num_classes).tolist()
    index = like.provenance.set
    random = job.random(index).at("baseline")
    parts = [job.real.draw(k, n, random.generator(k)) for k, n in enumerate(counts)]
    images = job.real.normalisation.to_unit(torch.cat([p.images for p in parts])).cpu()
    labels = torch.cat([p.labels for p in parts]).cpu()
    return CondensedSet({"images": images, "labels": labels, "owners": labels}, provenance_of_random(job, index))

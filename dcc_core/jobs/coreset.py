"""Sets of real images: by the configured coreset selection, or random as a baseline."""

from __future__ import annotations

import torch
from torch import Tensor

from dcc_core.jobs.job import Job
from dcc_core.jobs.provenance import describe_coreset, describe_random
from dcc_core.jobs.starting_images import select_indices
from dcc_core.sets import CondensedSet, Provenance


def select_coreset(job: Job, set_index: int = 0) -> CondensedSet:
    """The unchanged images that the selection picks, `run.ipc` per class."""
    run = job.context(set_index)
    return real_set(job, select_indices(job.config, run, run.ipc), coreset_provenance(job, set_index))


def coreset_provenance(job: Job, set_index: int) -> Provenance:
    """Provenance of a set that the job's selection picks."""
    return describe_coreset(job.config, job.registry, job.data, set_index, initial_set=job.initial_set)


def real_set(job: Job, chosen: Tensor, provenance: Provenance) -> CondensedSet:
    """A set of unchanged training images. chosen: their indices, class by class."""
    train = job.data.train
    images, labels = train.images[chosen].to(torch.float32) / 255, train.labels[chosen]
    return CondensedSet({"images": images, "labels": labels, "owners": labels}, provenance)


def random_set(job: Job, like: CondensedSet) -> CondensedSet:
    """The baseline: random real images, as many per class as `like` stores rows."""
    counts = torch.bincount(like.owners, minlength=job.data.num_classes).tolist()
    index = like.provenance.set
    random = job.random(index).at("baseline")
    parts = [job.real.draw(k, n, random.generator(k)) for k, n in enumerate(counts)]
    images = job.real.normalisation.to_unit(torch.cat([p.images for p in parts])).cpu()
    labels = torch.cat([p.labels for p in parts]).cpu()
    stored = {"images": images, "labels": labels, "owners": labels}
    return CondensedSet(stored, describe_random(job.config, job.data, index))

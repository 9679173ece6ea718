"""Sets of real images: by the configured coreset selection, or random as a baseline."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dcc_core.engine import Rows
from dcc_core.errors import faults_of
from dcc_core.jobs.job import Job
from dcc_core.jobs.provenance import describe_coreset, describe_random
from dcc_core.jobs.starting_images import make_rows
from dcc_core.sets import CondensedSet, Provenance


def select_coreset(job: Job, set_index: int = 0) -> CondensedSet:
    """The images that the selection picks or makes, `run.ipc` per class."""
    run = job.context(set_index)
    owners = torch.arange(run.num_classes).repeat_interleave(run.ipc)
    return _set_of_rows(make_rows(job.config, run, run.ipc), owners, coreset_provenance(job, set_index))


def coreset_provenance(job: Job, set_index: int) -> Provenance:
    """Provenance of a set that the job's selection picks."""
    return describe_coreset(job.config, job.registry, job.data, set_index, initial_set=job.initial_set)


def label_by_selection(job: Job, s: CondensedSet) -> CondensedSet:
    """The same images with labels of the kind that the job's selection makes."""
    run = job.context(s.provenance.set)
    rows = Rows(images=s.images.to(job.device, job.dtype), labels=s.labels.to(job.device))
    with faults_of(run.title_of_section("selection")):
        return _set_of_rows(job.config.selection.label(rows, run), s.owners, s.provenance)


def _set_of_rows(rows: Rows, owners: Tensor, provenance: Provenance) -> CondensedSet:
    stored = {"images": rows.images.float(), "labels": rows.labels, **rows.more}
    stored = {name: t.cpu() for name, t in stored.items()} | {"owners": owners}
    return CondensedSet(stored, replace(provenance, labels=rows.about))


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

"""What a set file says about where its set comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcc_core.builder import KIND_OF_KEY
from dcc_core.options import plain
from dcc_core.registry import Registry
from dcc_core.setfile import Provenance
from dcc_core.settings import Setting

if TYPE_CHECKING:
    from dcc_core.job import Job

PLACES = ("run.device", "run.data_root", "run.log", "run.checkpoint", "run.snapshots", "score.curve")
"""Options that say where or how it is told, not what: they stay out of the set file."""
OF_CORESETS = ("data", "selection", "aug", "arch", "score")
"""Sections that bear on a selection of real images, besides `OF_CORESETS_RUN`."""
OF_CORESETS_RUN = ("run.ipc", "run.seed", "run.precision", "run.sets")


def provenance_of(
    job: Job,
    set_index: int,
    *,
    learned: Mapping[str, Any] | None = None,
    finished: bool = True,
    notes: tuple[str, ...] = (),
) -> Provenance:
    """The provenance of a condensed set of a job."""
    own = _provenance(job, set_index, job.method, _placeless(job), learned or {}, finished)
    return replace(own, notes=notes)


def provenance_of_coreset(job: Job, set_index: int) -> Provenance:
    """The provenance of the images that a job's selection picks: nothing of a loss, nor of its schedule."""
    table = _placeless(job)
    bears = {k: v for k, v in table.items() if k.partition(".")[0] in OF_CORESETS or k in OF_CORESETS_RUN}
    return _provenance(job, set_index, job.config.names["selection"], bears, {}, True)


def provenance_of_random(job: Job, set_index: int) -> Provenance:
    """The provenance of the random images that a set is compared with."""
    return _provenance(job, set_index, "random", {}, {}, True)


def _provenance(
    job: Job, set_index: int, method: str, config: Mapping[str, Any], learned: Mapping[str, Any], finished: bool
) -> Provenance:
    _, height, width = job.data.shape
    return Provenance(
        method=method,
        data=job.data.name,
        class_names=job.data.class_names,
        mean=job.data.mean,
        std=job.data.std,
        size=(height, width),
        seed=job.config.run.seed,
        set=set_index,
        config=config,
        learned=learned,
        versions=job.versions,
        finished=finished,
    )


def placeless(entries: Mapping[str, Setting], registry: Registry) -> dict[str, Any]:
    """Options without what says where, as plain values: of folders that a component's name holds, the last part."""
    table = {key: plain(s.value) for key, s in entries.items() if key not in PLACES}
    for key, setting in entries.items():
        if isinstance(setting.value, Path) and key in table:
            del table[key]
            component = key.rpartition(".")[0]
            kind = KIND_OF_KEY[component]
            found = registry.find(kind, str(table[component]))
            if found.argument is not None:
                table[component] = found.provided.component.prefix + setting.value.resolve().name
    return table


def _placeless(job: Job) -> dict[str, Any]:
    table = placeless(job.config.entries, job.registry)
    if job.initial_set:
        table["run.init"] = f"set file {hashlib.sha256(job.initial_set.to_bytes()).hexdigest()[:16]}"
    return table

"""What a set file says about where its set comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from dcc_core.config import without_places
from dcc_core.data import RealData
from dcc_core.jobs.configuration import Config, versions_of
from dcc_core.plugins import Registry
from dcc_core.sets import CondensedSet, Provenance

OF_CORESETS = ("data", "selection", "aug", "arch", "score")
"""Sections that a selection of real images depends on, besides `OF_CORESETS_RUN`."""
OF_CORESETS_RUN = ("run.ipc", "run.seed", "run.precision", "run.sets")


def describe_condensed(
    config: Config,
    registry: Registry,
    data: RealData,
    set_index: int,
    *,
    initial_set: CondensedSet | None,
    learned: Mapping[str, Any] | None = None,
    finished: bool = True,
    notes: tuple[str, ...] = (),
) -> Provenance:
    """The provenance of a condensed set. initial_set: the set that it begins from, if a file gives one."""
    options = without_places(config.entries, registry)
    if initial_set:
        options["run.init"] = f"set file {hashlib.sha256(initial_set.to_bytes()).hexdigest()[:16]}"
    how = {"config": options, "learned": learned or {}, "finished": finished, "notes": notes}
    return _describe(config, data, set_index, config.method, **how)


def describe_coreset(
    config: Config, registry: Registry, data: RealData, set_index: int, *, initial_set: CondensedSet | None
) -> Provenance:
    """The provenance of the images that the selection picks: nothing of a loss, nor of its schedule."""
    table = describe_condensed(config, registry, data, set_index, initial_set=initial_set).config
    options = {k: v for k, v in table.items() if k.partition(".")[0] in OF_CORESETS or k in OF_CORESETS_RUN}
    return _describe(config, data, set_index, config.names["selection"], config=options)


def describe_random(config: Config, data: RealData, set_index: int) -> Provenance:
    """The provenance of the random images that a set is compared with."""
    return _describe(config, data, set_index, "random")


def _describe(options_of: Config, data: RealData, set_index: int, method: str, **more: Any) -> Provenance:
    _, height, width = data.shape
    return Provenance(
        method=method,
        data=data.name,
        class_names=data.class_names,
        mean=data.mean,
        std=data.std,
        size=(height, width),
        seed=options_of.run.seed,
        set=set_index,
        versions=versions_of(options_of),
        **more,
    )

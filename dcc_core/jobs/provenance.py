"""The provenance that set files record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from dcc_core.config import without_places
from dcc_core.data import RealData
from dcc_core.jobs.configuration import Config, versions_of
from dcc_core.plugins import Registry
from dcc_core.sets import CondensedSet, Provenance

CORESET_SECTIONS = ("data", "selection", "aug", "arch", "score")
"""Sections that a coreset selection depends on, besides `CORESET_RUN_OPTIONS`."""
CORESET_RUN_OPTIONS = ("run.ipc", "run.seed", "run.precision", "run.sets")


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
    """Provenance of a condensed set. initial_set: the set file that it starts from, if any."""
    options = without_places(config.entries, registry)
    if initial_set:
        options["run.init"] = f"set file {hashlib.sha256(initial_set.to_bytes()).hexdigest()[:16]}"
    how = {"config": options, "learned": learned or {}, "finished": finished, "notes": notes}
    return _describe(config, data, set_index, config.method, **how)


def describe_coreset(
    config: Config, registry: Registry, data: RealData, set_index: int, *, initial_set: CondensedSet | None
) -> Provenance:
    """Provenance of the images that the selection picks, without the loss and its schedule."""
    table = describe_condensed(config, registry, data, set_index, initial_set=initial_set).config
    options = {k: v for k, v in table.items() if k.partition(".")[0] in CORESET_SECTIONS or k in CORESET_RUN_OPTIONS}
    return _describe(config, data, set_index, config.names["selection"], config=options)


def describe_random(config: Config, data: RealData, set_index: int) -> Provenance:
    """Provenance of the random images that a set is compared with."""
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

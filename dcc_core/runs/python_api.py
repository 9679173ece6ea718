"""The Python interface: the same engine, names and defaults as `dcc-run`, without a folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dcc_core.config import DEFAULT_NAMES, KIND_OF_KEY, Rank, RunOptions, ScoreOptions, Settings, schema
from dcc_core.engine import OnStep
from dcc_core.errors import DccError
from dcc_core.jobs import Config, Job, resolve, score_set, select_coreset
from dcc_core.plugins import Registry, Score
from dcc_core.sets import CondensedSet, load_set

log = logging.getLogger("dcc")


def condense(
    *,
    options: Mapping[str, Any] | None = None,
    set_index: int = 0,
    watch: OnStep | None = None,
    registry: Registry | None = None,
    **choices: Any,
) -> CondensedSet:
    """Learn one condensed set.

    choices: components by section and engine options by name, as the flags of `dcc-run` have them:
        `data="digits", loss="collective", aug="dsa", ipc=1, seed=0, outer_loops=100`.
    options: anything else by dotted key: `{"loss.distance": "cosine"}`.
    set_index: which of the sets that share a seed. watch: called with a `StepReport` after every step.
    Raises DccError (OptionError) for wrong names and values.
    """
    registry = registry or Registry.installed()
    return Job(resolve_options(registry, Settings(), choices, options), registry).condense(set_index, watch)


def select(
    *,
    method: str = "random",
    options: Mapping[str, Any] | None = None,
    set_index: int = 0,
    registry: Registry | None = None,
    **choices: Any,
) -> CondensedSet:
    """Select real images of every class, a coreset, as `dcc select` does.

    method: the selection. The other arguments are those of `condense`: `data="cifar10", ipc=10, arch="convnet"`.
    Raises DccError (OptionError) for wrong names and values, and if something that the selection needs is missing.
    """
    registry = registry or Registry.installed()
    return select_coreset(
        Job(resolve_options(registry, Settings(), choices | {"selection": method}, options), registry), set_index
    )


def score(
    condensed: CondensedSet | str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    registry: Registry | None = None,
    **choices: Any,
) -> Score:
    """Score a condensed set, or the file of one, on the test images of its data.

    Data, architecture, protocol and seed are the set's own unless `choices` or `options` say otherwise:
    `nets=20, protocol="dsa", arch="convnet"`. The same choices give the accuracies of the run that made it.
    With `protocol="lrs"` or `"ars"`, `Score.robustness` holds the composite score with its parts.
    Raises DccError if the set does not fit the data.
    """
    s = _load_if_path(condensed)
    return score_set(_make_job(s, registry, choices, options), s)


def score_across(
    condensed: CondensedSet | str | Path,
    architectures: Sequence[str],
    *,
    options: Mapping[str, Any] | None = None,
    registry: Registry | None = None,
    **choices: Any,
) -> dict[str, Score]:
    """`score` on several architectures, by name: `["convnet", "resnet18,norm=batch", "timm/vit_tiny_patch16_224"]`.

    The set's own architecture has the options it was condensed with. Raises DccError as `score` does.
    """
    s = _load_if_path(condensed)
    job = _make_job(s, registry, choices, {**(options or {}), "score.arch": list(architectures)})
    return {n: score_set(job, s, n) for n in job.config.networks}


def settings_of_set(s: CondensedSet, registry: Registry) -> Settings:
    """The options for scoring a set, from its provenance, without components that are not installed."""
    own = s.provenance.options("data", "param", "score")
    for key in ("arch", "aug", *(["selection"] if s.provenance.labels else [])):
        options = s.provenance.options(key)
        try:
            registry.find(KIND_OF_KEY[key], str(options.get(key, DEFAULT_NAMES[key])))
        except DccError:
            log.warning(f"the set was made with {KIND_OF_KEY[key]} '{options[key]}', which is not installed here")
        else:
            own |= options
    own |= {k: v for k, v in s.provenance.config.items() if k in ("run.seed", "run.precision")}
    settings = Settings()
    settings.add(own, "set file", Rank.RECIPE)
    return settings


def _load_if_path(condensed: CondensedSet | str | Path) -> CondensedSet:
    return condensed if isinstance(condensed, CondensedSet) else load_set(condensed)


def _make_job(
    s: CondensedSet, registry: Registry | None, choices: Mapping[str, Any], options: Mapping[str, Any] | None
) -> Job:
    registry = registry or Registry.installed()
    return Job(resolve_options(registry, settings_of_set(s, registry), choices, options), registry)


def resolve_options(
    registry: Registry, settings: Settings, choices: Mapping[str, Any], options: Mapping[str, Any] | None
) -> Config:
    """The configuration from arguments, which override settings. Raises OptionError with every mistake."""
    settings.add(options or {}, "options", Rank.OPTION)
    settings.add({_key_of(name): value for name, value in choices.items()}, "argument", Rank.FLAG)
    return resolve(registry, settings)


def _key_of(name: str) -> str:
    """The dotted key of an argument: `loss`, `run.ipc`, `score.nets`."""
    if name in KIND_OF_KEY or name == "recipe":
        return name
    for section, cls in (("run", RunOptions), ("score", ScoreOptions)):
        if name in schema(cls):
            return f"{section}.{name}"
    raise DccError(f"unknown argument '{name}'; options of components go into options={{'loss.distance': ...}}")

"""The Python interface: the same engine, names and defaults as `dcc-run`; objects stand where names do."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dcc_core.config import (
    DEFAULT_NAMES,
    KIND_OF_KEY,
    Rank,
    RunOptions,
    ScoreOptions,
    Settings,
    flatten,
    schema,
    settings_of_run,
)
from dcc_core.engine import OnStep
from dcc_core.errors import DccError
from dcc_core.group import ALONE
from dcc_core.jobs import Config, Job, resolve, score_set, select_coreset
from dcc_core.plugins import PYTHON, Registry, Score, hookimpl
from dcc_core.runs.progress import Silent
from dcc_core.runs.run import execute
from dcc_core.runs.run_folder import CONDENSING, SELECTING, open_folder
from dcc_core.sets import CondensedSet, load_set

log = logging.getLogger("dcc")
Place = str | Path | None


def condense(
    *,
    options: Mapping[str, Any] | None = None,
    set_index: int = 0,
    watch: OnStep | None = None,
    registry: Registry | None = None,
    out: Place = None,
    resume: Place = None,
    overwrite: bool = False,
    **choices: Any,
) -> CondensedSet:
    """Learn one condensed set.

    choices: components by section and engine options by name, as the flags of `dcc-run` have them:
        `data="digits", loss="collective", aug="dsa", ipc=1, seed=0, outer_loops=100`. In place of a name, a component
        may be an object, e.g. `data=(images, labels), loss=my_function`: docs/python.md lists them.
    options: anything else by dotted key: `{"loss.distance": "cosine"}`.
    set_index: which of the sets that share a seed. watch: called with a `StepReport` after every step.
    out: a folder to run into as `dcc-run --out` does, or to resume in; the set is the first one there, with its scores.
    resume: the folder of an unfinished run; objects are given again. overwrite: replace an earlier run's results.
    Raises DccError (OptionError) for wrong names and values.
    """
    config, registry, folder = _prepare(registry, out, resume, overwrite, choices, options)
    if folder:
        return _run(config, registry, folder, CONDENSING, overwrite, set_index, watch)
    return Job(config, registry).condense(set_index, watch)


def select(
    *,
    method: Any = None,
    options: Mapping[str, Any] | None = None,
    set_index: int = 0,
    registry: Registry | None = None,
    out: Place = None,
    resume: Place = None,
    overwrite: bool = False,
    **choices: Any,
) -> CondensedSet:
    """Select real images of every class, a coreset, as `dcc select` does.

    method: the selection, `random` by default. The other arguments are those of `condense`:
        `data="cifar10", ipc=10, arch="convnet"`.
    Raises DccError (OptionError) for wrong names and values, and if something that the selection needs is missing.
    """
    chosen = choices if method is None else choices | {"selection": method}
    config, registry, folder = _prepare(registry, out, resume, overwrite, chosen, options)
    if folder:
        return _run(config, registry, folder, SELECTING, overwrite, set_index)
    return select_coreset(Job(config, registry), set_index)


def score(
    condensed: CondensedSet | str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    registry: Registry | None = None,
    **choices: Any,
) -> Score:
    """Score a condensed set, or the file of one, on the test images of its data.

    Data, architecture, protocol and seed are the set's own unless `choices` or `options` say otherwise:
    `nets=20, protocol="dsa", arch="convnet"`. What was given in Python is given again. The same choices give the
    accuracies of the run that made it. With `protocol="lrs"` or `"ars"`, `Score.robustness` holds the composite score
    with its parts. Raises DccError if the set does not fit the data.
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


def settings_of_set(s: CondensedSet, registry: Registry, *, own_network: bool = True) -> Settings:
    """The options for scoring a set, from its provenance, without components that are not installed.

    own_network: its own architecture is needed. One that was given in Python then stays, for others to give it again.
    """
    own = s.provenance.options("data", "param", "score")
    for key in ("arch", "aug", *(["selection"] if s.provenance.labels else [])):
        options = s.provenance.options(key)
        name = str(options.get(key, DEFAULT_NAMES[key]))
        try:
            registry.find(KIND_OF_KEY[key], name)
        except DccError:
            if name.startswith(f"{PYTHON}:") and (own_network or key != "arch"):
                own |= options
            else:
                log.warning(f"the set was made with {KIND_OF_KEY[key]} '{name}', which is not installed here")
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
    own = settings_of_set(s, registry, own_network="score.arch" not in (options or {}))
    return Job(*resolve_options(registry, own, choices, options))


def resolve_options(
    registry: Registry | None, settings: Settings, choices: Mapping[str, Any], options: Mapping[str, Any] | None
) -> tuple[Config, Registry]:
    """The configuration from arguments, which override settings, and a registry that knows the objects among them.

    Raises OptionError with every mistake, DccError for an object that stands for no component.
    """
    given = flatten(options or {}) | {_key_of(name): value for name, value in choices.items()}
    named, registry = (registry or Registry.installed()).name_objects(given)
    flags = {_key_of(name) for name in choices}
    for key, value in named.items():
        rank = Rank.FLAG if key in flags else Rank.OPTION
        origin = ("argument" if key in flags else "options") if given.get(key) is value else "given in Python"
        settings.add({key: value}, origin, rank)
    return resolve(registry, settings), registry


def _prepare(
    registry: Registry | None, out: Place, resume: Place, overwrite: bool, choices: Mapping[str, Any], options: Any
) -> tuple[Config, Registry, Path | None]:
    """The configuration of a run, its registry, and its folder if it has one."""
    out, resume = (None if folder is None else Path(folder) for folder in (out, resume))
    settings = settings_of_run(resume, out, overwrite=overwrite)
    return *resolve_options(registry, settings, choices, options), resume or out


def _run(
    config: Config,
    registry: Registry,
    path: Path,
    sections: tuple[str, ...],
    overwrite: bool,
    set_index: int,
    watch: OnStep | None = None,
) -> CondensedSet:
    """Run into a folder as `dcc-run` and `dcc select` do; returns the first set, as read back."""
    if set_index:
        raise DccError(f"set_index: {set_index}, but a run into a folder makes all of run.sets; leave it out")
    folder = open_folder(ALONE, config, path, sections, overwrite=overwrite)
    observer = SimpleNamespace(dcc_step_finished=hookimpl(lambda report: watch and watch(report)))
    with registry.listening("condense(watch)", "watch", observer) if watch else contextlib.nullcontext():
        execute(config, registry, folder, Silent(), selecting=sections is SELECTING)
    return load_set(path / "set.safetensors")


def _key_of(name: str) -> str:
    """The dotted key of an argument: `loss`, `run.ipc`, `score.nets`."""
    if name in KIND_OF_KEY or name == "recipe":
        return name
    for section, cls in (("run", RunOptions), ("score", ScoreOptions)):
        if name in schema(cls):
            return f"{section}.{name}"
    raise DccError(f"unknown argument '{name}'; options of components go into options={{'loss.distance': ...}}")

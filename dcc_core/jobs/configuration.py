"""The resolved configuration: options checked, components built, every value with its origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcc_core.config import (
    DEFAULT_NAMES,
    ENGINE_SECTIONS,
    Builder,
    Rank,
    RunOptions,
    ScoreOptions,
    Setting,
    Settings,
    plain,
)
from dcc_core.errors import ContractError, DccError, did_you_mean, faults_of
from dcc_core.plugins import Registry

if TYPE_CHECKING:
    from dcc_core.data import DataSource
    from dcc_core.engine import Architecture, Augmentation, MatchingLoss, Parametrisation, Schedule, Selection
    from dcc_core.plugins import Observer

DECIDED_BY_LOSS = ("run.inner_loops", "run.network_steps")

RATE_OF_OPTIMISER = {"normalised": 0.03, "adam": 0.03}
"""Image rates of optimisers that do not depend on the size of the loss."""


@dataclass(frozen=True)
class Config:
    """A resolved configuration.

    entries: value and origin of every option by dotted key, in a readable order. names: the chosen component of each
    section, e.g. {"loss": "collective"}, without `builtin:`. titles: names with plugin and version, for messages, by
    section, or by option and entry, e.g. `run.log 'csv'`. networks: the networks that score sets, by their entry in
    `score.arch`. observers: by their entry in `run.log`. network_aug: the augmentation of the network steps; `aug`
    unless given. schedule, image_rate: the loss's unless given. versions: versions of the distributions in use.
    """

    run: RunOptions
    score: ScoreOptions
    data: DataSource
    loss: MatchingLoss
    aug: Augmentation
    arch: Architecture
    param: Parametrisation
    selection: Selection
    network_aug: Augmentation
    networks: dict[str, Architecture]
    observers: dict[str, Observer]
    schedule: Schedule
    image_rate: float
    names: dict[str, str]
    titles: dict[str, str]
    entries: dict[str, Setting]
    versions: dict[str, str]

    def within_budget(self, outer_loops: int) -> Config:
        """Replace the budget by the number of outer loops that it allows."""
        decided = {
            "run.outer_loops": Setting(outer_loops, budget_origin(str(self.run.budget))),
            "run.budget": Setting(None, "spent on outer_loops"),
        }
        rate = self.entries["run.image_rate"]
        if rate.origin == _loss_origin(self.names):
            rate = replace(rate, value=self.loss.image_rate(self.run.ipc, outer_loops))
        run = replace(self.run, outer_loops=outer_loops, budget=None)
        return replace(self, run=run, image_rate=rate.value, entries=self.entries | decided | {"run.image_rate": rate})

    @property
    def method(self) -> str:
        """The loss and the augmentation in a word, e.g. `collective+dsa`."""
        return self.names["loss"] if self.names["aug"] == "none" else f"{self.names['loss']}+{self.names['aug']}"

    def title_of(self, network: Architecture) -> str:
        """The title, for messages, of the run's network or of one of `networks`."""
        labels = [label for label, other in self.networks.items() if other is network]
        return next((t for label in labels if (t := self.titles.get(f"score.arch '{label}'"))), self.titles["arch"])

    def with_origins(self, then: Mapping[str, Mapping[str, Any]]) -> Config:
        """Take the origin of each value from another run's entries where the two values are equal."""
        same = {
            key: replace(setting, origin=str(then[key]["origin"]))
            for key, setting in self.entries.items()
            if key in then and then[key]["value"] == plain(setting.value)
        }
        return replace(self, entries=self.entries | same)

    def section(self, name: str) -> dict[str, Any]:
        """The options of one section, the component's name among them, by dotted key."""
        return {k: v for k, v in self.table().items() if k.partition(".")[0] == name}

    def table(self) -> dict[str, Any]:
        """Dotted keys and plain values."""
        return {key: plain(s.value) for key, s in self.entries.items()}


def resolve(registry: Registry, settings: Settings) -> Config:
    """Check every option and build every component.

    Names are looked up, and the engine's options checked, before any component is imported.
    Raises OptionError that lists every problem found.
    """
    settings.add_recipe(registry)
    _apply_init_selection(registry, settings)
    builder = Builder(registry, settings)
    builder.check_names()
    engine = {key: builder.fill(cls, key) for key, cls in ENGINE_SECTIONS.items()}
    if engine["score"]:
        builder.check_listed("score.arch", "architecture", engine["score"].arch)
    if engine["run"]:
        builder.check_listed("run.log", "observer", engine["run"].log)
        builder.check_listed("run.network_aug", "augmentation", engine["run"].network_aug)
    builder.stop_on_problems()

    data = builder.component("data")
    builder.stop_on_problems()
    settings.add(_suggestions(data, builder.titles["data"]), f"suggested by {builder.names['data']}", Rank.SUGGESTION)
    built = {key: builder.component(key) for key in DEFAULT_NAMES if key != "data"}
    run, score = (builder.fill(cls, key) for key, cls in ENGINE_SECTIONS.items())
    networks = builder.networks(score.arch, built["arch"]) if score else {}
    observers = builder.observers(run.log) if run else {}
    network_aug = builder.network_augmentation(run.network_aug if run else (), built["aug"])
    builder.stop_on_problems()

    from dcc_core.engine import Schedule

    names, entries = builder.names, builder.entries
    if run.budget is not None and entries["run.outer_loops"].rank >= Rank.FILE:
        origin = entries["run.outer_loops"].origin
        raise DccError(f"run.budget: {run.budget} decides the outer loops, but {origin} gives them too; leave one out")
    own = built["loss"].schedule(run.ipc)
    decided = {
        "run.inner_loops": Setting(own.inner_loops, _loss_origin(names)),
        "run.network_steps": Setting(own.network_steps, _loss_origin(names)),
        "run.image_rate": _image_rate(built["loss"], run, names),
        "score.protocol": Setting("dc" if names["aug"] == "none" else "dsa", f"augmentation {names['aug']}"),
    }
    entries |= {key: setting for key, setting in decided.items() if entries[key].value is None}
    return Config(
        run=run,
        score=replace(score, protocol=entries["score.protocol"].value),
        data=data,
        **built,
        network_aug=network_aug,
        networks=networks,
        observers=observers,
        schedule=Schedule(entries["run.inner_loops"].value, entries["run.network_steps"].value),
        image_rate=entries["run.image_rate"].value,
        names=names,
        titles=builder.titles,
        entries=entries,
        versions=dict(sorted(builder.versions.items())),
    )


def budget_origin(budget: str) -> str:
    """The origin of a number of outer loops that comes from a budget."""
    return f"budget {budget}"


def _loss_origin(names: Mapping[str, str]) -> str:
    """The origin of values that the loss decides."""
    return f"loss {names['loss']}"


def _image_rate(loss: MatchingLoss, run: RunOptions, names: Mapping[str, str]) -> Setting:
    """The image rate if none is asked for: the loss's for SGD; otherwise of one size for every loss."""
    if run.image_optimiser == "sgd":
        return Setting(loss.image_rate(run.ipc, run.outer_loops), _loss_origin(names))
    return Setting(RATE_OF_OPTIMISER[run.image_optimiser], f"image optimiser {run.image_optimiser}")


def _apply_init_selection(registry: Registry, settings: Settings) -> None:
    """If `run.init` names a selection, start from the real images that it picks. An existing file takes precedence."""
    given = settings.values.get("run.init")
    if given is None or given.value in ("real", "noise") or Path(str(given.value)).exists():
        return
    names = [row.component.name for row in registry.components("selection")]
    if str(given.value).rpartition(":")[2] in names:
        other = settings.values.get("selection")
        if other and other.value != given.value:
            raise DccError(
                f"run.init: '{given.value}' ({given.origin}) and selection '{other.value}' ({other.origin}) must agree"
            )
        settings.add({"selection": given.value, "run.init": "real"}, given.origin, given.rank)
    elif hint := did_you_mean(str(given.value), names):
        raise DccError(f"run.init: '{given.value}' is neither a file nor a selection.{hint}")


def _suggestions(data: DataSource, title: str) -> Mapping[str, Any]:
    """Option values that a data source suggests. Raises ContractError, a fault of the plugin, if they are invalid."""
    with faults_of(title):
        suggestions = data.suggestions()
        if not isinstance(suggestions, Mapping):
            raise ContractError(
                f"suggestions must return values by dotted key; it returned {type(suggestions).__name__}"
            )
        for key in suggestions:
            if key.partition(".")[0] not in (*DEFAULT_NAMES, *ENGINE_SECTIONS) or key in DECIDED_BY_LOSS:
                raise ContractError(
                    f"it may suggest any option except {', '.join(DECIDED_BY_LOSS)}; it suggests '{key}'"
                )
    return suggestions


Entries = Mapping[str, Mapping[str, Any]]
"""Options by dotted key, with `value` and `origin`, as reports and checkpoints store them."""


def entries_of(config: Config) -> dict[str, dict[str, Any]]:
    """A configuration's options as reports and checkpoints store them."""
    return {key: {"value": plain(s.value), "origin": s.origin} for key, s in config.entries.items()}


def versions_of(config: Config) -> dict[str, str]:
    """Versions of torch and of the distributions that a configuration uses."""
    import torch

    return config.versions | {"torch": torch.__version__}

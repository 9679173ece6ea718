"""From flags, files and defaults to a resolved configuration that knows where each value came from.

Precedence, low to high: a component's default, the data source's suggestion, the recipe, `--config`, `-o`,
a flag.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcc_core.component import KINDS
from dcc_core.errors import DccError, OptionError, did_you_mean
from dcc_core.options import REQUIRED, Option, check, flatten, plain, schema
from dcc_core.registry import Registry
from dcc_core.run_options import RunOptions, ScoreOptions

if TYPE_CHECKING:
    from dcc_core.api import Architecture, Augmentation, DataSource, MatchingLoss, Parametrisation, Selection

DEFAULT_NAMES = {
    "data": "digits",
    "loss": "collective",
    "aug": "none",
    "arch": "convnet",
    "param": "identity",
    "selection": "random",
}
ENGINE_SECTIONS: dict[str, type] = {"run": RunOptions, "score": ScoreOptions}
KIND_OF_KEY = {k.key: k.name for k in KINDS if k.key in DEFAULT_NAMES}


class Rank(IntEnum):
    """Precedence of a layer."""

    DEFAULT = 0
    SUGGESTION = 1
    RECIPE = 2
    FILE = 3
    OPTION = 4
    FLAG = 5


@dataclass(frozen=True)
class Setting:
    """One value, where it came from, and the precedence of that place."""

    value: Any
    origin: str
    rank: Rank = Rank.DEFAULT


@dataclass
class Settings:
    """Dotted keys and their values, layer over layer: the higher rank wins, then the later layer."""

    values: dict[str, Setting] = field(default_factory=dict)

    def add(self, table: Mapping[str, Any], origin: str, rank: Rank) -> None:
        """Lay a table over what is there."""
        for key, value in flatten(table).items():
            if key not in self.values or self.values[key].rank <= rank:
                self.values[key] = Setting(value, origin, rank)

    def add_options(self, pairs: Iterable[str]) -> None:
        """Add `key=value` texts of the command line's `-o`."""
        for pair in pairs:
            key, equals, value = pair.partition("=")
            if not equals or not key.strip():
                raise OptionError([f"-o '{pair}': expected KEY=VALUE, e.g. -o loss.distance=cosine"])
            self.add({key.strip(): value.strip()}, "-o", Rank.OPTION)

    def add_file(self, path: Path) -> None:
        """Add a TOML file. Raises DccError when it is missing or not TOML."""
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise DccError(f"--config '{path}' cannot be read: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise DccError(f"--config '{path}' is not TOML: {error}") from error
        self.add(table, f"config {path}", Rank.FILE)

    def add_recipe(self, registry: Registry) -> None:
        """Add the recipe that the key `recipe` names, if any."""
        if "recipe" in self.values:
            name = str(self.values["recipe"].value)
            text = registry.find("recipe", name).read()
            self.add(tomllib.loads(text), f"recipe {name}", Rank.RECIPE)

    def under(self, key: str) -> dict[str, Setting]:
        """The settings strictly below a key."""
        return {k: v for k, v in self.values.items() if k.startswith(f"{key}.")}


@dataclass(frozen=True)
class Config:
    """A resolved configuration.

    entries: every option's dotted key with its value and origin, in a readable order.
    names: the chosen component's name by section, e.g. {"loss": "collective"}.
    """

    run: RunOptions
    score: ScoreOptions
    data: DataSource
    loss: MatchingLoss
    aug: Augmentation
    arch: Architecture
    param: Parametrisation
    selection: Selection
    names: dict[str, str]
    entries: dict[str, Setting]

    def table(self) -> dict[str, Any]:
        """Dotted keys and plain values."""
        return {key: plain(s.value) for key, s in self.entries.items()}


def resolve(registry: Registry, settings: Settings) -> Config:
    """Check every option and build every component.

    Raises OptionError with all that is wrong. Names are looked up, and the engine's options checked, before
    any component is imported.
    """
    settings.add_recipe(registry)
    builder = _Builder(registry, settings)
    builder.check_names()
    for key, cls in ENGINE_SECTIONS.items():
        builder.fill(cls, key)
    builder.stop_on_problems()

    data = builder.component("data")
    builder.stop_on_problems()
    settings.add(data.suggestions(), f"suggested by {builder.names['data']}", Rank.SUGGESTION)
    built = {key: builder.component(key) for key in DEFAULT_NAMES if key != "data"}
    run, score = (builder.fill(cls, key) for key, cls in ENGINE_SECTIONS.items())
    builder.stop_on_problems()
    return _complete(Config(run, score, data, **built, names=builder.names, entries=builder.entries))


def _complete(config: Config) -> Config:
    """Fill in what the loss and the augmentation decide where the user has not."""
    schedule = config.loss.schedule(config.run.ipc)
    protocol = "dc" if config.names["aug"] == "none" else "dsa"
    from_loss = f"loss {config.names['loss']}"
    decided = {
        "run.inner_loops": (schedule.inner_loops, from_loss),
        "run.network_steps": (schedule.network_steps, from_loss),
        "score.protocol": (protocol, f"augmentation {config.names['aug']}"),
    }
    entries = dict(config.entries)
    changes: dict[str, dict[str, Any]] = {"run": {}, "score": {}}
    for key, (value, origin) in decided.items():
        if entries[key].value is None:
            entries[key] = Setting(value, origin)
            section, _, name = key.partition(".")
            changes[section][name] = value
    return replace(
        config,
        run=replace(config.run, **changes["run"]),
        score=replace(config.score, **changes["score"]),
        entries=entries,
    )


class _Builder:
    """Builds components from settings and gathers everything that is wrong."""

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self.registry = registry
        self.settings = settings
        self.problems: list[str] = []
        self.entries: dict[str, Setting] = {}
        self.names: dict[str, str] = {}

    def stop_on_problems(self) -> None:
        if self.problems:
            raise OptionError(list(dict.fromkeys(self.problems)))

    def check_names(self) -> None:
        """Look up the names of all sections, without importing anything."""
        sections = [*DEFAULT_NAMES, *ENGINE_SECTIONS, "recipe"]
        for key, setting in self.settings.values.items():
            section = key.partition(".")[0]
            if key in ENGINE_SECTIONS:
                self.problems.append(f"{key}: {setting.value!r} is not a table of options; write {key}.NAME")
            elif section not in sections:
                hint = did_you_mean(section, sections)
                self.problems.append(f"{key}: unknown section '{section}'.{hint} One of: {', '.join(sections)}")
            elif key in DEFAULT_NAMES:
                try:
                    self.registry.find(KIND_OF_KEY[key], str(setting.value))
                except DccError as error:
                    self.problems.append(str(error))

    def component(self, key: str) -> Any:
        """The component of a section, by the name that the settings give, or the default's."""
        return self._named(key, KIND_OF_KEY[key], Setting(DEFAULT_NAMES[key], "default"))

    def fill(self, cls: type, key: str, rank: Rank = Rank.DEFAULT) -> Any:
        """An instance of an option class from the settings below `key`.

        rank: of the layer that chose the class. Unknown options of lower layers were meant for another class
        and are left out; those at or above it are errors.
        """
        options = schema(cls)
        values = {name: self._value(f"{key}.{name}", option) for name, option in options.items()}
        below = {k: s for k, s in self.settings.under(key).items() if k.split(".")[key.count(".") + 1] not in options}
        for unknown, setting in below.items():
            if setting.rank >= max(min(rank, Rank.OPTION), Rank.RECIPE):
                word = unknown[len(key) + 1 :].partition(".")[0]
                hint = did_you_mean(word, options) or f" Options: {', '.join(options) or 'none'}"
                self.problems.append(f"{unknown}: unknown option.{hint}")
        if any(v is REQUIRED for v in values.values()):
            return None
        try:
            return cls(**values)
        except ValueError as error:
            self.problems.append(f"{key}: {error}")
            return None

    def _value(self, key: str, option: Option) -> Any:
        if option.kind:
            return self._reference(key, option)
        setting = self.settings.values.get(key)
        for name in self.settings.under(key):
            self.problems.append(f"{name}: unknown; {key} takes {option.expected}")
        if setting is None:
            if option.default is REQUIRED:
                self.problems.append(f"{key}: required; {option.help}")
                return REQUIRED
            setting = Setting(option.default, "default")
        try:
            value = option.default if setting.origin == "default" else check(option, setting.value)
        except ValueError as error:
            self.problems.append(f"{key}: {error}")
            return REQUIRED
        self.entries[key] = replace(setting, value=value)
        return value

    def _reference(self, key: str, option: Option) -> Any:
        """A component that is an option of another one."""
        kind = str(option.kind)
        setting = self.settings.values.get(key)
        if setting is not None and str(setting.value).lower() == "none":
            setting = replace(setting, value=None)
        if setting is None and option.default is REQUIRED:
            self.problems.append(f"{key}: required; {option.help}")
            return REQUIRED
        if setting is None and (option.default is None or not self.settings.under(key)):
            self._record_default(key, kind, option.default)
            return option.default
        if setting is not None and setting.value is None:
            self.entries[key] = setting
            return None
        name = self.registry.name_of(kind, type(option.default))
        return self._named(key, kind, setting or Setting(name, "default"))

    def _named(self, key: str, kind: str, default: Setting) -> Any:
        setting = self.settings.values.get(key, default)
        try:
            found = self.registry.find(kind, str(setting.value))
            cls = found.load()
        except DccError as error:
            self.problems.append(str(error))
            return REQUIRED
        self.entries[key] = setting
        self.names[key] = str(setting.value)
        if found.argument is not None:
            first = next(iter(schema(cls)))
            self.settings.add({f"{key}.{first}": found.argument}, setting.origin, setting.rank)
        return self.fill(cls, key, setting.rank)

    def _record_default(self, key: str, kind: str, value: object) -> None:
        """Enter a default component and its options."""
        if value is None:
            self.entries[key] = Setting(None, "default")
            return
        self.entries[key] = Setting(self.registry.name_of(kind, type(value)), "default")
        for name, option in schema(type(value)).items():
            inner = getattr(value, name)
            if option.kind:
                self._record_default(f"{key}.{name}", option.kind, inner)
            else:
                self.entries[f"{key}.{name}"] = Setting(inner, "default")


def as_toml(entries: Mapping[str, Setting]) -> str:
    """A resolved configuration as a TOML file that `--config` reads, the origin of each value as a comment."""
    import json

    lines = ["# Resolved configuration; the comment says where each value came from."]
    sections = {*DEFAULT_NAMES}
    tables = {key.rpartition(".")[0] for key in entries}
    for key, setting in entries.items():
        value = plain(setting.value)
        written = f"{key}.name" if key in sections or key in tables else key
        if value is None:
            lines.append(f"# {written} is not set  # {setting.origin}")
        else:
            lines.append(f"{written} = {json.dumps(value)}  # {setting.origin}")
    return "\n".join(lines) + "\n"

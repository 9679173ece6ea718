"""Builds components and option objects from settings, and gathers everything that is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dcc_core.config.options import (
    LITERALS,
    REQUIRED,
    Option,
    check_value,
    is_literal,
    own_options,
    parse_literal,
    schema,
)
from dcc_core.config.run_options import RunOptions, ScoreOptions
from dcc_core.config.settings import Rank, Setting, Settings
from dcc_core.errors import DccError, OptionError, did_you_mean
from dcc_core.plugins import KINDS, Registry, find_kind

DEFAULT_NAMES = {
    "data": "digits",
    "loss": "collective",
    "aug": "none",
    "arch": "convnet",
    "param": "identity",
    "selection": "random",
}
BUILTIN = "builtin:"
OBSERVERS = "log"
"""The key of observers: a run may have several, each with its own options."""
ENGINE_SECTIONS: dict[str, type] = {"run": RunOptions, "score": ScoreOptions}
"""The sections that are no component's: every configuration has them."""
KIND_OF_KEY = {k.key: k.name for k in KINDS if k.key in DEFAULT_NAMES}


class Builder:
    """Builds components from settings and gathers everything that is wrong."""

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self.registry = registry
        self.settings = settings
        self.problems: list[str] = []
        self.entries: dict[str, Setting] = {}
        self.names: dict[str, str] = {}
        self.titles: dict[str, str] = {}
        self.versions: dict[str, str] = {}

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
            elif section not in sections or (section == "recipe" and key != section):
                if section == OBSERVERS:
                    hint = f" Options of an observer stand behind its name: run.log=NAME,{key.partition('.')[2]}=..."
                else:
                    hint = f"{did_you_mean(section, sections)} One of: {', '.join(sections)}"
                self.problems.append(f"{key}: unknown section '{section}'.{hint}")
            elif key in DEFAULT_NAMES:
                try:
                    self.registry.find(KIND_OF_KEY[key], str(setting.value))
                except DccError as error:
                    self.problems.append(str(error))

    def check_listed(self, key: str, kind: str, words: tuple[str, ...]) -> None:
        """Look up the names in an option such as `score.arch`, without importing anything."""
        for name, *_ in named_groups(words):
            try:
                self.registry.find(kind, name)
            except DccError as error:
                number = not isinstance(parse_literal(name), str)
                hint = "; options that are lists cannot stand here" if number else ""
                self.problems.append(f"{key}: '{name}' is no name{hint}" if number else f"{key}: {error}")

    def component(self, key: str) -> Any:
        """The component of a section, by the name that the settings give, or the built-in default if there is one."""
        return self._build_named(key, find_kind(key).name, Setting(BUILTIN + DEFAULT_NAMES.get(key, ""), "default"))

    def networks(self, words: tuple[str, ...], own: Any) -> dict[str, Any]:
        """The architectures of `score.arch` by what was written for each; without any, the run's own.

        A name may be followed by options: `convnet, resnet18, norm=batch` are two. The run's own name without
        options is the run's network, with its options.
        """
        own_name = self.names.get("arch", "")
        networks: dict[str, Any] = {}
        for name, *pairs in named_groups(words) or [[own_name]]:
            label = ",".join([name.removeprefix(BUILTIN), *pairs])
            if label in networks:
                self.problems.append(f"score.arch: '{label}' is named twice")
            apart = label != own_name
            networks[label] = (
                self._build_apart("arch", "architecture", f"score.arch '{label}'", name, pairs) if apart else own
            )
        return networks

    def network_augmentation(self, words: tuple[str, ...], own: Any) -> Any:
        """The augmentation of `run.network_aug`, with the options written there; without any, the run's own."""
        groups = named_groups(words)
        if not groups:
            self.titles["run.network_aug"] = " with ".join(t for k, t in self.titles.items() if k.startswith("aug"))
            return own
        (name, *pairs), *others = groups
        if others:
            listed = ", ".join(group[0] for group in groups)
            self.problems.append(
                f"run.network_aug: {listed} are {len(groups)} augmentations; give one, with its options"
            )
        where = f"run.network_aug '{','.join([name, *pairs])}'"
        augmentation = self._build_apart("aug", "augmentation", where, name, pairs)
        self.titles["run.network_aug"] = self.titles.pop(where)
        return augmentation

    def observers(self, words: tuple[str, ...]) -> dict[str, Any]:
        """The observers of `run.log` by what was written for each."""
        groups = {",".join(group): group for group in named_groups(words)}
        return {
            label: self._build_apart(OBSERVERS, "observer", f"run.log '{label}'", name, pairs)
            for label, (name, *pairs) in groups.items()
        }

    def _build_apart(self, key: str, kind: str, where: str, name: str, pairs: list[str]) -> Any:
        """A component with options of its own, whatever the settings say of the run's of that kind."""
        settings = Settings()
        try:
            settings.add_options([f"{key}.{pair}" for pair in pairs])
        except OptionError as error:
            self.problems += [f"{where}: {problem}" for problem in error.problems]
        builder = Builder(self.registry, settings)
        component = builder._build_named(key, kind, Setting(name, where, Rank.OPTION))
        self.problems += [f"{where}: {problem}" for problem in builder.problems]
        self.titles[where] = " with ".join(builder.titles.values())
        self.versions |= builder.versions
        return component

    def fill(self, cls: type, key: str, rank: Rank = Rank.DEFAULT) -> Any:
        """An instance of an option class from the settings below `key`.

        rank: of the layer that chose the class. Unknown options of lower layers were meant for another class
        and are left out; those at or above it are errors.
        """
        options = schema(cls)
        named = {name: option for name, option in options.items() if not option.open}
        values = {name: self._value(f"{key}.{name}", option) for name, option in named.items()}
        others = {k: s for k, s in self.settings.under(key).items() if k.split(".")[key.count(".") + 1] not in named}
        others = {k: s for k, s in others.items() if s.rank >= max(min(rank, Rank.OPTION), Rank.RECIPE)}
        if named == options:
            for unknown in others:
                word = unknown[len(key) + 1 :].partition(".")[0]
                hint = did_you_mean(word, options) or f" Options: {', '.join(options) or 'none'}"
                self.problems.append(f"{unknown}: unknown option.{hint}")
        else:
            (open_,) = set(options) - set(named)
            read = {k: replace(s, value=parse_literal(s.value)) for k, s in others.items()}
            self.problems += [f"{k}: {s.value!r} is not {LITERALS}" for k, s in read.items() if not is_literal(s.value)]
            values[open_] = {k[len(key) + 1 :]: s.value for k, s in read.items()}
            self.entries |= read
        if any(v is REQUIRED for v in values.values()):
            return None
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
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
            value = option.default if setting.origin == "default" else check_value(option, setting.value)
        except ValueError as error:
            suggested = f" ({self.titles['data']} suggests it)" if setting.rank == Rank.SUGGESTION else ""
            self.problems.append(f"{key}: {error}{suggested}")
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
        return self._build_named(key, kind, setting or Setting(name, "default"))

    def _build_named(self, key: str, kind: str, default: Setting) -> Any:
        setting = self.settings.values.get(key, default)
        try:
            found = self.registry.find(kind, str(setting.value))
            cls = found.load()
        except DccError as error:
            self.problems.append(str(error))
            return REQUIRED
        name, origin = str(setting.value).removeprefix(BUILTIN), found.provided.origin
        self.entries[key] = replace(setting, value=name)
        self.names[key] = name
        self.titles[key] = replace(found.provided, component=replace(found.provided.component, name=name)).title
        if origin.distribution:
            self.versions[origin.name_in_files] = origin.version
        if found.argument is not None:
            first = own_options(cls)[0]
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
            elif option.open:
                self.entries |= {f"{key}.{k}": Setting(v, "default") for k, v in inner.items()}
            else:
                self.entries[f"{key}.{name}"] = Setting(inner, "default")


def named_groups(words: tuple[str, ...]) -> list[list[str]]:
    """Names with the options that follow each: `a, b, x=1` is [[a], [b, x=1]]."""
    groups: list[list[str]] = []
    for word in filter(None, (w.strip() for w in ",".join(words).split(","))):
        if "=" in word and groups:
            groups[-1].append(word)
        else:
            groups.append([word])
    return groups

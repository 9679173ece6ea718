"""What stages and memories are called: names with options, read and looked up without importing anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dcc_core.config import Rank, Settings, named_groups
from dcc_core.errors import DccError, OptionError, did_you_mean
from dcc_core.plugins import Registry

Making = Literal["loss", "selection", "ring-buffer", "none"]
"""How a memory is made."""
RING: Making = "ring-buffer"
NOTHING: Making = "none"
KINDS = ("loss", "selection")
"""Kinds of component that make a memory."""
NO_AUGMENTATION = "builtin:none"
OF_LOSSES = ("loss", "aug", "param")
"""Sections that only memories made by a loss heed."""


@dataclass(frozen=True)
class StageSpec:
    """A stage by its label, and its options by dotted key."""

    label: str
    options: dict[str, Any]

    def over(self, settings: Settings) -> Settings:
        """These settings for this stage."""
        return _laid(settings, self.options, f"stage {self.label}")


@dataclass(frozen=True)
class MemorySpec:
    """A memory by its label, its options by dotted key, and how it is made."""

    label: str
    made: Making
    options: dict[str, Any]

    def over(self, settings: Settings) -> Settings:
        """These settings for this memory: without those of losses where it has none, so that they harm nobody."""
        kept = Settings({k: s for k, s in settings.values.items() if self.made == "loss" or not _of_losses(k)})
        return _laid(kept, self.options, f"memory {self.label}")


def stage_specs(words: Sequence[str], registry: Registry) -> list[StageSpec]:
    """The stages of `continual.stages`, a `+` between the items of an option that is a list.

    Raises DccError for unknown sources, and where no sequence can be made of them.
    """
    specs = []
    for name, *pairs in named_groups(tuple(words)):
        registry.find("data", name)
        own = _read([f"data.{pair}".replace("+", ",") for pair in pairs], "continual.stages")
        specs.append(StageSpec(",".join([name, *pairs]), {"data": name, **own}))
    _all_different([s.label for s in specs], "continual.stages")
    if not specs:
        raise DccError("continual.stages: none are given; name data sources, e.g. --stages mnist,cifar10")
    return specs


def memory_specs(words: Sequence[str], registry: Registry) -> list[MemorySpec]:
    """The memories of `continual.memory`.

    Raises DccError for unknown names, and for those that a loss and a selection share, unless written
    `loss:NAME` or `selection:NAME`.
    """
    specs = []
    for name, *pairs in named_groups(tuple(words)):
        made, chosen = _kind(name, registry)
        own = _read(pairs, "continual.memory")
        if of_stages := [key for key in own if key.partition(".")[0] == "data"]:
            raise DccError(f"continual.memory '{name}': {of_stages[0]} is an option of stages, not of a memory")
        specs.append(MemorySpec(",".join([name, *pairs]), made, {**own, **chosen}))
    _all_different([s.label for s in specs], "continual.memory")
    if not specs:
        raise DccError(f"continual.memory: none are given; {RING}, a loss such as collective+dsa, or a selection")
    return specs


def _kind(name: str, registry: Registry) -> tuple[Making, dict[str, str]]:
    """How a memory of this name is made, and the components that its name says."""
    if name in (RING, NOTHING):
        return name, {}
    kind, _, rest = name.partition(":")
    explicit = kind in KINDS and bool(rest)
    plain, plus, aug = (rest if explicit else name).partition("+")
    found = [k for k in ((kind,) if explicit else KINDS) if _known(registry, k, plain)]
    if not found:
        raise DccError(_unknown(registry, plain))
    if len(found) > 1:
        choices = " or ".join(f"'{k}:{name}'" for k in found)
        raise DccError(f"continual.memory: '{plain}' is a loss and a selection; write {choices}")
    if found == ["selection"]:
        if plus:
            raise DccError(f"continual.memory: '{name}': only a loss takes an augmentation, '{plain}' is a selection")
        registry.find("selection", plain)
        return "selection", {"selection": plain}
    registry.find("loss", plain)
    registry.find("augmentation", aug or NO_AUGMENTATION)
    return "loss", {"loss": plain, "aug": aug or NO_AUGMENTATION}


def _known(registry: Registry, kind: str, name: str) -> bool:
    rows = list(registry.components(kind))
    prefixes = [row.component.prefix for row in rows if row.component.family]
    return any(name in (r.component.name, r.qualified) for r in rows) or any(name.startswith(p) for p in prefixes)


def _unknown(registry: Registry, name: str) -> str:
    losses, selections = ([r.component.name for r in registry.components(k)] for k in KINDS)
    hint = did_you_mean(name, [RING, NOTHING, *losses, *selections])
    return (
        f"continual.memory: no loss, selection or other memory named '{name}'.{hint}\n"
        f"  losses: {', '.join(losses)}\n  selections: {', '.join(selections)}\n  others: {RING}, {NOTHING}"
    )


def _read(pairs: Sequence[str], key: str) -> dict[str, Any]:
    settings = Settings()
    try:
        settings.add_options(pairs)
    except OptionError as error:
        raise OptionError([f"{key}: {problem}" for problem in error.problems]) from error
    return {name: setting.value for name, setting in settings.values.items()}


def _all_different(labels: Sequence[str], key: str) -> None:
    repeated = [label for label in dict.fromkeys(labels) if labels.count(label) > 1]
    if repeated:
        raise DccError(f"{key}: '{repeated[0]}' is named twice; each is to be there once")


def _of_losses(key: str) -> bool:
    return key.partition(".")[0] in OF_LOSSES or key == "run.init"


def _laid(settings: Settings, options: dict[str, Any], origin: str) -> Settings:
    laid = Settings(dict(settings.values))
    laid.add(options, origin, Rank.FLAG)
    return laid

"""Parse the names and options of stages and memories; looks names up without importing components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dcc_core.config import Rank, Settings, named_groups
from dcc_core.errors import DccError, OptionError, did_you_mean
from dcc_core.plugins import Registry

MemoryKind = Literal["loss", "selection", "ring-buffer", "none"]
"""How a memory is created."""
RING: MemoryKind = "ring-buffer"
NOTHING: MemoryKind = "none"
KINDS = ("loss", "selection")
"""Kinds of component that can create a memory."""
NO_AUGMENTATION = "builtin:none"
LOSS_SECTIONS = ("loss", "aug", "param")
"""Sections that only memories condensed with a loss use."""


@dataclass(frozen=True)
class StageSpec:
    """A stage: its label, and its options by dotted key."""

    label: str
    options: dict[str, Any]

    def apply_to(self, settings: Settings) -> Settings:
        """The settings with this stage's options added."""
        return _add_options(settings, self.options, f"stage {self.label}")


@dataclass(frozen=True)
class MemorySpec:
    """A memory: its label, how it is created, and its options by dotted key."""

    label: str
    kind: MemoryKind
    options: dict[str, Any]

    def apply_to(self, settings: Settings) -> Settings:
        """The settings with this memory's options added, and without options of losses if it has no loss."""
        kept = Settings({k: s for k, s in settings.values.items() if self.kind == "loss" or not _is_loss_option(k)})
        return _add_options(kept, self.options, f"memory {self.label}")


def stage_specs(words: Sequence[str], registry: Registry) -> list[StageSpec]:
    """The stages of `continual.stages`; `+` separates the items of a list option.

    Raises DccError for unknown data sources, repeated stages, and an empty list.
    """
    specs = []
    for name, *pairs in named_groups(tuple(words)):
        registry.find("data", name)
        own = _parse_options([f"data.{pair}".replace("+", ",") for pair in pairs], "continual.stages")
        specs.append(StageSpec(",".join([name, *pairs]), {"data": name, **own}))
    _check_unique([s.label for s in specs], "continual.stages")
    if not specs:
        raise DccError("continual.stages: none are given; name data sources, e.g. --stages mnist,cifar10")
    return specs


def memory_specs(words: Sequence[str], registry: Registry) -> list[MemorySpec]:
    """The memories of `continual.memory`.

    Raises DccError for unknown names, and for names of both a loss and a selection unless written `loss:NAME` or
    `selection:NAME`.
    """
    specs = []
    for name, *pairs in named_groups(tuple(words)):
        kind, chosen = _parse_name(name, registry)
        own = _parse_options(pairs, "continual.memory")
        if of_stages := [key for key in own if key.partition(".")[0] == "data"]:
            raise DccError(f"continual.memory '{name}': {of_stages[0]} is an option of stages, not of a memory")
        specs.append(MemorySpec(",".join([name, *pairs]), kind, {**own, **chosen}))
    _check_unique([s.label for s in specs], "continual.memory")
    if not specs:
        raise DccError(f"continual.memory: none are given; name {RING}, a loss such as collective+dsa, or a selection")
    return specs


def _parse_name(name: str, registry: Registry) -> tuple[MemoryKind, dict[str, str]]:
    """How a memory of this name is created, and the components in its name."""
    if name in (RING, NOTHING):
        return name, {}
    kind, _, rest = name.partition(":")
    explicit = kind in KINDS and bool(rest)
    plain, plus, aug = (rest if explicit else name).partition("+")
    found = [k for k in ((kind,) if explicit else KINDS) if _is_known(registry, k, plain)]
    if not found:
        raise DccError(_unknown_message(registry, plain))
    if len(found) > 1:
        choices = " or ".join(f"'{k}:{name}'" for k in found)
        raise DccError(f"continual.memory: '{plain}' is both a loss and a selection; write {choices}")
    if found == ["selection"]:
        if plus:
            raise DccError(f"continual.memory: '{name}': only a loss takes an augmentation, '{plain}' is a selection")
        registry.find("selection", plain)
        return "selection", {"selection": plain}
    registry.find("loss", plain)
    registry.find("augmentation", aug or NO_AUGMENTATION)
    return "loss", {"loss": plain, "aug": aug or NO_AUGMENTATION}


def _is_known(registry: Registry, kind: str, name: str) -> bool:
    rows = list(registry.components(kind))
    prefixes = [row.component.prefix for row in rows if row.component.family]
    return any(name in (r.component.name, r.qualified) for r in rows) or any(name.startswith(p) for p in prefixes)


def _unknown_message(registry: Registry, name: str) -> str:
    losses, selections = ([r.component.name for r in registry.components(k)] for k in KINDS)
    hint = did_you_mean(name, [RING, NOTHING, *losses, *selections])
    return (
        f"continual.memory: no loss, selection or other memory named '{name}'.{hint}\n"
        f"  losses: {', '.join(losses)}\n  selections: {', '.join(selections)}\n  others: {RING}, {NOTHING}"
    )


def _parse_options(pairs: Sequence[str], key: str) -> dict[str, Any]:
    settings = Settings()
    try:
        settings.add_options(pairs)
    except OptionError as error:
        raise OptionError([f"{key}: {problem}" for problem in error.problems]) from error
    return {name: setting.value for name, setting in settings.values.items()}


def _check_unique(labels: Sequence[str], key: str) -> None:
    repeated = [label for label in dict.fromkeys(labels) if labels.count(label) > 1]
    if repeated:
        raise DccError(f"{key}: '{repeated[0]}' is named twice; name each once")


def _is_loss_option(key: str) -> bool:
    return key.partition(".")[0] in LOSS_SECTIONS or key == "run.init"


def _add_options(settings: Settings, options: dict[str, Any], origin: str) -> Settings:
    merged = Settings(dict(settings.values))
    merged.add(options, origin, Rank.FLAG)
    return merged

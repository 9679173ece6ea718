"""A component as it was found: its row, its plugin, and its class once that is asked for."""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import dataclass
from importlib import resources
from typing import Any

import click

from dcc_core.errors import DccError
from dcc_core.plugins.component import Component, Kind

NAME_IN_FILES = {"dataset-condensation": "dcc"}
"""Names of distributions in files, if others. Ours was `dcc` first: older and newer files compare."""


@dataclass(frozen=True)
class Origin:
    """Where a plugin comes from: the entry point's name and its distribution."""

    provider: str
    distribution: str = ""
    version: str = ""

    @property
    def name_in_files(self) -> str:
        """The distribution's name in set files, reports and checkpoints."""
        return NAME_IN_FILES.get(self.distribution, self.distribution)

    def __str__(self) -> str:
        return f"{self.provider} ({self.distribution} {self.version})" if self.distribution else self.provider


@dataclass(frozen=True)
class Broken:
    """A plugin that was left out, and why."""

    origin: Origin
    reason: str


@dataclass(frozen=True)
class Provided:
    """A component together with its kind and its plugin."""

    kind: Kind
    component: Component
    origin: Origin

    @property
    def qualified(self) -> str:
        return f"{self.origin.provider}:{self.component.name}"

    @property
    def title(self) -> str:
        """The component for messages, with its plugin and package: `loss 'kip' of plugin kip (dcc-kip 0.1.0)`."""
        place = f"of plugin {self.origin}" if self.component.given is None else "given in Python"
        return f"{self.kind.name} '{self.component.name}' {place}"

    def members(self) -> list[str]:
        """The names that a family stands for, prefix included, if it can list them; imports its plugin."""
        target = self.component.members
        if not target:
            return []
        try:
            return [self.component.prefix + str(member) for member in _import_target(target)()]
        except Exception as error:
            raise self.fault(target, error) from error

    def fault(self, target: str, error: Exception) -> DccError:
        """What to tell users if something of this component's does not load."""
        return DccError(f"{self.title} does not load from '{target}': {type(error).__name__}: {error}")


@dataclass(frozen=True)
class Found:
    """The result of a look-up: the component, and for a family the argument the user wrote."""

    provided: Provided
    argument: str | None = None

    def load(self) -> Any:
        """Import the target: a dataclass of its kind, or a `click.Command`.

        Raises DccError naming the plugin when its module does not import or the target is something else.
        """
        kind, target = self.provided.kind.name, self.provided.component.target
        try:
            cls = self.provided.component.given or _import_target(target)
            if self.provided.kind.commands:
                if not isinstance(cls, click.Command):
                    raise TypeError(f"{cls!r} is not a click.Command")
                return cls
            if not dataclasses.is_dataclass(cls) or getattr(cls, "kind", None) != kind:
                raise TypeError(f"{cls!r} is not a dataclass of kind {kind}")
            if "name" in cls.__dataclass_fields__:
                raise TypeError("an option may not be called 'name': in a configuration that is the component's")
        except Exception as error:
            raise self.provided.fault(target, error) from error
        return cls

    def options(self) -> type | None:
        """The dataclass of options that a command has of its own. Raises DccError naming the plugin as `load` does."""
        target = self.provided.component.options
        if not target:
            return None
        try:
            return _import_target(target)
        except Exception as error:
            raise self.provided.fault(target, error) from error

    def read(self) -> str:
        """The text of a recipe's or a table's file. Raises DccError naming the plugin when it cannot be read."""
        target = self.provided.component.target
        package, _, file = target.partition(":")
        try:
            return resources.files(package).joinpath(file).read_text(encoding="utf-8")
        except Exception as error:
            raise self.provided.fault(target, error) from error


def _import_target(target: str) -> Any:
    """The object that `package.module:name` stands for."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)

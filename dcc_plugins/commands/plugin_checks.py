"""What is wrong with the plugins: `dcc plugins --check`."""

from __future__ import annotations

import inspect
import tomllib
from dataclasses import dataclass

from dcc_core.config import schema
from dcc_core.errors import DccError
from dcc_core.plugins import Found, Origin, Provided, Registry
from dcc_core.testing import import_alone


@dataclass(frozen=True)
class PluginCheck:
    """A plugin and what is wrong with it. components: how many rows it has; seconds: of its manifest's import."""

    origin: Origin
    components: int
    seconds: float | None
    faults: tuple[str, ...]


def check_plugins(registry: Registry) -> list[PluginCheck]:
    """Import every plugin's manifest on its own, and every component's class; say what is wrong with each plugin."""
    rows = list(registry.components())
    conflicts = registry.conflicts()
    imports = {origin: import_alone(module) for origin, module in registry.manifests().items()}
    origins = dict.fromkeys([*imports, *(b.origin for b in registry.broken)])
    checked = []
    for origin in origins:
        own = [row for row in rows if row.origin == origin]
        faults = [f"not loaded: {b.reason}" for b in registry.broken if b.origin == origin]
        if origin in imports:
            faults += imports[origin].faults()
        for row in own:
            claims = conflicts.get((row.kind.name, row.component.name), [])
            others = [str(other.origin) for other in claims if other is not row]
            faults += [f"{row.kind.name} '{row.component.name}' is claimed by {o} too" for o in others]
            if wrong := _fault_of(row):
                faults.append(wrong)
        seconds = imports[origin].seconds if origin in imports else None
        checked.append(PluginCheck(origin, len(own), seconds, tuple(faults)))
    return checked


def _fault_of(row: Provided) -> str:
    """Why a component cannot be used, or the empty string."""
    try:
        if row.kind.files:
            tomllib.loads(Found(row).read())
            return ""
        cls = Found(row).load()
        if row.kind.commands:
            options = Found(row).options()
            _ = options and schema(options)
            return ""
        schema(cls)
        row.members()
    except (DccError, SystemExit) as error:
        return str(error) or f"{row.title} ends Python when it is imported"
    except Exception as error:
        return str(row.fault(row.component.target, error))
    missing = ", ".join(sorted(cls.__abstractmethods__)) if inspect.isabstract(cls) else ""
    return f"{row.title} is abstract: it does not define {missing}" if missing else ""

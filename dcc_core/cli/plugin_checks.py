"""What is wrong with the plugins: `dcc plugins --check`, and what a manifest's import brings with it."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass

from dcc_core.config import schema
from dcc_core.errors import DccError
from dcc_core.plugins import Found, Origin, Provided, Registry

HEAVY = ("torch", "kornia", "timm", "torchvision", "sklearn", "matplotlib")
"""Packages that no manifest may import: every command would wait for them, `--help` too."""
SLOW = 0.5
"""Seconds from which on a manifest's import is too slow."""


PROBE = """
import json, sys, time
sys.path[:] = json.loads(sys.argv[1])
import dcc_core.plugins.component, dcc_core.plugins.hookspecs
start = time.perf_counter()
__import__(sys.argv[2])
print()
print(json.dumps({"seconds": time.perf_counter() - start, "loaded": sorted(sys.modules)}))
"""


@dataclass(frozen=True)
class ManifestImport:
    """The import of a manifest module in a fresh Python: how long it took, and which heavy packages came with it.

    error: the last line of what Python said where it failed.
    """

    seconds: float = 0.0
    heavy: tuple[str, ...] = ()
    error: str = ""

    def faults(self) -> list[str]:
        """What is wrong with it, one line each."""
        if self.error:
            return [f"its manifest does not import on its own: {self.error}"]
        if self.heavy:
            return [f"its manifest imports {', '.join(self.heavy)}"]
        slow = f"its manifest takes {self.seconds:.1f} s to import, more than {SLOW} s"
        return [slow] if self.seconds > SLOW else []


@dataclass(frozen=True)
class PluginCheck:
    """A plugin and what is wrong with it. components: how many rows it has; seconds: of its manifest's import."""

    origin: Origin
    components: int
    seconds: float | None
    faults: tuple[str, ...]


def import_alone(module: str) -> ManifestImport:
    """Import a manifest module in a Python of its own. One that is slow is tried twice: the machine may be busy."""
    first = _imported_once(module)
    if first.error or first.seconds <= SLOW:
        return first
    return min(first, _imported_once(module), key=lambda found: found.seconds)


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


def _imported_once(module: str) -> ManifestImport:
    command = [sys.executable, "-c", PROBE, json.dumps(sys.path), module]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired as error:
        return ManifestImport(error=f"it was not done after {error.timeout:.0f} s")
    if done.returncode:
        return ManifestImport(error=(done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    found = json.loads(done.stdout.splitlines()[-1])
    return ManifestImport(found["seconds"], tuple(name for name in HEAVY if name in found["loaded"]))

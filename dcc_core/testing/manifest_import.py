"""What a manifest's import brings with it, and how long it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

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


def import_alone(module: str) -> ManifestImport:
    """Import a manifest module in a Python of its own. One that is slow is tried twice: the machine may be busy."""
    first = _imported_once(module)
    if first.error or first.seconds <= SLOW:
        return first
    return min(first, _imported_once(module), key=lambda found: found.seconds)


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

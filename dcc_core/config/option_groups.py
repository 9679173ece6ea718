"""Which options a result depends on, and which it does not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dcc_core.config.builder import KIND_OF_KEY
from dcc_core.config.options import plain
from dcc_core.config.settings import Setting
from dcc_core.plugins import Registry

PLACES = ("run.device", "run.data_root", "run.log", "run.checkpoint", "run.snapshots", "score.curve")
"""Options for output only; not recorded in the set file."""


FREE = ("run.data_root", "run.download", "run.log", "run.checkpoint", "run.snapshots", "score.curve")
"""Options that do not affect results."""


MACHINE = (
    "run.device",
    "run.memory",
    "run.micro_batch",
    "run.compile",
    "run.graphs",
    "run.layout",
    "run.tf32",
    "run.deterministic",
)
"""Options that may affect the last digits of results."""


EXTENT = ("run.outer_loops", "run.sets", "run.image_rate")
"""Options that may change on the way."""


def without_places(entries: Mapping[str, Setting], registry: Registry) -> dict[str, Any]:
    """Options without what says where, as plain values: of folders that a component's name holds, the last part."""
    table = {key: plain(s.value) for key, s in entries.items() if key not in PLACES}
    for key, setting in entries.items():
        component, value = key.rpartition(".")[0], setting.value
        local = isinstance(value, Path) or (isinstance(value, str) and value.startswith(("/", "./", "../", "~/")))
        if local and key in table and component in KIND_OF_KEY:
            del table[key]
            found = registry.find(KIND_OF_KEY[component], str(table[component]))
            if found.argument is not None:
                table[component] = found.provided.component.prefix + Path(value).resolve().name
    return table

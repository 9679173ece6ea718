"""What the tests of all kinds share: the component by its name, a tiny run around it, and its manifest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from dcc_core.config import Builder, Rank, Settings
from dcc_core.group import ALONE, Group
from dcc_core.jobs import Job, resolve
from dcc_core.plugins import Kind, Registry, find_kind
from dcc_core.testing.manifest_import import import_alone

TINY: dict[str, object] = {
    "data": "builtin:digits",
    "data.classes": (0, 1, 2),
    "data.per_class": 6,
    "arch": "builtin:convnet",
    "arch.depth": 1,
    "arch.width": 4,
    "arch.norm": "batch",
    "run.device": os.environ.get("DCC_TEST_DEVICE", "cpu"),
    "run.precision": "float64",
    "run.download": False,
    "run.init": "noise",
    "run.ipc": 2,
    "run.real_batch": 4,
    "run.norm_batch": 4,
    "run.outer_loops": 4,
    "run.inner_loops": 2,
    "run.network_steps": 1,
}
"""A run of seconds: 18 images of 8×8 in three classes, a network of one block with BatchNorm, in float64."""


def job_of(options: Mapping[str, object], *plugins: object, group: Group = ALONE) -> Job:
    """A run with these options by dotted key, its data loaded, e.g. `job_of({"data": "blobs", "loss": "mine"}, toys)`.

    Its components are those of what is installed, and of these plugins beside. group: the processes that share it.
    """
    registry = Registry.installed(*plugins)
    settings = Settings()
    settings.add(options, "test", Rank.OPTION)
    return Job(resolve(registry, settings), registry, group=group)


class Conformance:
    """Base of the tests of every kind.

    component: its name, as `--loss` and the others take it. options: its options by dotted key below the component,
    e.g. {"distance": "cosine"}. settings: further options of the tiny run around it, by dotted key, e.g.
    {"run.ipc": 4, "arch": "mine"}.
    """

    kind: ClassVar[str]
    component: ClassVar[str]
    options: ClassVar[Mapping[str, object]] = {}
    settings: ClassVar[Mapping[str, object]] = {}

    def registry(self) -> Registry:
        """Where components are found: among what is installed. Override it to test a plugin that is not."""
        return Registry.installed()

    def test_the_manifest_imports_nothing_heavy(self) -> None:
        """Every command imports every manifest, `--help` too: one that imports torch costs all users seconds."""
        registry = self.registry()
        origin = registry.find(self.kind, self.component).provided.origin
        faults = import_alone(registry.manifests()[origin]).faults()
        assert not faults, f"plugin {origin}: a manifest holds strings only and imports fast; {'; '.join(faults)}"

    @property
    def title(self) -> str:
        """The component for messages."""
        return f"{self.kind} '{self.component}'"

    def built(self) -> Any:
        """The component with its options. Raises DccError if it does not load or an option is wrong."""
        builder = Builder(self.registry(), self._settings())
        component = builder.component(self._kind.key)
        builder.stop_on_problems()
        return component

    def job(self, group: Group = ALONE, **more: object) -> Job:
        """A tiny run with this component, its data loaded. more: further options, by dotted key."""
        registry, settings = self.registry(), self._settings()
        settings.add(more, "test", Rank.OPTION)
        return Job(resolve(registry, settings), registry, group=group)

    @property
    def _kind(self) -> Kind:
        return find_kind(self.kind)

    def _settings(self) -> Settings:
        key = self._kind.key
        own = {f"{key}.{name}": value for name, value in self.options.items()}
        settings = Settings()
        settings.add(TINY, "tiny", Rank.RECIPE)
        settings.add(self.settings, "settings", Rank.FILE)
        settings.add({key: self.component} | own, "options", Rank.OPTION)
        return settings

"""Prepare a comparison: load every stage, resolve every configuration, and check that all jobs can be built."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import platformdirs

from dcc_core.config import Rank, Settings
from dcc_core.data import RealData, load_data
from dcc_core.errors import DccError
from dcc_core.jobs import Config, Job, check_partial, resolve
from dcc_core.plugins import Registry
from dcc_plugins.continual.options import ContinualOptions
from dcc_plugins.continual.specs import NO_AUGMENTATION, NOTHING, MemorySpec, StageSpec
from dcc_plugins.continual.stages import Prepared, split_classes, unify_stages

log = logging.getLogger("dcc")

IGNORED_OPTIONS = ("run.network_aug", "score.arch")
"""Options of the user that the learner ignores: `continual.aug` sets the first instead."""
LEARNER = MemorySpec("the learner", NOTHING, {})


class Plan:
    """Stages and memories of a comparison.

    given: the user's options except those of `continual`. Raises DccError for all problems that can be found before
    training: stages that do not fit each other, the network or ipc, and memories that cannot be created.
    """

    def __init__(
        self,
        options: ContinualOptions,
        stages: list[StageSpec],
        memories: list[MemorySpec],
        given: Settings,
        registry: Registry,
        *,
        progress: bool,
    ) -> None:
        self.options = options
        self.memories = memories
        self._given = given
        self._registry = registry
        self.stages = [part for spec in stages for part in self._split(spec, progress)]
        loaded = [self._load(spec, progress) for spec in self.stages]
        self._data = unify_stages(loaded, [s.label for s in self.stages], options)
        self._agree_on_network([data.shape[1:] for data in loaded])
        configs = [self._learner_config(stage) for stage in self.stages]
        self.learner = [self._make_job(config, k) for k, config in enumerate(configs)]
        self.seed = configs[0].run.seed
        self.ipc = configs[0].run.ipc
        for memory in memories:
            for stage in range(len(self.stages) - 1):
                self.job(memory, stage, self.seed)

    @property
    def seeds(self) -> range:
        """The seeds of the sequences."""
        return range(self.seed, self.seed + self.options.seeds)

    def config(self, memory: MemorySpec, stage: int, seed: int) -> Config:
        """The configuration that creates a memory of a stage."""
        settings = memory.apply_to(self.stages[stage].apply_to(self._given))
        settings.add({"run.seed": seed}, "continual.seeds", Rank.FLAG)
        config = resolve(self._registry, settings)
        if memory.kind == "selection":
            check_partial(config)
        if config.run.budget is not None:
            raise DccError("run.budget: memories take a number of outer loops, not a time budget; leave it out")
        if config.observers:
            raise DccError("run.log: observers watch runs, and a sequence of stages is not a run; leave it out")
        return config

    def job(self, memory: MemorySpec, stage: int, seed: int) -> Job:
        """The job that creates a memory of a stage."""
        return self._make_job(self.config(memory, stage, seed), stage, matching=memory.kind == "loss")

    def _make_job(self, config: Config, stage: int, *, matching: bool = True) -> Job:
        return Job(replace(config, data=Prepared(data=self._data[stage])), self._registry, matching=matching)

    def _learner_config(self, stage: StageSpec) -> Config:
        """The learner's configuration on a stage: its network, and its augmentation adapted to the stage's images."""
        settings = stage.apply_to(LEARNER.apply_to(self._given))
        settings = Settings({k: s for k, s in settings.values.items() if k not in IGNORED_OPTIONS})
        settings.add({"run.network_aug": self.options.aug or (NO_AUGMENTATION,)}, "continual.aug", Rank.FLAG)
        return resolve(self._registry, settings)

    def _split(self, spec: StageSpec, progress: bool) -> list[StageSpec]:
        """The stage itself, or its parts if `continual.split` is set."""
        if self.options.split is None:
            return [spec]
        parts = split_classes(self._load(spec, progress).class_names, self.options.split, spec.label)
        labels = [f"{spec.label} {number}/{len(parts)}" for number in range(1, len(parts) + 1)]
        return [
            StageSpec(label, {**spec.options, "data.classes": list(names)})
            for label, names in zip(labels, parts, strict=True)
        ]

    def _load(self, spec: StageSpec, progress: bool) -> RealData:
        config = self._learner_config(spec)
        root = config.run.data_root or Path(platformdirs.user_cache_dir("dcc"))
        title = config.titles["data"]
        return load_data(config.data, title, root=root, download=config.run.download, progress=progress)

    def _agree_on_network(self, sizes: list[tuple[int, int]]) -> None:
        """Take the architecture options that the stage with the largest images suggests: one network learns all.

        sizes: height and width of each stage's images as they are loaded.
        """
        configs = [self._learner_config(stage) for stage in self.stages]
        tables = [{k: v for k, v in c.table().items() if k.partition(".")[0] == "arch"} for c in configs]
        differing = {key for table in tables for key in table if any(other.get(key) != table[key] for other in tables)}
        if differing:
            suggests = [any(table.get(key) is not None for key in differing) for table in tables]
            best = max(range(len(tables)), key=lambda k: (math.prod(sizes[k]), suggests[k]))
            chosen = {key: tables[best].get(key) for key in sorted(differing)}
            self._given.add(chosen, f"the largest images, of '{self.stages[best].label}'", Rank.FILE)
            words = ", ".join(f"{key}={value}" for key, value in chosen.items())
            log.info(f"one network learns all stages: {words}, as for '{self.stages[best].label}'")

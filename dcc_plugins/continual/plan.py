"""A comparison before its first step: every stage loaded, every configuration resolved, everything tried once."""

from __future__ import annotations

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
from dcc_plugins.continual.stages import Prepared, cut, together

UNHEARD = ("run.network_aug", "score.arch")
"""Options that the learner's own configuration does not take from the user: the first is what `continual.aug` says."""
LEARNER = MemorySpec("the learner", NOTHING, {})


class Plan:
    """Stages and memories of a comparison.

    given: the user's options without those of `continual`. Raises DccError for all that can be found wrong before the
    work: data that do not fit each other, the network or the number of images; memories that cannot be made.
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
        self.stages = [part for spec in stages for part in self._cut(spec, progress)]
        loaded = [self._load(spec, progress) for spec in self.stages]
        self._data = together(loaded, [s.label for s in self.stages], options)
        configs = [self._learner(stage) for stage in self.stages]
        self._check_networks(configs)
        self.learner = [self._job_of(config, k) for k, config in enumerate(configs)]
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
        """What a memory of a stage is made with."""
        settings = memory.over(self.stages[stage].over(self._given))
        settings.add({"run.seed": seed}, "continual.seeds", Rank.FLAG)
        config = resolve(self._registry, settings)
        if memory.made == "selection":
            check_partial(config)
        if config.run.budget is not None:
            raise DccError("run.budget: memories are made by a number of outer loops, not in a time; leave it out")
        if config.observers:
            raise DccError("run.log: observers are told of runs, and this is none; leave it out")
        return config

    def job(self, memory: MemorySpec, stage: int, seed: int) -> Job:
        """What makes a memory of a stage."""
        return self._job_of(self.config(memory, stage, seed), stage, matching=memory.made == "loss")

    def _job_of(self, config: Config, stage: int, *, matching: bool = True) -> Job:
        return Job(replace(config, data=Prepared(data=self._data[stage])), self._registry, matching=matching)

    def _learner(self, stage: StageSpec) -> Config:
        """The configuration of the learner's network, and of its augmentation as a stage's images take it."""
        settings = stage.over(LEARNER.over(self._given))
        settings = Settings({k: s for k, s in settings.values.items() if k not in UNHEARD})
        settings.add({"run.network_aug": self.options.aug or (NO_AUGMENTATION,)}, "continual.aug", Rank.FLAG)
        return resolve(self._registry, settings)

    def _cut(self, spec: StageSpec, progress: bool) -> list[StageSpec]:
        """A stage in pieces, if it is to be cut."""
        if self.options.split is None:
            return [spec]
        parts = cut(self._load(spec, progress).class_names, self.options.split, spec.label)
        labels = [f"{spec.label} {number}/{len(parts)}" for number in range(1, len(parts) + 1)]
        return [
            StageSpec(label, {**spec.options, "data.classes": list(names)})
            for label, names in zip(labels, parts, strict=True)
        ]

    def _load(self, spec: StageSpec, progress: bool) -> RealData:
        config = self._learner(spec)
        root = config.run.data_root or Path(platformdirs.user_cache_dir("dcc"))
        title = config.titles["data"]
        return load_data(config.data, title, root=root, download=config.run.download, progress=progress)

    def _check_networks(self, configs: list[Config]) -> None:
        """All stages are learned by one network: what data sources suggest for it has to agree."""
        first, *others = ({k: v for k, v in c.table().items() if k.partition(".")[0] == "arch"} for c in configs)
        for stage, other in zip(self.stages[1:], others, strict=True):
            for key in first.keys() | other.keys():
                if first.get(key) != other.get(key):
                    raise DccError(
                        f"{key}: one network learns all stages; for '{self.stages[0].label}' it would be "
                        f"{first.get(key)}, for '{stage.label}' {other.get(key)}. Say which: -o {key}={other.get(key)}"
                    )

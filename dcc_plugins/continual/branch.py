"""One learner with one memory through all stages, in a folder that records its progress."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save

from dcc_core.compute import Randomness
from dcc_core.errors import DccError
from dcc_core.runs import Stopwatch
from dcc_core.sets import load_set, write_atomically
from dcc_plugins.continual.making import COST, SET, Maker
from dcc_plugins.continual.plan import Plan
from dcc_plugins.continual.replay import Learner, Memory
from dcc_plugins.continual.specs import NOTHING, MemorySpec

NETWORK, DONE = "network-{}.safetensors", "stage-{}.json"


@dataclass(frozen=True)
class Outcome:
    """Result of a sequence.

    matrix: see `metrics`. seconds: per stage, by phase. rows, bytes: total over the sets of all memories.
    """

    matrix: list[list[float]]
    seconds: dict[str, list[float]]
    rows: int
    bytes: int


class Branch:
    """A sequence of stages with one memory and one seed.

    After each stage the folder holds the network (`network-0.safetensors`), accuracies and times (`stage-0.json`), and
    the stage's memory (`memory-0/`). All else depends only on seed and configuration: an interrupted sequence resumes
    after the last stage with these files and gives the same bytes as an uninterrupted one.
    """

    def __init__(self, plan: Plan, memory: MemorySpec, seed: int, folder: Path, maker: Maker) -> None:
        self._plan = plan
        self._memory = memory
        self._seed = seed
        self._folder = folder
        self._maker = maker

    def run(self) -> Outcome:
        """Learn the stages that are missing."""
        plan, last = self._plan, len(self._plan.stages) - 1
        learner = Learner(plan.learner, plan.options, Randomness(self._seed, ("continual",)))
        self._folder.mkdir(parents=True, exist_ok=True)
        outcomes = self._read_finished_stages(last + 1)
        if outcomes and len(outcomes) <= last:
            self._restore(learner, len(outcomes) - 1, outcomes[-1]["network"])
        for stage in range(last + 1):
            if stage >= len(outcomes):
                outcomes.append(self._learn_stage(learner, stage))
            if stage < last and self._memory.kind != NOTHING and not (self._memory_folder(stage) / COST).exists():
                job = plan.job(self._memory, stage, self._seed)
                self._maker.make(self._memory, job, learner, stage, self._memory_folder(stage))
        costs = [
            json.loads((self._memory_folder(k) / COST).read_text()) for k in range(last) if self._memory.kind != NOTHING
        ]
        seconds = {phase: [o["seconds"][phase] for o in outcomes] for phase in ("learn", "test")}
        return Outcome(
            matrix=[o["accuracies"] for o in outcomes],
            seconds=seconds | {"memory": [c["seconds"] for c in costs]},
            rows=sum(c["rows"] for c in costs),
            bytes=sum(c["bytes"] for c in costs),
        )

    def _learn_stage(self, learner: Learner, stage: int) -> dict[str, Any]:
        clock = Stopwatch()
        label, total = self._plan.stages[stage].label, len(self._plan.stages)
        title = f"{self._memory.label}, seed {self._seed}: learning stage {stage + 1}/{total}, {label}"
        with clock("learn"), self._maker.display.track(title, learner.batches(stage)) as progress:
            learner.learn(stage, self._load_memory(stage), progress)
        with clock("test"):
            accuracies = learner.test(stage)
        weights = save(
            {name: t.detach().cpu().contiguous().clone() for name, t in learner.network.state_dict().items()}
        )
        write_atomically(self._folder / NETWORK.format(stage), weights)
        own = {"accuracies": accuracies, "network": _digest(weights), "seconds": clock.so_far()}
        write_atomically(self._folder / DONE.format(stage), json.dumps(own).encode())
        return own

    def _load_memory(self, stage: int) -> Memory:
        """The memory of all earlier stages, read from its files."""
        if self._memory.kind == NOTHING:
            return Memory({})
        jobs = {k: self._plan.learner[k] for k in range(stage)}
        return Memory({k: job.decode(load_set(self._memory_folder(k) / SET)) for k, job in jobs.items()})

    def _memory_folder(self, stage: int) -> Path:
        return self._folder / f"memory-{stage}"

    def _read_finished_stages(self, stages: int) -> list[dict[str, Any]]:
        """Results of the first stages, written by earlier processes."""
        return [found for found in itertools.takewhile(bool, map(self._read_stage, range(stages))) if found]

    def _read_stage(self, stage: int) -> dict[str, Any] | None:
        """The written result of a stage; none if it has not been learned."""
        path = self._folder / DONE.format(stage)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return {"accuracies": list(found["accuracies"]), "network": found["network"], "seconds": found["seconds"]}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DccError(f"'{path}' cannot be read: {error}; --overwrite starts again") from error

    def _restore(self, learner: Learner, stage: int, digest: str) -> None:
        """Restore the network to its state after a stage."""
        path = self._folder / NETWORK.format(stage)
        try:
            weights = path.read_bytes()
            if _digest(weights) != digest:
                raise DccError(f"'{path}' is damaged: its checksum is wrong; --overwrite starts again")
            learner.network.load_state_dict(load(weights))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise DccError(f"'{path}' cannot be read: {error}; --overwrite starts again") from error


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()

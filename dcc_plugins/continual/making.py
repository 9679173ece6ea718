"""Making the memory of a stage: a set file, condensed, selected, or what a ring buffer holds."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dcc_core.cli import Display
from dcc_core.config import parse_duration
from dcc_core.jobs import Job, coreset_provenance, entries_of, real_set, select_coreset
from dcc_core.plugins import StepReport
from dcc_core.runs import CHECKPOINT, Checkpoint, Checkpointer, Interrupts, RunFolder, Stopwatch, load_checkpoint
from dcc_core.sets import CondensedSet, Provenance, write_atomically
from dcc_plugins.continual.replay import Learner
from dcc_plugins.continual.specs import RING, MemorySpec

SET, PICTURE, COST = "set.safetensors", "grid.png", "cost.json"


@dataclass(frozen=True, kw_only=True)
class Maker:
    """Makes memories into folders of their own."""

    display: Display
    interrupts: Interrupts

    def make(self, memory: MemorySpec, job: Job, learner: Learner, stage: int, folder: Path) -> None:
        """Have a folder with the memory of a stage, which the learner has learned: its set, a picture, what it cost.

        A condensing that was interrupted goes on from its checkpoint.
        """
        clock = Stopwatch()
        run = RunFolder(folder, overwrite=not (folder / CHECKPOINT).exists())
        with run.logging(), clock("make"):
            if memory.made == "loss":
                s = self._condensed(job, run, clock, f"{memory.label}: condensing stage {stage + 1}")
            elif memory.made == RING:
                s = real_set(job, learner.last_seen(stage, job.config.run.ipc), _of_ring(job))
            else:
                s = select_coreset(job)
        content = s.to_bytes()
        run.write(SET, content)
        run.write(PICTURE, job.grid(s))
        cost = {"rows": len(s.owners), "bytes": len(content), "seconds": clock.so_far()["make"]}
        write_atomically(folder / COST, json.dumps(cost).encode())
        run.end()

    def _condensed(self, job: Job, run: RunFolder, clock: Stopwatch, what: str) -> CondensedSet:
        earlier = load_checkpoint(run.path / CHECKPOINT) if run.unfinished else None
        own = {"config": entries_of(job.config), "versions": job.versions, "threads": torch.get_num_threads()}
        begun = replace(earlier, **own) if earlier else Checkpoint(**own, data=job.data.digest())
        clock.add(begun.seconds)
        every = parse_duration(job.config.run.checkpoint, "run.checkpoint")
        keeping = Checkpointer(run, begun, self.interrupts, every=every, group=job.group, seconds=clock.so_far)
        start = job.start()
        if earlier:
            run.reopen(begun.metrics)
        else:
            run.begin({CHECKPOINT: begun.to_bytes()})
        outer, inner = start.run.outer_loops, start.run.inner_loops
        with self.display.track(what, outer * inner) as progress:

            def watch(report: StepReport) -> None:
                run.metric(report.row())
                progress(report.outer * inner + report.inner + 1, f"loss {report.loss:.4g}")

            with self.interrupts.hold():
                return job.condense(0, watch, start, keep=keeping.step, begin=begun.moment)


def _of_ring(job: Job) -> Provenance:
    """The provenance of a ring buffer's images: no selection has picked them."""
    own = coreset_provenance(job, 0)
    config = {k: v for k, v in own.config.items() if k.partition(".")[0] != "selection"}
    return replace(own, method=RING, config=config)

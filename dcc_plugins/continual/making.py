"""Create the memory of a stage: a set file that is condensed, selected, or the content of a ring buffer."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from dcc_core.config import parse_duration
from dcc_core.jobs import Job, coreset_provenance, entries_of, select_coreset
from dcc_core.plugins import StepReport
from dcc_core.runs import CHECKPOINT, Checkpoint, Checkpointer, Interrupts, RunFolder, Stopwatch, load_checkpoint
from dcc_core.sets import CondensedSet, Provenance, write_atomically
from dcc_plugins.continual.replay import Learner
from dcc_plugins.continual.specs import RING, MemorySpec
from dcc_plugins.terminal import Display

SET, PICTURE, COST = "set.safetensors", "grid.png", "cost.json"


@dataclass(frozen=True, kw_only=True)
class Maker:
    """Creates memories, each in its own folder."""

    display: Display
    interrupts: Interrupts

    def make(self, memory: MemorySpec, job: Job, learner: Learner, stage: int, folder: Path) -> None:
        """Write the memory of a stage that the learner has learned to a folder: the set, a picture and its cost.

        Interrupted condensing resumes from its checkpoint.
        """
        clock = Stopwatch()
        run = RunFolder(folder, overwrite=not (folder / CHECKPOINT).exists())
        with run.logging(), clock("make"):
            if memory.kind == "loss":
                s = self._condense(job, run, clock, f"{memory.label}: condensing stage {stage + 1}")
            elif memory.kind == RING:
                s = _ring(job, learner.last_seen(stage, job.config.run.ipc))
            else:
                s = select_coreset(job)
        content = s.to_bytes()
        run.write(SET, content)
        run.write(PICTURE, job.grid(s))
        cost = {"rows": len(s.owners), "bytes": len(content), "seconds": clock.so_far()["make"]}
        write_atomically(folder / COST, json.dumps(cost).encode())
        run.end()

    def _condense(self, job: Job, run: RunFolder, clock: Stopwatch, title: str) -> CondensedSet:
        earlier = load_checkpoint(run.path / CHECKPOINT) if run.unfinished else None
        own = {"config": entries_of(job.config), "versions": job.versions, "threads": torch.get_num_threads()}
        initial = replace(earlier, **own) if earlier else Checkpoint(**own, data=job.data.digest())
        clock.add(initial.seconds)
        every = parse_duration(job.config.run.checkpoint, "run.checkpoint")
        checkpointer = Checkpointer(run, initial, self.interrupts, every=every, group=job.group, seconds=clock.so_far)
        start = job.start()
        if earlier:
            run.reopen(initial.metrics)
        else:
            run.begin({CHECKPOINT: initial.to_bytes()})
        outer, inner = start.run.outer_loops, start.run.inner_loops
        with self.display.track(title, outer * inner) as progress:

            def on_step(report: StepReport) -> None:
                run.metric(report.row())
                progress(report.outer * inner + report.inner + 1, f"loss {report.loss:.4g}")

            with self.interrupts.hold():
                return job.condense(0, on_step, start, keep=checkpointer.step, begin=initial.moment)


def _ring(job: Job, chosen: Tensor) -> CondensedSet:
    """A set of unchanged training images. chosen: their indices, class by class."""
    train = job.data.train
    images, labels = train.images[chosen].to(torch.float32) / 255, train.labels[chosen]
    return CondensedSet({"images": images, "labels": labels, "owners": labels}, _ring_provenance(job))


def _ring_provenance(job: Job) -> Provenance:
    """The provenance of a ring buffer's images, without a selection."""
    own = coreset_provenance(job, 0)
    config = {k: v for k, v in own.config.items() if k.partition(".")[0] != "selection"}
    return replace(own, method=RING, config=config)

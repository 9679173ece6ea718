"""`dcc tune`: find the fastest number of images per network pass on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from rich.table import Table

from dcc_core.config import Setting
from dcc_core.engine import Network, Step, update
from dcc_core.jobs import Config, Job
from dcc_core.plugins import Registry
from dcc_plugins.terminal import Display

FACTORS = (1 / 4, 1 / 2, 1, 2, 4, 8)
ROUNDS = 5
MAX_TIME_RATIO = 0.95
"""Another number replaces the suggested one if its time is below this share of the suggested one's."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """Seconds per image update by images per pass; `suggested` is the number estimated from tensor shapes."""

    suggested: int
    seconds: Mapping[int, float]

    @property
    def best(self) -> int:
        """The fastest number; the suggested one unless another is clearly faster."""
        fastest = min(self.seconds, key=self.seconds.__getitem__)
        gains = self.seconds[fastest] < MAX_TIME_RATIO * self.seconds[self.suggested]
        return fastest if gains else self.suggested

    def table(self) -> Table:
        """For the terminal. The ratios depend less than the times on other load of the machine."""
        table = Table(title="image update and network steps, by images per pass")
        for column in ("run.micro_batch", "ms", "ratio to suggested"):
            table.add_column(column, justify="right")
        for images, seconds in self.seconds.items():
            mark = " (suggested)" if images == self.suggested else ""
            table.add_row(f"{images}{mark}", f"{1000 * seconds:.0f}", f"{seconds / self.seconds[self.suggested]:.2f}")
        return table


def tuned_options(config: Config, micro_batch: int) -> dict[str, Setting]:
    """The options of a configuration with a tuned number of images per pass, without those that a budget decides."""
    entries = config.entries | {"run.micro_batch": Setting(micro_batch, "tuned")}
    if config.run.budget is not None:
        del entries["run.outer_loops"]
        if entries["run.image_rate"].origin == f"loss {config.names['loss']}":
            del entries["run.image_rate"]
    return entries


def tune_passes(config: Config, registry: Registry, display: Display) -> Tuning:
    """Time the last image update of a run, with its network steps, for several numbers of images per pass.

    The numbers alternate; the first of ROUNDS + 1 rounds is discarded. Raises DccError if the run cannot start.
    """
    with display.logging():
        job = Job(config, registry, progress=display.shows)
        run, synthetic, state = job.start()
        network = Network(run, 0)
        most = run.num_classes * max(run.real_batch, run.ipc)
        if run.chunks.most is not None:
            most = min(most, run.chunks.most)
        suggested = min(most, run.chunks.images)
        candidates = sorted({min(most, max(1, round(f * suggested))) for f in FACTORS} | {suggested})
        step = Step(run, synthetic, outer=run.outer_loops - 1, inner=run.inner_loops - 1, network=network.module)
        seconds: dict[int, list[float]] = {images: [] for images in candidates}
        with display.track("timing", (ROUNDS + 1) * len(candidates)) as progress:
            for done in range((ROUNDS + 1) * len(candidates)):
                run.chunks.images = images = candidates[done % len(candidates)]
                start = time.perf_counter()
                update(step, job.config.loss, state)
                network.train(synthetic, 0)
                if job.device.type == "cuda":
                    torch.cuda.synchronize(job.device)
                seconds[images].append(time.perf_counter() - start)
                progress(done + 1, f"{images} images")
        return Tuning(
            suggested=suggested, seconds={images: statistics.median(many[1:]) for images, many in seconds.items()}
        )

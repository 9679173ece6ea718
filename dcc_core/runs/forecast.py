"""What a run will cost: time, memory and disk, from a probe of a few steps."""

from __future__ import annotations

import functools
import logging
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import cast

import torch
from torch import nn

from dcc_core.compute import Autocast, Randomness, peak_memory
from dcc_core.config import format_duration, parse_duration
from dcc_core.data import Batch
from dcc_core.engine import Network, Step, update
from dcc_core.errors import DccError, NotFiniteError
from dcc_core.group import ALONE, Group
from dcc_core.jobs import Config, Job, Measurer, Work, work_for_curve
from dcc_core.plugins import Registry
from dcc_core.runs.cost import Forecast
from dcc_core.runs.progress import Progress
from dcc_core.runs.set_scoring import CURVE, PHASES
from dcc_core.runs.snapshots import make_pictures, snapshot_steps
from dcc_core.scoring import Stack, measure_accuracy, measurements, run_in_processes, worker_count
from dcc_core.sets import CondensedSet

log = logging.getLogger("dcc")

LONG = 1.0
"""Seconds after which a piece of work is not repeated for a better measurement."""
REPEATS = 5
SAMPLE = 200
"""Outer loops whose phases are looked up, at most."""
GOLDEN = 0.6180339887
"""Its multiples modulo 1 fill the unit interval evenly, and repeat never."""
TESTED = 256
"""Images that a test is timed on."""
EPOCH = 1024
"""Images that an epoch is timed on, at most."""
METRIC_BYTES = 110
"""Bytes of a line in `metrics.jsonl`."""


class Probe:
    """The unit costs of a job, measured on a little of everything; the job does not change.

    load: seconds that the job took to load.
    """

    def __init__(self, job: Job, load: float) -> None:
        start = time.perf_counter()
        self._job = job
        loss = job.config.loss
        self._run, self._synthetic, state = job.start()
        self._setup = time.perf_counter() - start
        network = Network(self._run, 0)
        timed = _Timer(job.device, job.group)
        self._build = timed(lambda: job.build(Randomness(0).generator("probe")))
        self._updates: dict[str, float] = {}
        for phase, (outer, inner) in self._first_steps().items():
            self._updates[phase] = timed(lambda o=outer, i=inner: update(self._step(o, i, network), loss, state))
        if job.config.run.precision == "bfloat16":
            plain = replace(self._run, build=lambda generator: cast(Autocast, self._run.build(generator)).network)
            step = self._step(0, 0, Network(plain, 0))
            _compare_precisions(self._updates[loss.phase(step)], timed(lambda: update(step, loss, state)))
        trains = self._run.network_steps > 0 and self._run.inner_loops > 1
        train = functools.partial(network.train, self._synthetic, 0)
        self._training = timed(train, compiles=network.compiles) if trains else 0.0
        s = job.freeze(self._synthetic, 0)
        self._scoring = _scoring_seconds(job, s)
        moments = len(snapshot_steps(job.config.run.snapshots, self._run.outer_loops, self._run.inner_loops))
        if job.config.score.curve and moments:
            self._scoring[CURVE] = moments * _score_seconds(work_for_curve(job, s), job.device)
        self._snapshots = moments * make_pictures(s, job.registry, 0).images.numel() if moments else 0
        self._bytes = len(s.to_bytes()) + len(job.grid(s))
        self._peak = peak_memory(job.device)
        self._before = {"load": load, "probe": time.perf_counter() - start}

    def forecast(self, outer_loops: int | None = None) -> Forecast:
        """The cost of the whole run, with its own number of outer loops or another one."""
        config, run = self._job.config, self._run
        outer_loops = run.outer_loops if outer_loops is None else outer_loops
        phases = Counter(phase for phase, _ in self._phases(outer_loops))
        usual = max(self._updates.values())
        steps = sum(count * self._updates.get(phase, usual) for phase, count in phases.items()) / phases.total()
        condense = outer_loops * (run.inner_loops * steps + self._build + (run.inner_loops - 1) * self._training)
        sets = config.run.sets
        once = (PHASES["full"], CURVE)
        scoring = {phase: s if phase in once else sets * s for phase, s in self._scoring.items()}
        seconds = self._before | {"condense": sets * condense} | scoring
        metrics = METRIC_BYTES * sets * outer_loops * run.inner_loops
        disk = sets * self._bytes + self._snapshots + metrics
        return Forecast(outer_loops=outer_loops, seconds=seconds, peak=self._peak, disk=disk)

    def within(self, seconds: float) -> int:
        """The largest number of outer loops that takes at most `seconds`. Raises DccError if not even one does."""
        if self._budgeted_seconds(1) > seconds:
            scoring = " with its scoring" if self._job.config.run.budget_for == "run" else ""
            raise DccError(
                f"run.budget: {format_duration(seconds)} is too short: one outer loop{scoring} would take "
                f"{format_duration(self._budgeted_seconds(1))}"
            )
        low, high = 1, 2
        while self._budgeted_seconds(high) <= seconds:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._budgeted_seconds(middle) <= seconds else (low, middle)
        return low

    def _budgeted_seconds(self, outer_loops: int) -> float:
        """Seconds of the work that the budget covers. The loss's set-up is counted once for all sets."""
        cost = self.forecast(outer_loops)
        return cost.total if self._job.config.run.budget_for == "run" else self._setup + cost.seconds["condense"]

    def _phases(self, outer_loops: int) -> Iterator[tuple[str, tuple[int, int]]]:
        """The loss's phase at every inner step of outer loops that follow no period of a loss, and the step's place."""
        run = replace(self._run, outer_loops=outer_loops)
        stretch = math.ceil(outer_loops / SAMPLE)
        for number, first in enumerate(range(0, outer_loops, stretch)):
            outer = min(first + int(number * GOLDEN % 1 * stretch), outer_loops - 1)
            for inner in range(run.inner_loops):
                step = Step(run, self._synthetic, outer=outer, inner=inner, network=_refuse_network)
                yield self._job.config.loss.phase(step), (outer, inner)

    def _first_steps(self) -> dict[str, tuple[int, int]]:
        first: dict[str, tuple[int, int]] = {}
        for phase, place in self._phases(self._run.outer_loops):
            first.setdefault(phase, place)
        return first

    def _step(self, outer: int, inner: int, network: Network) -> Step:
        return Step(self._run, self._synthetic, outer=outer, inner=inner, network=network.module)


class _Timer:
    """Seconds of a piece of work: the median of some repeats after the first, unless it takes long.

    group: of processes that do the work together, and so equally often.
    """

    def __init__(self, device: torch.device, group: Group = ALONE) -> None:
        self._device = device
        self._group = group

    def __call__(self, work: Callable[[], object], *, compiles: bool = False) -> float:
        """compiles: the first call compiles, once for the whole process, and does not count."""
        if compiles:
            self._time_once(work)
        first = self._time_once(work)
        if self._group.any_process(first > LONG):
            return first
        return statistics.median(self._time_once(work) for _ in range(REPEATS))

    def _time_once(self, work: Callable[[], object]) -> float:
        start = time.perf_counter()
        work()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter() - start


def _compare_precisions(low: float, plain: float) -> None:
    """Warn if an update takes as long in bfloat16 as in float32: on a GPU, small networks wait for its casts."""
    if low >= plain:
        log.warning(f"run.precision: bfloat16 does not pay here: an update takes {low:.3g} s, in float32 {plain:.3g} s")


def _scoring_seconds(job: Job, s: CondensedSet) -> dict[str, float]:
    """The time of scoring a set, by phase. Equal trainings with equal numbers of images are measured once."""
    score = job.config.score
    seconds: dict[str, float] = {}
    known: dict[tuple[str, str, int, int], float] = {}
    for network in job.config.networks:
        measurer = Measurer(job, s, network)
        taught = bool(s.provenance.labels)
        for m in measurements(score.protocol or "dc", baseline=score.baseline, taught=taught).values():
            if (work := measurer.work(m)) is None:
                continue
            kind = (network, m.training, len(work.data), work.nets)
            if kind not in known:
                known[kind] = _score_seconds(work, job.device)
            seconds[PHASES[m.subject]] = seconds.get(PHASES[m.subject], 0.0) + known[kind]
    return seconds


def _score_seconds(work: Work, device: torch.device) -> float:
    """Seconds of training and testing the networks: stacked, or one on every worker, as scoring does it."""
    processes = work.scorer.group.size
    own = math.ceil(work.nets / processes)
    if (size := min(own, work.scorer.stack_size(work.data))) > 1:
        return math.ceil(own / size) * _training_seconds(work, size, _Timer(device))
    at_once = worker_count(work.nets, device)
    seconds = run_in_processes(lambda _: _training_seconds(work, 1, _Timer(device)), at_once, device)
    return max(s for _, s in seconds) * math.ceil(work.nets / (at_once * processes))


def _training_seconds(work: Work, size: int, timed: _Timer) -> float:
    """The time of a number of networks together.

    With many images, an epoch is timed on some of them, in whole batches.
    """
    scorer, batch, random = work.scorer, work.scorer.protocol.batch, Randomness(0)
    networks = [scorer.build(random.at("net", net).generator("probe")) for net in range(size)]
    build = timed(lambda: scorer.build(random.generator("probe")))
    some = work.data.batch(torch.arange(min(len(work.data), max(EPOCH // batch, 1) * batch)))
    trained = networks[0] if size == 1 else Stack(networks)
    passes = scorer.compile(trained, work.data)
    optimiser = scorer.optimiser(trained, scorer.protocol.rate)

    def epoch() -> None:
        if size == 1:
            scorer.epoch(passes, some, optimiser, random)
        else:
            scorer.stack_epoch(passes, some, optimiser, [random.at("net", net) for net in range(size)])

    epochs = timed(epoch, compiles=passes is not trained) * scorer.protocol.epochs * len(work.data) / len(some)
    chunk = Batch(scorer.test.images[:TESTED], scorer.test.labels[:TESTED])
    test = (
        timed(lambda: measure_accuracy(networks[0], chunk, scorer.chunks)) * len(scorer.test.labels) / len(chunk.labels)
    )
    return size * (build + test) + epochs


def _refuse_network() -> nn.Module:
    raise DccError("the loss's phase() must not use step.network")


def forecast_run(config: Config, registry: Registry, display: Progress, group: Group = ALONE) -> Forecast:
    """What a run of this configuration would cost. Writes nothing. Raises DccError if it could not start."""
    with display.logging():
        start = time.perf_counter()
        job = Job(config, registry, progress=display.shows, group=group)
        return plan_run(job, time.perf_counter() - start)


def plan_run(job: Job, load: float) -> Forecast:
    """The forecast of a job; if it has a budget, the job's outer loops are set to what fits into it.

    load: seconds that the job took to load.
    """
    probe, budget, outer_loops = Probe(job, load), job.config.run.budget, None
    if budget is not None:
        outer_loops = job.group.broadcast(lambda: probe.within(parse_duration(budget, "run.budget")))
        job.config = job.config.within_budget(outer_loops)
    found = probe.forecast(outer_loops)
    if job.group.first:
        how = {"options": job.config.table(), "forecast": found.as_dict()}
        job.registry.notify("dcc_run_planned", run=job.context(), **how)
    return found


def forecast_line(job: Job, load: float) -> tuple[str, Mapping[str, float]]:
    """The cost of a run in a line, and its seconds by phase; a budget becomes outer loops of `job.config`.

    load: seconds that loading took. The probe takes the run's own first steps, so that its errors end the run before
    the work. Numbers that are not finite do not, nor do unexpected errors of a single process: the run itself may
    recover, or say more.
    """
    try:
        expected = plan_run(job, load)
        return f"it will take {expected.words()}", expected.seconds
    except Exception as error:
        known = isinstance(error, DccError) or job.group.size > 1
        if (known and not isinstance(error, NotFiniteError)) or job.config.run.budget is not None:
            raise
        return f"cannot estimate the cost: {(str(error).splitlines() or ['?'])[0]}", {}

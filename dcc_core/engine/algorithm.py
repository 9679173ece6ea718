"""Algorithm 1 of the paper: optimise the synthetic set by matching it to real data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor, nn

from dcc_core.compute import load_optimiser_state, optimiser_state
from dcc_core.data import Batch
from dcc_core.engine.divergence import Guard
from dcc_core.engine.image_update import Update, read_updates, start_update
from dcc_core.engine.matching_loss import MatchingLoss, State
from dcc_core.engine.network_training import train_epoch
from dcc_core.engine.resume_state import ResumeState
from dcc_core.engine.run_context import RunContext
from dcc_core.engine.step import Step
from dcc_core.engine.synthetic import Synthetic
from dcc_core.errors import DccError, NotFiniteError, breaches_of
from dcc_core.group import Group
from dcc_core.plugins import StepReport

WEIGHTS = "weights."
OnStep = Callable[[StepReport], None]


class SaveState(Protocol):
    """Called after every step with a function that captures the state to resume from. now: save it at once."""

    def __call__(self, capture: Callable[[], ResumeState], *, now: bool = False) -> None: ...


def optimise(
    run: RunContext,
    loss: MatchingLoss,
    synthetic: Synthetic,
    state: State,
    *,
    set_index: int = 0,
    watch: OnStep | None = None,
    looks: Callable[[int, int], bool] | None = None,
    keep: SaveState | None = None,
    begin: ResumeState | None = None,
) -> tuple[str, ...]:
    """Optimise the synthetic set in place: Algorithm 1. state: from `loss.setup`. begin: the state to resume from.

    looks: whether somebody looks at the set after a step, given its outer and inner loop (default: always). Then, and
    before a checkpoint, and at the end of an outer loop the device is waited for: the steps since the last time are
    checked, and `watch` is told of them. Only the last of them has its gradients.

    Returns notes: retries (see `Guard`). Raises DccError if numbers are still not finite after the last retry; the set
    then holds the last good state.
    """
    guard = Guard(synthetic, state)
    started = _Started(guard, loss, watch, set_index)
    begin = begin or ResumeState()
    begin.load(guard)
    outer, first, weights = begin.outer, begin.inner, begin.network()

    def save(outer: int, inner: int = 0, network: Network | None = None, *, now: bool = False) -> None:
        if keep:
            keep(lambda: started.capture(outer, inner, network.state_dict() if network else {}, run.group), now=now)

    while outer < run.outer_loops:
        network = Network(run, outer)  # a new network, theta
        network.load_state_dict(weights)
        if first == 0:
            with breaches_of(run.title_of_section("loss")):
                guard.begin()
        try:
            for inner in range(first, run.inner_loops):
                step = Step(run, synthetic, outer=outer, inner=inner, network=network.module)
                started.updates.append(start_update(step, loss, state))  # S <- opt(S, matching loss)
                if looks is None or looks(outer, inner):
                    started.read()
                if inner < run.inner_loops - 1:
                    network.train(synthetic, inner)  # theta <- opt(theta, training loss)
                    save(outer, inner + 1, network)
            started.read()
            outer += 1
            save(outer)
        except NotFiniteError as error:
            started.updates.clear()
            try:
                outer = guard.roll_back(error)
            finally:
                save(guard.outer, now=True)
        first, weights = 0, {}
    return guard.notes


class _Started:
    """Updates of a set that have been started. `read` checks them, and reports them to `watch`."""

    def __init__(self, guard: Guard, loss: MatchingLoss, watch: OnStep | None, set_index: int) -> None:
        self.updates: list[Update] = []
        self._guard, self._loss, self._watch, self._set = guard, loss, watch, set_index

    def capture(self, outer: int, inner: int, network: Mapping[str, Tensor], group: Group) -> ResumeState:
        """The state before a step, after the updates before it have been read. network: its state. Collective."""
        self.read()
        return ResumeState.of(self._guard, outer, inner, network, group)

    def read(self) -> None:
        """Wait for the updates since the last call. Raises NotFiniteError; none of them is read again."""
        updates, self.updates = self.updates, []
        for u, objective in zip(updates, read_updates(updates), strict=True):
            self._guard.record_good_state(u.step.outer)
            if self._watch:
                place = {"set": self._set, "outer": u.step.outer, "inner": u.step.inner}
                gradients = self._guard.synthetic.gradients() if u is updates[-1] else {}
                report = StepReport(**place, loss=objective, phase=self._loss.phase(u.step), gradients=gradients)
                self._watch(report)


class Network:
    """The network of one outer loop: built on first use, trained between inner steps."""

    def __init__(self, run: RunContext, outer: int) -> None:
        self._run = run
        self._random = run.random.at("outer", outer)

    def module(self) -> nn.Module:
        return self._module

    def train(self, synthetic: Synthetic, inner: int) -> None:
        """Train for T epochs on the current synthetic set or on real images (`run.network_data`)."""
        run = self._run
        if not run.network_steps:
            return
        data = run.real if run.network_data == "real" else self._decode(synthetic)
        with breaches_of(run.title_of_section("run.network_aug")):
            for epoch in range(run.network_steps):
                train_epoch(
                    self._trainable,
                    data,
                    self._optimiser,
                    batch_size=run.network_batch,
                    chunks=run.chunks,
                    num_classes=run.num_classes,
                    criterion=run.criterion,
                    augmentation=run.network_augmentation,
                    random=self._random.at("inner", inner, "epoch", epoch),
                    images=run.network_images,
                    graphs=run.compiler.graphs,
                )

    @property
    def compiles(self) -> bool:
        """Whether training passes are compiled; the first pass then takes longer."""
        return self._trainable is not self._module

    def state_dict(self) -> dict[str, Tensor]:
        """Weights, statistics and the optimiser's momentum; empty if the network has not been built."""
        if "_module" not in vars(self):
            return {}
        saved = {f"{WEIGHTS}{name}": t for name, t in self._module.state_dict().items()}
        saved |= optimiser_state(self._optimiser, dict(self._module.named_parameters()))
        return {name: t.detach().clone() for name, t in saved.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load the result of `state_dict`. Raises DccError if it belongs to another network."""
        if not state:
            return
        weights = {n.removeprefix(WEIGHTS): t for n, t in state.items() if n.startswith(WEIGHTS)}
        try:
            self._module.load_state_dict(weights)
        except RuntimeError as error:
            raise DccError(f"the saved weights do not fit this network: {error}") from error
        load_optimiser_state(self._optimiser, dict(self._module.named_parameters()), state)

    @torch.no_grad()
    def _decode(self, synthetic: Synthetic) -> Batch:
        batch = synthetic.batch(*range(self._run.num_classes))
        return Batch(batch.images.detach(), batch.labels.detach())

    @cached_property
    def _module(self) -> nn.Module:
        return self._run.build(self._random.generator("network"))

    @cached_property
    def _trainable(self) -> nn.Module:
        run = self._run
        return run.compiler(self._module, run.device, run.outer_loops * run.inner_loops * run.network_steps)

    @cached_property
    def _optimiser(self) -> torch.optim.Optimizer:
        run = self._run
        return torch.optim.SGD(
            self._module.parameters(),
            lr=run.network_rate,
            momentum=run.network_momentum,
            weight_decay=run.network_decay,
            fused=True,
        )

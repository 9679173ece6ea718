"""Algorithm 1 of the paper: optimise the synthetic set by matching it to real data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from dcc_core.compute import widest
from dcc_core.data import Batch
from dcc_core.engine.divergence import Guard, state_of
from dcc_core.engine.double_backward import missing_derivative
from dcc_core.engine.matching_loss import MatchingLoss, Part, State, Total
from dcc_core.engine.network_training import train_epoch
from dcc_core.engine.resume_state import ResumeState
from dcc_core.engine.run_context import RunContext
from dcc_core.engine.step import Step
from dcc_core.engine.synthetic import BUFFER, MAX_NAMED, MOMENTUM, Synthetic
from dcc_core.errors import ContractError, DccError, NotFiniteError, breaches_of
from dcc_core.plugins import StepReport

WEIGHTS = "weights."
OnStep = Callable[[StepReport], None]


class SaveState(Protocol):
    """Called after every step with a function that captures the state to resume from. now: save it at once."""

    def __call__(self, capture: Callable[[], ResumeState], *, now: bool = False) -> None: ...


ROUNDING = 1e-4
"""Relative difference between a Total's values on several processes that rounding may cause."""

SECOND_BACKWARD = "backward through the graph a second time"
"""torch's message if two terms share a graph: the first backward pass has freed its tensors."""


def optimise(
    run: RunContext,
    loss: MatchingLoss,
    synthetic: Synthetic,
    state: State,
    *,
    set_index: int = 0,
    watch: OnStep | None = None,
    keep: SaveState | None = None,
    begin: ResumeState | None = None,
) -> tuple[str, ...]:
    """Optimise the synthetic set in place: Algorithm 1. state: from `loss.setup`. begin: the state to resume from.

    Returns notes: retries (see `Guard`). Raises DccError if numbers are still not finite after the last retry; the set
    then holds the last good state.
    """
    guard = Guard(synthetic, state)
    begin = begin or ResumeState()
    begin.load(guard)
    outer, first, weights = begin.outer, begin.inner, begin.network()

    def save(outer: int, inner: int = 0, network: Network | None = None, *, now: bool = False) -> None:
        if keep:
            weights = network.state_dict if network else dict
            keep(lambda: ResumeState.of(guard, outer, inner, weights(), run.group), now=now)

    while outer < run.outer_loops:
        network = Network(run, outer)  # a new network, theta
        network.load_state_dict(weights)
        if first == 0:
            with breaches_of(run.title_of_section("loss")):
                guard.begin()
        try:
            for inner in range(first, run.inner_loops):
                step = Step(run, synthetic, outer=outer, inner=inner, network=network.module)
                value = update(step, loss, state)  # S <- opt(S, matching loss)
                guard.record_good_state(outer)
                if watch:
                    place = {"set": set_index, "outer": outer, "inner": inner}
                    watch(StepReport(**place, loss=value, phase=loss.phase(step), gradients=synthetic.gradients()))
                if inner < run.inner_loops - 1:
                    network.train(synthetic, inner)  # theta <- opt(theta, training loss)
                    save(outer, inner + 1, network)
            outer += 1
            save(outer)
        except NotFiniteError as error:
            try:
                outer = guard.roll_back(error)
            finally:
                save(guard.outer, now=True)
        first, weights = 0, {}
    return guard.notes


def update(step: Step, loss: MatchingLoss, state: State) -> float:
    """Update the synthetic set once; returns the objective, the sum of the loss's terms. Raises NotFiniteError."""
    try:
        with breaches_of(step.run.title_of_section("loss")):
            before = state_of(state)
        terms = step.run.chunks.within_memory(
            lambda: _differentiate(step, loss, state),
            restore=lambda: state.load_state_dict({name: t.clone() for name, t in before.items()}),
        )
        return _apply_gradients(step, terms)
    except NotFiniteError as error:
        raise NotFiniteError(f"{error} (outer loop {step.outer}, inner loop {step.inner})") from error


class _Terms(NamedTuple):
    """A step's terms summed by kind, each term, the largest gradient, and a checksum; all on the device."""

    parts: Tensor
    totals: Tensor
    values: list[Tensor]
    largest_gradient: Tensor
    checksum: Tensor


def _differentiate(step: Step, loss: MatchingLoss, state: State) -> _Terms:
    """Differentiate the loss's terms; gradients accumulate in the synthetic set.

    Raises ContractError if the terms break the rules of `MatchingLoss`.
    """
    step.synthetic.zero_gradients()
    group = step.run.group
    parts, totals = torch.zeros((2,), dtype=widest(step.run.device), device=step.run.device)
    values: list[Tensor] = []
    try:
        with breaches_of(step.run.title_of_section("loss")):
            terms = loss.terms(step, state)
            if not isinstance(terms, Iterable):
                raise ContractError(f"terms yields Part and Total; it returned {type(terms).__name__}, so write yield")
            count = 0
            for count, term in enumerate(terms, start=1):
                value = _scalar(term, count)
                values.append(value.detach())
                if isinstance(term, Total):  # each process differentiates an equal share
                    totals += values[-1]
                    value = value / group.size
                else:
                    parts += values[-1]
                torch.autograd.backward(value, inputs=step.synthetic.leaves())
            if not count and step.classes:
                raise ContractError("terms yields at least one Part or Total in every step; it yielded nothing")
    except RuntimeError as error:
        if missing := missing_derivative(error):
            raise missing from error
        if SECOND_BACKWARD in str(error):
            raise ContractError(
                "terms share no graph, since each is differentiated when it arrives; yield the sum of such terms, or "
                "compute what they share again for each (synthetic.batch decodes at every call)"
            ).of(step.run.title_of_section("loss")) from error
        raise
    step.synchronise_network()
    step.synthetic.add_gradients(group)
    return _Terms(parts, totals, values, step.synthetic.largest_gradient(), step.checksum_of_state())


def _apply_gradients(step: Step, terms: _Terms) -> float:
    """Update the synthetic set; returns the objective. Reads from the device once.

    Raises NotFiniteError if a number before or after the update is not finite; the stored tensors are then invalid.
    """
    largest = torch.maximum(terms.largest_gradient, step.synthetic.update())
    numbers = torch.stack([terms.parts, terms.totals, largest, terms.checksum.to(largest.dtype)])
    parts, totals, sizes, checksums = step.run.group.stack(numbers).T.tolist()
    if not all(map(math.isfinite, [*parts, *totals, *sizes])):
        messages = step.run.group.gather(_describe_not_finite(step, terms.values))
        raise NotFiniteError("; ".join(dict.fromkeys(filter(None, messages))) or "the sum over processes is not finite")
    _check_processes_agree(totals, checksums)
    return sum(parts) + totals[0]


def _check_processes_agree(totals: list[float], checksums: list[float]) -> None:
    """Raise DccError if totals or checksums differ between processes."""
    if len(set(checksums)) > 1:
        raise DccError(
            f"the processes have drifted apart: checksums of synthetic set and network are {checksums}. All processes "
            "must compute the same numbers; use machines of one kind with the same software"
        )
    if max(totals) - min(totals) > ROUNDING * max(map(abs, totals)):
        raise ContractError(
            f"a Total is the same scalar on every process; it is {totals}. Pass sums over a process's classes through "
            "step.all_sum, or yield a Part"
        )


def _describe_not_finite(step: Step, values: list[Tensor]) -> str:
    """Names the terms and gradients that are not finite on this process; empty if all are finite."""
    numbers = [v.item() for v in values]
    bad = [f"term {i} of the loss is {v}" for i, v in enumerate(numbers, start=1) if not math.isfinite(v)]
    where = step.synthetic.where_not_finite()
    words = bad[:MAX_NAMED] + ["..."] * (len(bad) > MAX_NAMED) + [f"the gradient of {where}"] * bool(where)
    overflow = "" if math.isfinite(sum(numbers)) else f"the loss is {sum(numbers)}"
    words = ", ".join(words) or step.synthetic.where_moved_too_far() or overflow
    return words + (" is not finite" if where else "")


def _scalar(term: object, count: int) -> Tensor:
    """The scalar of a loss's term, the `count`-th of its step. Raises ContractError if it is not one."""
    if not isinstance(term, Part | Total):
        raise ContractError(f"terms yields Part and Total; term {count} is {type(term).__name__}")
    value = term.value
    if not isinstance(value, Tensor):
        raise ContractError(f"terms are scalar tensors; term {count} holds {type(value).__name__}")
    if value.ndim or not value.is_floating_point():
        raise ContractError(f"terms are scalars; term {count} is {value.dtype} of shape {tuple(value.shape)}")
    if not value.requires_grad:
        raise ContractError(f"terms depend on the synthetic set; term {count} is a constant, which has no gradient")
    return value


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
        for name, p in self._module.named_parameters():
            if (momentum := self._optimiser.state[p].get(BUFFER)) is not None:
                saved[f"{MOMENTUM}{name}"] = momentum
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
        for name, p in self._module.named_parameters():
            if (momentum := state.get(f"{MOMENTUM}{name}")) is not None:
                self._optimiser.state[p][BUFFER] = momentum.to(p.device, copy=True)

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

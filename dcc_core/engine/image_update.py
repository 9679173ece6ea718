"""One update of the synthetic set: it starts on the device, and its numbers are read later, of several at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dcc_core.compute import missing_derivative, widest
from dcc_core.engine.divergence import state_of
from dcc_core.engine.matching_loss import MatchingLoss, Part, State, Total
from dcc_core.engine.step import Step
from dcc_core.engine.synthetic import MAX_NAMED
from dcc_core.errors import ContractError, DccError, NotFiniteError, breaches_of

ROUNDING = 1e-4
"""Relative difference between a Total's values on several processes that rounding may cause."""

SECOND_BACKWARD = "backward through the graph a second time"
"""torch's message if two terms share a graph: the first backward pass has freed its tensors."""


@dataclass(frozen=True)
class Update:
    """An update that has been started. numbers: (processes, 4) float64 on the device: the sums of Parts and of Totals,
    the largest number in gradients and set, the checksum; values: the loss's terms on this process."""

    step: Step
    numbers: Tensor
    values: list[Tensor]


def update(step: Step, loss: MatchingLoss, state: State) -> float:
    """Update the synthetic set once; returns the objective, the sum of the loss's terms. Raises NotFiniteError."""
    (objective,) = read_updates([start_update(step, loss, state)])
    return objective


def start_update(step: Step, loss: MatchingLoss, state: State) -> Update:
    """Update the synthetic set once, without waiting for the device. `read_updates` says whether it went well."""
    with breaches_of(step.run.title_of_section("loss")):
        before = state_of(state)
    terms = step.run.chunks.within_memory(
        lambda: _differentiate(step, loss, state),
        restore=lambda: state.load_state_dict({name: t.clone() for name, t in before.items()}),
    )
    largest = torch.maximum(terms.largest_gradient, step.synthetic.update())
    numbers = torch.stack([terms.parts, terms.totals, largest, terms.checksum.to(largest.dtype)])
    return Update(step, step.run.group.stack(numbers), terms.values)


def read_updates(updates: Sequence[Update]) -> Iterator[float]:
    """The objective of each update, in order; the device is waited for once.

    Raises NotFiniteError at the first for which a number before or after the update is not finite: the stored tensors
    are then invalid. Of updates before the last, it names the classes that have become invalid since, too.
    """
    if not updates:
        return
    for u, numbers in zip(updates, torch.stack([u.numbers for u in updates]).mT.tolist(), strict=True):
        parts, totals, sizes, checksums = numbers
        if not all(map(math.isfinite, [*parts, *totals, *sizes])):
            found = u.step.run.group.gather(_describe_not_finite(u.step, u.values))
            message = "; ".join(dict.fromkeys(filter(None, found))) or "the sum over processes is not finite"
            raise NotFiniteError(f"{message} (outer loop {u.step.outer}, inner loop {u.step.inner})")
        _check_processes_agree(totals, checksums)
        yield sum(parts) + totals[0]


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

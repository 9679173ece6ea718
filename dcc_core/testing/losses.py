"""The rules of matching losses."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import pytest
import torch
from torch import Tensor

from dcc_core.compute import can_fork
from dcc_core.engine import (
    SECOND_BACKWARD,
    SHARED,
    MatchingLoss,
    Network,
    Part,
    State,
    Step,
    Synthetic,
    Total,
    state_of,
)
from dcc_core.group import ALONE, Group
from dcc_core.jobs import Job
from dcc_core.testing.base import Conformance
from dcc_core.testing.processes import CAN_START, in_processes
from dcc_core.testing.randomness import generator, global_seeds, left_alone

ROUNDING = 1e-10
"""Relative to the largest number of a gradient."""
WIDTH = 1e-5
"""By how much numbers are moved to take a derivative."""


class Moment(NamedTuple):
    """A loss at one inner step of a run, `Moment.of(job)`: what it sees there, and what it makes of it."""

    job: Job
    loss: MatchingLoss
    step: Step
    state: State

    @classmethod
    def of(cls, job: Job, outer: int = 0, inner: int = 0) -> Moment:
        """A run's loss at this step, of a set at its start and with the network that the outer loop begins with."""
        run, synthetic, state = job.start()
        step = Step(run, synthetic, outer=outer, inner=inner, network=Network(run, outer).module)
        return cls(job, job.config.loss, step, state)

    @property
    def synthetic(self) -> Synthetic:
        return self.step.synthetic

    def terms(self) -> Iterator[Tensor]:
        """The values of the loss's terms, as they come."""
        for term in self.loss.terms(self.step, self.state):
            yield term.value

    def gradient(self) -> dict[str, Tensor]:
        """The gradient of the objective by every learned tensor. Forgiving: of sums, and of graphs that are shared."""
        self.synthetic.zero_gradients()
        group = self.step.run.group
        for term in self.loss.terms(self.step, self.state):
            share = term.value.sum() / (group.size if isinstance(term, Total) else 1)
            torch.autograd.backward(share, inputs=self.synthetic.leaves(), retain_graph=True)
        self.synthetic.add_gradients(group)
        tensors = self.synthetic.tensors()
        return {name: t.grad.clone() for name, t in tensors.items() if t.grad is not None}

    def objective(self) -> float:
        return sum(value.detach().sum().item() for value in self.terms())


def remaining_objective(job: Job, steps: int = 3) -> float:
    """The share of the objective that a run leaves, at steps that it does not take: on other networks and draws."""
    start = job.start()

    def unseen() -> float:
        moments = [Moment.of(job, job.config.run.outer_loops + outer) for outer in range(steps)]
        for moment in moments:
            moment.step.synthetic = start.synthetic
        return sum(moment.objective() for moment in moments)

    before = unseen()
    job.condense(start=start)
    return unseen() / before


class LossConformance(Conformance):
    """Tests of a matching loss.

    steps: outer and inner loop of the steps that are looked at, of 4 and 2. processes: how many are to agree with one;
    there are three classes. numbers: how many numbers of every learned
    tensor the gradient is checked for. tolerance: what finite differences may be off by, relative to the largest.
    """

    kind = "loss"
    steps: ClassVar[tuple[tuple[int, int], ...]] = ((0, 0), (3, 1))
    processes: ClassVar[tuple[int, ...]] = (2, 3, 4)
    numbers: ClassVar[int] = 6
    tolerance: ClassVar[float] = 1e-4

    def test_terms_are_scalars(self) -> None:
        """The objective is a sum of scalars; the engine differentiates each as it arrives."""
        for moment in self.moments():
            terms = list(moment.loss.terms(moment.step, moment.state))
            assert terms, f"{self.title}: it yields at least one term in every step; it yielded none"
            for count, term in enumerate(terms, start=1):
                assert isinstance(term, Part | Total), (
                    f"{self.title}: terms are Part or Total; term {count} is {type(term).__name__}"
                )
                shape = tuple(term.value.shape)
                assert shape == (), f"{self.title}: terms are scalars; term {count} has the shape {shape}"

    def test_terms_are_finite(self) -> None:
        """A number that is not finite ends a run."""
        for moment in self.moments():
            for count, value in enumerate(moment.terms(), start=1):
                finite = bool(torch.isfinite(value).all())
                assert finite, f"{self.title}: terms are finite; term {count} is {value.detach().tolist()}"

    def test_terms_share_no_graph(self) -> None:
        """The engine calls backward on each term as it arrives, which frees the term's graph."""
        for moment in self.moments():
            try:
                for value in moment.terms():
                    torch.autograd.backward(value.sum(), inputs=moment.synthetic.leaves())
            except RuntimeError as error:
                assert SECOND_BACKWARD not in str(error), (
                    f"{self.title}: terms share no graph, as each is differentiated when it arrives; yield the sum of "
                    "terms that have something in common, or compute it again for each"
                )
                raise

    def test_every_class_has_a_gradient(self) -> None:
        """A class without a gradient stays as it was."""
        for moment in self.moments():
            owners = moment.synthetic.owners
            rows = [
                gradient.flatten(1).abs().amax(dim=1) if gradient.ndim > 1 else gradient.abs()
                for name, gradient in moment.gradient().items()
                if name in moment.synthetic.stored and not name.startswith(SHARED)
            ]
            largest = torch.stack(rows).amax(dim=0)
            without = [k for k in range(moment.step.num_classes) if largest[owners == k].eq(0).any()]
            assert not without, f"{self.title}: every class has a gradient, at every image; without: classes {without}"

    def test_the_gradient_is_that_of_the_objective(self) -> None:
        """By finite differences in float64, with respect to some numbers of everything that is learned."""
        for moment in self.moments():
            moment.gradient()  # what a loss hides from its state_dict is another test's
            kept = {name: t.clone() for name, t in moment.state.state_dict().items()}
            found = moment.gradient()
            for name, tensor in moment.synthetic.tensors().items():
                chosen = self._choose(found[name])
                numbers = tensor.detach().view(-1)
                expected = [self._difference(moment, numbers, k, kept) for k in chosen]
                largest = max(map(abs, expected), default=0.0)
                for k, right in zip(chosen, expected, strict=True):
                    got = found[name].view(-1)[k].item()
                    wrong = abs(got - right) > self.tolerance * largest + 1e-8
                    assert not wrong, (
                        f"{self.title}: the gradient is that of the objective; by number {k} of '{name}' the objective "
                        f"changes by {right:.6g}, and its gradient is {got:.6g}: is a part of it detached?"
                    )

    def test_the_same_seed_gives_the_same_bytes(self) -> None:
        """Whatever the global random states are: all randomness comes from the step and from the run."""
        twice = []
        for seed in (1, 2):
            with global_seeds(seed):
                twice.append([moment.gradient() for moment in self.moments()])
        for first, second in zip(*twice, strict=True):
            differing = [name for name, gradient in first.items() if _bytes(gradient) != _bytes(second[name])]
            assert not differing, (
                f"{self.title}: the same seed gives the same bytes; those of {', '.join(differing)} differ. Draw "
                "from `step.generator(...)`, and in setup from `run.random`"
            )

    def test_a_resumed_run_goes_on_alike(self) -> None:
        """What a loss keeps between steps is in its state_dict: a run that was interrupted has nothing else."""
        job = self.job()
        before, later = (Moment.of(job, outer, inner) for outer, inner in self.steps[:2])
        fresh = copy.deepcopy(before.state)
        before.gradient()
        fresh.load_state_dict(state_of(before.state))
        gradients = [later._replace(state=state).gradient() for state in (before.state, fresh)]
        differing = [name for name, gradient in gradients[0].items() if _bytes(gradient) != _bytes(gradients[1][name])]
        assert not differing, (
            f"{self.title}: a resumed run continues in the same way; at a later step, the gradients of "
            f"{', '.join(differing)} are others with a state that has taken back its state_dict"
        )

    def test_images_in_a_pass_do_not_change_it(self) -> None:
        """Memory decides how many images go through a network at once, not what comes of them."""
        whole = [moment.gradient() for moment in self.moments()]
        if any(not _close(g, again.gradient()) for g, again in zip(whole, self.moments(), strict=True)):
            return  # not even the same pass agrees with itself: another test's
        for images in (1, 5):
            in_passes = self.moments(**{"run.micro_batch": images})  # pyright: ignore[reportArgumentType]
            assert all(_close(g, moment.gradient()) for g, moment in zip(whole, in_passes, strict=True)), (
                f"{self.title}: images in a pass do not change it; with {images} at once the gradient is another. Cut "
                "images with step.run.chunks, and sum or average over all of them"
            )

    @pytest.mark.skipif(not CAN_START, reason="several processes start on Linux alone, with torch.distributed")
    def test_several_processes_agree(self) -> None:
        """Classes are divided over processes, of which some may have none; the gradients of all make the whole one."""
        alone, again = self._gradients_on_cpu(), self._gradients_on_cpu()
        if any(not _close(g, other) for g, other in zip(alone, again, strict=True)):
            return  # not even one agrees with itself: another test's
        for size in self.processes if can_fork() else self.processes[:1]:  # a fresh process imports for seconds
            for rank, shared in enumerate(in_processes(size, self._arrays_on_cpu)):
                for whole, arrays in zip(alone, shared, strict=True):
                    found = {name: torch.from_numpy(a) for name, a in arrays.items()}
                    assert _close(whole, found), (
                        f"{self.title}: several processes agree with one; with {size}, the gradients on process {rank} "
                        "are others. What is summed over step.classes is a Part, or passes through step.all_sum; "
                        "random numbers depend on the class, not on the process"
                    )

    def test_the_network_is_left_alone(self) -> None:
        """The engine trains it; a loss only looks. Weights, BatchNorm's statistics, gradients, mode."""
        for moment in self.moments():
            network = moment.step.network
            before = {name: t.clone() for name, t in network.state_dict().items()}
            moment.gradient()
            after = network.state_dict()
            changed = [name for name, t in before.items() if _bytes(t) != _bytes(after[name])]
            assert not changed, f"{self.title}: the network is left alone; it changed {', '.join(changed)}"
            grown = [name for name, p in network.named_parameters() if p.grad is not None]
            assert not grown, f"{self.title}: the network is left alone; it gave a gradient to {', '.join(grown)}"
            training = [name for name, m in network.named_modules() if m.training]
            assert not training, f"{self.title}: the network is left alone; it was put into training mode"

    def test_the_data_are_left_alone(self) -> None:
        """Real images, and the synthetic set, which the engine updates."""
        for moment in self.moments():
            data, real = moment.job.data, moment.job.real
            watched = {
                "the real images": [real.images, real.labels, data.train.images, data.train.labels],
                "the test images": [data.test.images, data.test.labels],
                "the synthetic set": list(moment.synthetic.stored.values()),
            }
            before = {name: [_bytes(t) for t in tensors] for name, tensors in watched.items()}
            moment.gradient()
            changed = [name for name, tensors in watched.items() if before[name] != [_bytes(t) for t in tensors]]
            assert not changed, f"{self.title}: the data are left alone; it changed {', '.join(changed)}"

    def test_global_randomness_is_left_alone(self) -> None:
        """A run inside a larger program changes none of that program's random numbers."""
        with left_alone(self.title):
            for moment in self.moments():
                moment.gradient()

    def moments(self, group: Group = ALONE, **more: object) -> Iterator[Moment]:
        """The loss at each of `steps`, of a set at its start and with a fresh network. more: options of the run."""
        for outer, inner in self.steps:
            yield Moment.of(self.job(group, **more), outer, inner)

    def _gradients_on_cpu(self, group: Group = ALONE) -> list[dict[str, Tensor]]:
        on_cpu: dict[str, Any] = {"run.device": "cpu"}  # gloo's, whatever the other tests run on
        return [moment.gradient() for moment in self.moments(group, **on_cpu)]

    def _arrays_on_cpu(self, group: Group) -> list[dict[str, Any]]:
        return [{name: g.numpy() for name, g in found.items()} for found in self._gradients_on_cpu(group)]

    def _choose(self, gradient: Tensor) -> list[int]:
        """Half of them if the gradient is largest, half anywhere."""
        flat = gradient.flatten().abs()
        largest = flat.topk(min(len(flat), self.numbers // 2)).indices.tolist()
        anywhere = torch.randperm(len(flat), generator=generator(0))[: self.numbers - len(largest)].tolist()
        return list(dict.fromkeys(largest + anywhere))

    def _difference(self, moment: Moment, numbers: Tensor, k: int, state: Mapping[str, Tensor]) -> float:
        """The derivative of the objective by one number, which is moved to both sides and back."""
        kept, values = numbers[k].item(), []
        for sign in (1, -1):
            moment.state.load_state_dict({name: t.clone() for name, t in state.items()})
            numbers[k] = kept + sign * WIDTH
            values.append(moment.objective())
        numbers[k] = kept
        difference = (values[0] - values[1]) / (2 * WIDTH)
        return difference if math.isfinite(difference) else math.nan


def _close(gradients: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    """To rounding in float64; NaN is like NaN, and another test's."""
    return gradients.keys() == others.keys() and all(
        torch.allclose(g, others[name], rtol=0, atol=ROUNDING * float(g.nan_to_num().abs().max()), equal_nan=True)
        for name, g in gradients.items()
    )


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().numpy().tobytes()

"""What each kind of component is: the classes a plugin author subclasses.

A component is a final, frozen, keyword-only dataclass; its fields are its options (see `dcc_core.config`).
Images are (B, C, H, W) floating point and *normalised* (mean and std of the data removed) unless a docstring
says otherwise; hard labels are (B,) int64, soft labels (B, K) probabilities, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from dcc_core.engine.run_context import RunContext
from dcc_core.engine.step import Step
from dcc_core.engine.synthetic import Synthetic


@dataclass(frozen=True)
class Schedule:
    """How long a matching loss works on one network: image updates K_i, training epochs T after each."""

    inner_loops: int
    network_steps: int


PUBLISHED_SCHEDULES = {1: (10, 5), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}


def published_schedule(ipc: int) -> Schedule:
    """K_i and T of gradient matching for a number of images per class.

    The published pairs if there are any; otherwise K_i = min(max(ipc, 10), 50) and T = 5 ipc up to
    ipc 10, round(500 / K_i) above. Source: section 4.1 of the paper, and the field's settings for 20 to 40.
    """
    if ipc in PUBLISHED_SCHEDULES:
        return Schedule(*PUBLISHED_SCHEDULES[ipc])
    inner = min(max(ipc, 10), 50)
    return Schedule(inner, 5 * ipc if ipc <= 10 else round(500 / inner))


@dataclass(frozen=True)
class Part:
    """This process's share of the objective: a scalar tensor."""

    value: Tensor


@dataclass(frozen=True)
class Total:
    """A scalar that is the same on every process and counts once."""

    value: Tensor


class State:
    """What a matching loss keeps between steps. Empty by default."""

    def state_dict(self) -> dict[str, Tensor]:
        """Everything a resumed run needs, as tensors by name."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state_dict` gave."""


class MatchingLoss(ABC):
    """What is minimised over the synthetic set.

    At an inner step, look at real data, synthetic data and a network through `Step`, and yield scalars. The
    objective is the sum of all yielded terms. Yielded terms share no graph: the engine calls backward on each
    as it arrives. All randomness comes from the step.
    """

    kind: ClassVar[str] = "loss"

    def schedule(self, ipc: int) -> Schedule:
        """Inner loops and network steps for a number of images per class. Default: `published_schedule`."""
        return published_schedule(ipc)

    def image_rate(self, ipc: int, outer_loops: int) -> float:
        """Learning rate of the synthetic images if none is asked for. Default: 0.1, the paper's."""
        return 0.1

    def setup(self, run: RunContext, synthetic: Synthetic) -> State:
        """Called once before the first step.

        Here a loss prepares what it keeps, and names what it learns beside the images (`synthetic.learn`).
        Raise DccError if options do not fit the run.
        """
        return State()

    def phase(self, step: Step) -> str:
        """A word for the part of the objective that acts in this step, for display and forecasts; may be empty.

        Steps that take longer have words in brackets after it, which curves leave out.
        """
        return ""

    @abstractmethod
    def terms(self, step: Step, state: Any) -> Iterator[Part | Total]:
        """Yield the objective's terms for one inner step."""

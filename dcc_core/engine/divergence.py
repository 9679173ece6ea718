"""Divergence: return to the last good state after numbers that are not finite, with a smaller image rate."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from dcc_core.engine.matching_loss import State
from dcc_core.engine.synthetic import Synthetic
from dcc_core.errors import ContractError, DccError, NotFiniteError

log = logging.getLogger("dcc")

RETRIES = 3
"""How often one set is taken back."""
RATE_FACTOR = 0.3
"""What the rates are multiplied by each time."""
SET, LOSS = "set.", "loss."


def snapshot(synthetic: Synthetic, state: State) -> dict[str, Tensor]:
    """Copies of everything that a step changes, except the network: the next outer loop builds another."""
    kept = {f"{SET}{name}": t for name, t in synthetic.state_dict().items()}
    return kept | {f"{LOSS}{name}": t for name, t in state_of(state).items()}


def state_of(state: State) -> dict[str, Tensor]:
    """Copies of a loss's state. Raises ContractError if it is not a mapping of tensors."""
    kept = state.state_dict()
    for name, value in kept.items():
        if not isinstance(value, Tensor):
            raise ContractError(f"state_dict gives tensors by name; '{name}' is {type(value).__name__}")
    return {name: t.detach().clone() for name, t in kept.items()}


def restore(synthetic: Synthetic, state: State, kept: Mapping[str, Tensor]) -> None:
    """Load what `snapshot` gave."""
    synthetic.load_state_dict({n.removeprefix(SET): t for n, t in kept.items() if n.startswith(SET)})
    devices = {name: t.device for name, t in state.state_dict().items()}
    own = {n.removeprefix(LOSS): t for n, t in kept.items() if n.startswith(LOSS)}
    state.load_state_dict({name: t.to(devices.get(name, t.device), copy=True) for name, t in own.items()})


@dataclass
class Guard:
    """The state before the last outer loop whose first step went well: a state from which work went on.

    So what it goes back to follows from the configuration and the seed, not from a clock. retries: how often it did;
    notes: what a set file should say of that.
    """

    synthetic: Synthetic
    state: State
    outer: int = 0
    good: dict[str, Tensor] = field(default_factory=dict)
    retries: int = 0
    notes: tuple[str, ...] = ()
    _next: dict[str, Tensor] = field(default_factory=dict)

    def begin(self) -> None:
        """Take a snapshot at the start of an outer loop."""
        self._next = snapshot(self.synthetic, self.state)
        self.good = self.good or self._next

    def record_good_state(self, outer: int) -> None:
        """Keep the loop's snapshot as the good state after its first good step."""
        if self._next:
            self.outer, self.good, self._next = outer, self._next, {}

    def roll_back(self, trouble: NotFiniteError) -> int:
        """Return to the last good state; gives the outer loop to continue with. Raises DccError after the last retry.

        The synthetic set holds the last good state in both cases.
        """
        restore(self.synthetic, self.state, self.good)
        if self.retries == RETRIES:
            raise DccError(
                f"{trouble}, although the image rate was lowered {RETRIES} times by a factor of {RATE_FACTOR}; "
                "begin with a smaller one: -o run.image_rate=..."
            ) from trouble
        self.retries += 1
        self.rescale()
        self.notes += (f"{trouble}: back to outer loop {self.outer}, with rates times {RATE_FACTOR**self.retries:.3g}",)
        log.warning(self.notes[-1])
        return self.outer

    def rescale(self) -> None:
        """Scale the rates by the number of retries."""
        self.synthetic.scale_rates(RATE_FACTOR**self.retries)

"""State needed to resume between two inner steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import ConfigDict
from torch import Tensor

from dcc_core.engine.divergence import LOSS, Guard, restore, snapshot
from dcc_core.group import ALONE, Group

NOW, GOOD, NETWORK = "now.", "good.", "network."


@dataclass(frozen=True, kw_only=True)
class ResumeState:
    """Random numbers are addressed, so that the place of the next step and these tensors are all there is to it.

    outer, inner: the next step. tensors: of the synthetic set, the loss and the network now, and of what the guard
    would go back to, the start of the outer loop `good`. retries, notes: the guard's.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)

    outer: int = 0
    inner: int = 0
    good: int = 0
    retries: int = 0
    notes: tuple[str, ...] = ()
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(
        cls, guard: Guard, outer: int, inner: int, network: Mapping[str, Tensor], group: Group = ALONE
    ) -> ResumeState:
        """Capture the state before a step. network: its state in the outer loop. Collective.

        It includes what the loss keeps on one process alone under its own name, of a class for instance.
        """
        now = {f"{NOW}{name}": t for name, t in snapshot(guard.synthetic, guard.state).items()}
        good = {f"{GOOD}{name}": t for name, t in guard.good.items()}
        own = {name: t.cpu() for name, t in (now | good).items() if name.partition(".")[2].startswith(LOSS)}
        elsewhere = {name: t for of_one in group.gather(own) for name, t in of_one.items()}
        tensors = elsewhere | now | good | {f"{NETWORK}{name}": t for name, t in network.items()}
        own = {"good": guard.outer, "retries": guard.retries, "notes": guard.notes}
        return cls(outer=outer, inner=inner, tensors=tensors, **own)

    def load(self, guard: Guard) -> None:
        """Restore the synthetic set, the loss and the guard; does nothing before the first step."""
        if self.tensors:
            restore(guard.synthetic, guard.state, self._below(NOW))
            guard.outer, guard.good, guard.retries, guard.notes = self.good, self._below(GOOD), self.retries, self.notes
            guard.rescale()

    def network(self) -> dict[str, Tensor]:
        """The part that `Network.state_dict` gave; empty between two outer loops."""
        return self._below(NETWORK)

    def _below(self, prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): t for name, t in self.tensors.items() if name.startswith(prefix)}

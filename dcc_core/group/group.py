"""The processes that work on one run together, as each of them sees them; one process alone is the usual case.

Every process takes a share of the classes and does everything else as the others do, from the same addressed random
numbers, so that synthetic set and network are the same everywhere. Imports no torch: `distributed` has the others.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, final

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


class Group(ABC):
    """rank: this process's number. size: how many there are. local_rank: its number on its machine. restarts: how
    often the group has been restarted after a process died.

    A collective method must be called by every process, equally often and in the same order.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    restarts: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part of some work; the parts differ by one at most."""
        return items[self.rank :: self.size]

    @abstractmethod
    def broadcast(self, make: Callable[[], T]) -> T:
        """What the first process makes, on every process; it is called there alone. Collective.

        Raises what `make` raises, everywhere.
        """

    @abstractmethod
    def gather(self, own: T) -> list[T]:
        """What every process has, by rank. Collective."""

    @abstractmethod
    def stack(self, numbers: Tensor) -> Tensor:
        """The numbers (K,) of every process, (size, K), on their device. Collective."""

    @abstractmethod
    def add(self, tensors: Sequence[Tensor]) -> None:
        """Let each tensor be its sum over processes, in place, without a derivative. Collective."""

    @abstractmethod
    def all_sum(self, tensors: Sequence[Tensor], anchor: Tensor) -> list[Tensor]:
        """Sums over processes, whose derivative is the identity: see `Step.all_sum`. Collective.

        anchor: a tensor that requires grad. So the sums require grad on every process, even if its own share does not.
        """

    @abstractmethod
    def checksum(self, tensors: Sequence[Tensor]) -> Tensor:
        """A whole number (float64, below 2^52) that differs if any bit of some tensors does, all but surely.

        Nothing to compare with, and 0, for one process.
        """

    @abstractmethod
    def leader_first(self) -> contextlib.AbstractContextManager[None]:
        """One process of every machine goes first, so that the others find what it leaves there. Collective."""

    @abstractmethod
    def check_agreement(self, facts: Mapping[str, object]) -> None:
        """Raise DccError, on every process, if what should be the same everywhere is not. Collective."""

    @abstractmethod
    def maximum(self, number: int) -> int:
        """The largest of the processes' numbers. Collective."""

    def any_process(self, flag: bool) -> bool:
        """Whether it is so on any process. Collective."""
        return bool(self.maximum(flag))


@final
class Alone(Group):
    """One process."""

    def broadcast(self, make: Callable[[], T]) -> T:
        return make()

    def leader_first(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def check_agreement(self, facts: Mapping[str, object]) -> None:
        """One process agrees with itself."""

    def gather(self, own: T) -> list[T]:
        return [own]

    def stack(self, numbers: Tensor) -> Tensor:
        return numbers.unsqueeze(0)

    def maximum(self, number: int) -> int:
        return number

    def add(self, tensors: Sequence[Tensor]) -> None:
        """One process is its own sum."""

    def all_sum(self, tensors: Sequence[Tensor], anchor: Tensor) -> list[Tensor]:
        return list(tensors)

    def checksum(self, tensors: Sequence[Tensor]) -> Tensor:
        return tensors[0].new_zeros(())


ALONE = Alone()

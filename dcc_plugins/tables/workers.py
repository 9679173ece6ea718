"""Workers for independent pieces of work: this process, other processes, or a cluster.

Imported by workers before they have their threads and GPUs: imports nothing heavy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar, final

from annotated_types import Ge
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked

from dcc_core.errors import as_dcc_error

A = TypeVar("A")
R = TypeVar("R")

RETRIES = 3
"""How often a piece of work is given to another worker, where its own is lost."""
PLACES = ("local", "local:N", "ray", "ray://HOST:PORT", "ray:ADDRESS")


@checked(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Resources:
    """What one piece of work takes. cpus: threads; gpus: a part of one or whole ones. None: what the place has."""

    cpus: Annotated[int, Ge(1)] | None = None
    gpus: Annotated[float, Ge(0)] | None = None

    def over(self, other: Resources) -> Resources:
        """These, and the other's if these are not said."""
        return Resources(
            cpus=other.cpus if self.cpus is None else self.cpus, gpus=other.gpus if self.gpus is None else self.gpus
        )


@dataclass(frozen=True)
class Began:
    """A worker has begun a piece of work."""

    name: str


@dataclass(frozen=True)
class Lost:
    """The worker of a piece of work is gone; another one gets it."""

    name: str
    reason: str


@dataclass(frozen=True)
class Done(Generic[R]):
    """What a piece of work gave."""

    name: str
    result: R


@dataclass(frozen=True)
class Failed:
    """A piece of work failed, and would again."""

    name: str
    message: str


Event = Began | Lost | Done[R] | Failed
Events = Generator[Event[R], None, None]


class Workers(ABC):
    """Does pieces of work. Ctrl-C and SIGTERM end the workers as they end a run: between two steps."""

    @abstractmethod
    def each(self, work: Callable[[A], R], given: Mapping[str, A]) -> Events[R]:
        """`work` of every value, by name; what happens, as it does. If the iterator is closed, the workers end.

        Elsewhere than in this process, work, values and results are pickled.
        Raises DccError if there are no such workers.
        """


@final
class ThisProcess(Workers):
    """One piece of work after the other."""

    def each(self, work: Callable[[A], R], given: Mapping[str, A]) -> Events[R]:
        for name, value in given.items():
            yield Began(name)
            yield run_piece(name, work, value)


def run_piece(name: str, work: Callable[[A], R], value: A) -> Done[R] | Failed:
    """How a piece of work ends, wherever it is done."""
    try:
        return Done(name, work(value))
    except Exception as error:
        return Failed(name, str(as_dcc_error(error)))


class Losses:
    """How often each piece of work has lost its worker."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def another(self, name: str, reason: str) -> Lost | Failed:
        """One more: whether it is tried again."""
        self._times[name] += 1
        if self._times[name] <= RETRIES:
            return Lost(name, reason)
        return Failed(name, f"its worker was lost {self._times[name]} times, the last time: {reason}")


def threads(cpus: int) -> dict[str, str]:
    """The environment of a process with so many threads, to be set before torch is imported."""
    return {name: str(cpus) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}

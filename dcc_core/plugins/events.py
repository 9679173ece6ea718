"""What observers receive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from dcc_core.plugins.score import Score

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """A run before its first step. config: dotted option keys and plain values; out: the run's folder.

    resumes_at: set, outer and inner loop at which an interrupted run resumes; none for a new run.
    """

    config: dict[str, Any]
    class_names: tuple[str, ...]
    sets: int
    outer_loops: int
    inner_loops: int
    out: str | None
    resumes_at: tuple[int, int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One inner step: its place, the objective's value, and which part of a combinator gave it (`phase`).

    gradients: of the objective, with respect to what is learned as it was before the update, by name; for images (N,
    C, H, W), class by class. They are the engine's own tensors, which the next step overwrites: look at them, and copy
    what you keep.
    """

    set: int
    outer: int
    inner: int
    loss: float
    phase: str
    gradients: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

    def row(self) -> dict[str, Any]:
        """What of it a table can hold: everything but the gradients."""
        return {"set": self.set, "outer": self.outer, "inner": self.inner, "loss": self.loss, "phase": self.phase}


@dataclass(frozen=True, kw_only=True)
class ScoreReport:
    """A scored set.

    subject: `condensed`, `random` (the baseline), or another measurement of a composite protocol; and last, for such a
    protocol, its own name (`lrs`), if the score carries `robustness`.
    """

    set: int
    subject: str
    score: Score


class Observer(ABC):
    """Is told what happens in a run that asks for it (`--log`), and keeps or sends it somewhere."""

    kind: ClassVar[str] = "observer"

    @abstractmethod
    def listen(self, run: RunInfo) -> object:
        """An object whose methods are observer hooks, marked with `hookimpl`; called from here on, until the run ends.

        Of the hooks, `dcc_run_started` has passed by then. `run.out` is the run's folder. A hook that raises is named
        and not called again; the run continues.
        """

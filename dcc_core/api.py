"""What each kind of component is: the classes a plugin author subclasses.

A component is a final, frozen, keyword-only dataclass; its fields are its options (see `dcc_core.options`).
Images are (B, C, H, W) floating point and *normalised* (mean and std of the data removed) unless a docstring
says otherwise; hard labels are (B,) int64, soft labels (B, K) probabilities, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from pathlib import Path

    from dcc_core.data import RealData
    from dcc_core.exchange import Exporting, Importing
    from dcc_core.observe import RunInfo
    from dcc_core.run_context import RunContext
    from dcc_core.setfile import CondensedSet
    from dcc_core.step import Step
    from dcc_core.synthetic import Synthetic


@dataclass(frozen=True)
class Batch:
    """Images (B, C, H, W), normalised, with labels: (B,) int64, or (B, K) probabilities."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        _, c, h, w = self.images.shape
        return c, h, w

    @property
    def device(self) -> torch.device:
        return self.images.device

    def batch(self, indices: Tensor) -> Batch:
        """The images at these indices (int64, on any device), with their labels."""
        indices = indices.to(self.device)
        return Batch(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Schedule:
    """How long a matching loss works on one network: image updates K_i, training epochs T after each."""

    inner_loops: int
    network_steps: int


PUBLISHED_SCHEDULES = {1: (10, 5), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}


def published_schedule(ipc: int) -> Schedule:
    """K_i and T of gradient matching for a number of images per class.

    The published pairs where there are any; otherwise K_i = min(max(ipc, 10), 50) and T = 5 ipc up to
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
        """Learning rate of the synthetic images where none is asked for. Default: 0.1, the paper's."""
        return 0.1

    def setup(self, run: RunContext, synthetic: Synthetic) -> State:
        """Called once before the first step.

        Here a loss prepares what it keeps, and names what it learns beside the images (`synthetic.learn`).
        Raise DccError where options do not fit the run.
        """
        return State()

    def phase(self, step: Step) -> str:
        """A word for the part of the objective that acts in this step, for display; may be empty."""
        return ""

    @abstractmethod
    def terms(self, step: Step, state: Any) -> Iterator[Part | Total]:
        """Yield the objective's terms for one inner step."""


class Augmentation(ABC):
    """A differentiable transform of images, with its random draw kept apart from its application."""

    kind: ClassVar[str] = "augmentation"

    @property
    def mixes_labels(self) -> bool:
        """Whether `apply` needs and returns soft labels, as Mixup and CutMix do."""
        return False

    def adapt(self, traits: frozenset[str]) -> Augmentation:
        """This augmentation as it suits the data, e.g. without flips for `mirror-changes-class`."""
        return self

    @abstractmethod
    def draw(
        self, n: int, shape: tuple[int, int, int], generator: torch.Generator, *, per_batch: bool = False
    ) -> Mapping[str, Tensor]:
        """`n` draws for images of shape (C, H, W): tensors on the CPU, leading dimension n.

        The draws are independent. With `per_batch` they belong to one training batch: an augmentation that
        picks its operation once per batch picks one, and draws only its strength n times.
        """

    @abstractmethod
    def apply(
        self, images: Tensor, labels: Tensor, params: Mapping[str, Tensor], index: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Transform images (B, C, H, W); draw `index[b]` acts on image b. Differentiable in the images.

        index: (B,) int64 on the CPU. Where `mixes_labels`, labels come and go as (B, K) probabilities.
        """


class Classifier(Protocol):
    """What an architecture builds: an `nn.Module` with features."""

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, C, H, W)."""
        ...

    def embed(self, images: Tensor) -> Tensor:
        """Features (B, D) before the head."""
        ...


class Architecture(ABC):
    """Builds networks."""

    kind: ClassVar[str] = "architecture"

    def describe(self) -> str:
        """What a family's argument chose, for `dcc show architecture FAMILY/NAME`."""
        return ""

    @abstractmethod
    def build(self, *, channels: int, classes: int, size: tuple[int, int], generator: torch.Generator) -> nn.Module:
        """A freshly initialised `Classifier` on the CPU for images (channels, *size).

        Initial weights come from `generator` alone (see `dcc_core.seeded`). Raises DccError where the images
        are too small.
        """


SHARED = "shared_"
"""How the names of stored tensors begin that belong to all rows."""


class Parametrisation(ABC):
    """How stored tensors become training images."""

    kind: ClassVar[str] = "parametrisation"

    @property
    def images_per_row(self) -> int:
        """Training images that one stored row stands for; ipc counts rows."""
        return 1

    @abstractmethod
    def init(self, images: Tensor, labels: Tensor, run: RunContext) -> dict[str, Tensor]:
        """Stored tensors of N rows for images (N * images_per_row, C, H, W) and their labels, in order.

        A tensor has one row per stored image, unless its name begins with `shared_`. Those that require grad
        are learned, soft labels among them. One named `images` is taken as (N, C, h, w) in normalised space,
        and is written to a set file in unit space; `run.real.normalisation` converts between the two. Random
        numbers come from `run.random`.
        """

    @abstractmethod
    def decode(self, stored: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Images (rows * images_per_row, C, H, W) and labels of some rows, row by row."""


class Selection(ABC):
    """Picks real images: a coreset."""

    kind: ClassVar[str] = "selection"

    @property
    def whole(self) -> bool:
        """Whether it keeps every image, whatever ipc says. Such a selection is scored, and leaves no set."""
        return False

    @abstractmethod
    def select(self, data: RealData, ipc: int, run: RunContext) -> Sequence[Tensor]:
        """For every class, `ipc` distinct indices (int64) into `data.train`."""


class Format(ABC):
    """A layout of files in which the field exchanges condensed sets; `dcc convert` reads and writes it.

    Files come from strangers: nothing in them may be executed. `read_torch`, `read_tensor` and `read_npz` of `dcc_core`
    read pickles and archives so.
    """

    kind: ClassVar[str] = "format"

    @abstractmethod
    def read(self, path: Path, context: Importing) -> CondensedSet:
        """The set in a file or folder; `context.condensed` makes one of images and labels.

        Raises DccError that says what was expected and found. Any other error is turned into one that names the path.
        """

    @abstractmethod
    def write(self, s: CondensedSet, path: Path, context: Exporting) -> None:
        """Write a set as a file, or as a folder, at a path where nothing is yet; `context.decoded` gives its images.

        Raises DccError where the layout cannot hold the set. What it holds less of is said by `context.note`.
        """


class Observer(ABC):
    """Is told what happens in a run that asks for it (`--log`), and keeps or sends it somewhere."""

    kind: ClassVar[str] = "observer"

    @abstractmethod
    def listen(self, run: RunInfo) -> object:
        """An object whose methods are observer hooks, marked with `hookimpl`; called from here on, until the run ends.

        Of the hooks, `dcc_run_started` has passed by then. `run.out` is the run's folder. A hook that raises is named
        and not called again; the run goes on.
        """

"""Data sets: real images, their labels and statistics, and where they come from."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Lt
from torch import Tensor

from dcc_core.errors import ContractError

DIGEST_IMAGES = 1000
"""About the number of images in a checksum."""
CHUNK = 2**22
"""Numbers that the statistics are computed of at once; bounds their memory."""


@dataclass(frozen=True)
class ImageSet:
    """Images (N, C, H, W) uint8 in 0..255 and labels (N,) int64 in 0..K-1.

    places: (N,) int64, where each image stood among the `loaded` ones of the source before any were left out;
    none: these are all, in order.
    """

    images: Tensor
    labels: Tensor
    places: Tensor | None = None
    loaded: int | None = None


@dataclass(frozen=True)
class RealData:
    """A data set.

    mean, std: per channel, of images scaled to 0..1; the field's published values, or, if none are given, computed from
    the training part (then `computed` is true). class_names: one per class, in label order. traits: facts that
    components ask for: `mirror-changes-class` (digits, letters), `mnist`. Raises ContractError when shapes, types or
    labels do not fit together.
    """

    name: str
    train: ImageSet
    test: ImageSet
    class_names: tuple[str, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    validation: ImageSet | None = None
    traits: frozenset[str] = frozenset()
    computed: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        parts = {"train": self.train, "test": self.test, "validation": self.validation}
        for part, s in parts.items():
            if s is not None:
                self._check(part, s)
        if not self.mean and not self.std:
            mean, std = channel_statistics(self.train.images)
            object.__setattr__(self, "computed", True)
            object.__setattr__(self, "mean", mean)
            object.__setattr__(self, "std", std)
        for name in self.class_names:
            if not isinstance(name, str) or not name.isprintable():
                raise ContractError(f"data '{self.name}': the class name {name!r} cannot be written as text")
        numbers = (len(self.mean), len(self.std)) == (self.channels, self.channels)
        if not numbers or not all(0 < s < float("inf") for s in self.std):
            raise ContractError(
                f"data '{self.name}': mean {self.mean} and std {self.std} must have one number "
                f"per channel ({self.channels}), std positive"
            )

    def digest(self) -> str:
        """A checksum of the training part: its labels, its statistics, and some of its images."""
        digest = hashlib.blake2b(repr((self.class_names, self.mean, self.std)).encode(), digest_size=16)
        some = self.train.images[:: max(1, len(self.train.images) // DIGEST_IMAGES)]
        for tensor in (self.train.labels, some.contiguous()):
            digest.update(tensor.numpy().data)
        return digest.hexdigest()

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        c, h, w = self.train.images.shape[1:]
        return c, h, w

    @property
    def channels(self) -> int:
        return self.shape[0]

    def _check(self, part: str, s: ImageSet) -> None:
        where = f"data '{self.name}', {part} part"
        if not (isinstance(s.images, Tensor) and isinstance(s.labels, Tensor)):
            found = f"{type(s.images).__name__} and {type(s.labels).__name__}"
            raise ContractError(f"{where}: images and labels are {found}; expected tensors")
        if not len(s.images):
            raise ContractError(f"{where}: it holds no images")
        if s.images.dtype != torch.uint8 or s.images.ndim != 4:
            raise ContractError(
                f"{where}: images are {s.images.dtype} of shape {tuple(s.images.shape)}; expected uint8 (N, C, H, W)"
            )
        if s.images.shape[1:] != self.train.images.shape[1:]:
            raise ContractError(
                f"{where}: images are {tuple(s.images.shape[1:])}, the train part's {tuple(self.shape)}; "
                "they must agree"
            )
        if s.labels.dtype != torch.int64 or s.labels.shape != s.images.shape[:1]:
            raise ContractError(
                f"{where}: labels are {s.labels.dtype} of shape {tuple(s.labels.shape)}; "
                f"expected int64 ({len(s.images)},)"
            )
        if not 0 <= int(s.labels.min()) <= int(s.labels.max()) < self.num_classes:
            raise ContractError(
                f"{where}: labels span {int(s.labels.min())} to {int(s.labels.max())}; "
                f"expected 0 to {self.num_classes - 1}"
            )


Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and std per channel, of images scaled to 0..1."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """What the field knows of a data set without its files: names of its classes, mean and std per channel."""

    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class DataSource(ABC):
    """Loads a data set. The options here are every source's; the host applies them after `load`."""

    kind: ClassVar[str] = "data"

    classes: Annotated[tuple[str | int, ...], "only these classes, by name or index"] = ()
    mirrored: Annotated[tuple[str | int, ...], "classes whose images are mirrored, by name or index"] = ()
    per_class: Annotated[int | None, "training images of each class, at most", Ge(1)] = None
    validation: Annotated[float, "share of the training images set apart for validation", Ge(0), Lt(1)] = 0.0
    missing: Annotated[Literal["fail", "skip"], "what to do about classes without training images"] = "fail"
    statistics: Annotated[
        Literal["published", "computed"] | None,
        "mean and std: the field's, or of the training images; none: the field's where there are any",
    ] = None
    split_seed: Annotated[int, "seed of per_class, validation, and any split of the source's own", Ge(0)] = 0

    def suggestions(self) -> Mapping[str, Any]:
        """Option values that suit small data, by dotted key, e.g. {"run.outer_loops": 20, "arch.depth": 2}.

        Never inner loops or network steps: they are the loss's.
        """
        return {}

    def describe(self) -> str:
        """What a family's argument chose, for `dcc show data NAME:ARGUMENT`."""
        return ""

    def published(self) -> Published | None:
        """Class names and statistics, if they are known without the files; `dcc convert` asks for them."""
        return None

    @classmethod
    def set_file(cls, argument: str) -> Path | None:
        """The file of a condensed set in the place that a family's argument names, fetched if need be, if any."""
        return None

    @abstractmethod
    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        """Read the whole data set from below `root`, downloading it there if that is allowed and needed.

        Raises DccError that says what to put where, if it is not there.
        """


def channel_statistics(images: Tensor) -> Statistics:
    """Mean and std per channel of uint8 images (N, C, H, W), scaled to 0..1, in a few images' memory.

    A channel that is the same everywhere has a std of 1: it is normalised to 0.
    """
    total, squares = torch.zeros(2, images.shape[1], dtype=torch.float64)
    for chunk in images.split(max(1, CHUNK // images[0].numel())):
        unit = chunk.double() / 255
        total += unit.sum(dim=(0, 2, 3))
        squares += unit.square().sum(dim=(0, 2, 3))
    count = images.numel() / images.shape[1]
    mean = total / count
    std = (squares / count - mean.square()).clamp(min=0).sqrt()
    return tuple(mean.tolist()), tuple(std.where(std > 0, 1).tolist())

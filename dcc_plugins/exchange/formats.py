"""What a format works with: what is known beside a file that it reads, and the images of a set that it writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from dcc_core.data import Normalisation, Statistics
from dcc_core.errors import DccError
from dcc_core.plugins import Registry
from dcc_core.sets import CPU, WHITENED, CondensedSet, Provenance, check_set, training_images

Space = Literal["unit", "normalised", "whitened"]
"""Where values of images lie: 0..1, not clipped; mean and std of the data removed; ZCA-whitened, for good."""
LabelKind = Literal["probabilities", "logits", "targets"]
"""What soft labels are: probabilities, those before a softmax, or targets of a regression."""

LOGITS = "label_logits"
TARGETS = "label_targets"
RAW = {"logits": LOGITS, "targets": TARGETS}
"""The tensor of a set file that keeps such labels as they came."""


@dataclass(frozen=True, kw_only=True)
class Importing:
    """What the user says of a file, beside what stands in it.

    format: the format's name. statistics: as `--stats` gives them. usual: those of `--data`, by which networks are
    trained; they say nothing of how a file was normalised. class_names: empty where nobody gave any. data, config: the
    data source and its options, for the set's provenance.
    """

    format: str
    registry: Registry
    statistics: Statistics | None = None
    usual: Statistics | None = None
    class_names: tuple[str, ...] = ()
    data: str = "unknown"
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def condensed(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        space: Space,
        labels_are: LabelKind = "probabilities",
        owners: Tensor | None = None,
        class_names: tuple[str, ...] = (),
        statistics: Statistics | None = None,
        learned: Mapping[str, Any] | None = None,
        scores: tuple[Mapping[str, Any], ...] = (),
        notes: tuple[str, ...] = (),
    ) -> CondensedSet:
        """A set of images (N, C, H, W) in `space` with labels: (N,) whole numbers, or (N, K) as `labels_are` says.

        Logits become probabilities by a softmax, targets of a regression the class of the largest; both are kept, as
        the tensors `label_logits` and `label_targets`. owners: (N,) the class each image was made for, where the labels
        are soft and the file says so. class_names, statistics: what the file itself says; what the user gave stands
        above it. Raises DccError where something is missing or does not fit together.
        """
        self._check_shapes(images, labels)
        names = self.class_names or class_names or _placeholders(labels)
        if not (self.class_names or class_names):
            notes = (
                *notes,
                "classes have no names of their own: --data or --class-names gives them, and scoring needs them",
            )
        if strange := [name for name in names if not name or not name.isprintable()]:
            raise DccError(f"the class name {strange[0]!r} cannot be written as text")
        mean, std = self._statistics(images.shape[1], space, statistics)
        stored, made_for, said = _labels(labels, labels_are, len(names))
        owners = made_for if owners is None else owners
        images = images.double()
        if space == "normalised":
            images = Normalisation(mean, std, CPU, torch.float64).to_unit(images)
        stored[WHITENED if space == "whitened" else "images"] = images.float()
        if space == "whitened":
            said = (*said, "images are ZCA-whitened; what was done to them cannot be undone from here")
        order = owners.argsort(stable=True)
        made = CondensedSet(
            {name: t[order].contiguous() for name, t in (stored | {"owners": owners}).items()},
            Provenance(
                method=f"imported from {self.format}",
                data=self.data,
                class_names=names,
                mean=mean,
                std=std,
                size=(images.shape[2], images.shape[3]),
                seed=0,
                config=dict(self.config),
                learned=dict(learned or {}),
                versions=dict(self.versions),
                scores=scores,
                notes=(*notes, *said),
            ),
        )
        try:
            check_set(made)
        except ValueError as error:
            raise DccError(f"what {self.format} files hold is no set: {error}") from error
        return made

    def _check_shapes(self, images: Tensor, labels: Tensor) -> None:
        if not images.is_floating_point() or images.ndim != 4 or not images.numel():
            raise DccError(
                f"images are {images.dtype} of shape {tuple(images.shape)}; expected floating point (N, C, H, W)"
            )
        soft = labels.is_floating_point() and labels.ndim == 2 and labels.shape[1] > 0
        hard = labels.ndim == 1 and labels.dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
        if not (soft or hard) or len(labels) != len(images):
            raise DccError(
                f"labels are {labels.dtype} of shape {tuple(labels.shape)} for {len(images)} images; expected whole "
                "numbers (N,), or floating point (N, classes)"
            )

    def _statistics(self, channels: int, space: Space, own: Statistics | None) -> Statistics:
        if space == "whitened":
            if self.statistics:
                raise DccError("--stats: the images are whitened, which no mean and std undo; leave it out")
            return (0.0,) * channels, (1.0,) * channels
        known = self.statistics or own or (self.usual if space == "unit" else None)
        if known is None:
            why = "which are normalised, and not by which mean and std" if space == "normalised" else "in unit space"
            other = " (or --data, whose own are used)" if space == "unit" else ""
            raise DccError(
                f"--stats is needed{other}: {self.format} files hold images {why}. Give the name of a data source "
                "(cifar10), or numbers ('mean=0.4914,0.4822,0.4465 std=0.2023,0.1994,0.2010'). The field's tools "
                "disagree: CIFAR-100 goes by cifar100's in some, by cifar10's in others"
            )
        if len(known[0]) != channels:
            raise DccError(f"images have {channels} channels, and mean and std {len(known[0])}: {known[0]}, {known[1]}")
        return known


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A set's training images (N, C, H, W), float32, as a format wants them, in the order of their classes.

    owners: (N,) int64, the class that each was made for. labels: those, or what stands in the set in their place.
    """

    images: Tensor
    owners: Tensor
    labels: Tensor
    raw: Mapping[str, Tensor]
    context: Exporting

    def classes(self) -> Tensor:
        """Hard labels (N,) int64. Raises DccError where the set's are soft."""
        if self.labels.is_floating_point():
            raise DccError(
                f"the set has soft labels, and {self.context.format} files hold hard ones; those of datm hold soft ones"
            )
        if TARGETS in self.raw:
            self.context.note(f"{TARGETS} are left out: {self.context.format} files hold classes")
        return self.labels

    def logits(self) -> Tensor:
        """Labels (N, K) before their softmax, float32. Raises DccError where the set's are hard."""
        if not self.labels.is_floating_point():
            raise DccError(f"the set has hard labels, and {self.context.format} files hold logits; mtt holds hard ones")
        if LOGITS in self.raw:
            return self.raw[LOGITS].float()
        return self.labels.clamp(min=torch.finfo(torch.float32).tiny).log().float()

    def targets(self, classes: int) -> Tensor:
        """Targets (N, K) of a regression, float32: those that were imported, else one-hot less 1 / K.

        Raises DccError for soft labels: read again, they would be hard.
        """
        if TARGETS in self.raw:
            return self.raw[TARGETS].float()
        if self.labels.is_floating_point():
            raise DccError(f"the set has soft labels, and {self.context.format} files hold targets, read as classes")
        return F.one_hot(self.labels, classes).float() - 1 / classes


@dataclass(frozen=True, kw_only=True)
class Exporting:
    """What the user says of a file to be written. statistics: to normalise by, where not by the set's own.

    notes: what a reader of the file will miss; `note` adds to them.
    """

    format: str
    registry: Registry
    statistics: Statistics | None = None
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Say what the file does not hold of the set."""
        if text not in self.notes:
            self.notes.append(text)

    def decoded(self, s: CondensedSet, space: Space) -> Exported:
        """A set's training images in `space`. Raises DccError where they cannot be had in it."""
        whitened = WHITENED in s.stored
        if whitened != (space == "whitened"):
            held, asked = ("whitened", space) if whitened else ("in unit space", "whitened")
            raise DccError(
                f"the set's images are {held}, and {self.format} files as asked for hold {asked} ones: between the two "
                "there is no way without the whitening itself"
            )
        others = self.statistics if space == "normalised" else None
        batch = training_images(s, self.registry, unit=space == "unit" or others is not None)
        images = Normalisation(*others, CPU, torch.float64).normalise(batch.images) if others else batch.images
        together = len(images) // len(s.owners)
        raw = {name: s.stored[name].repeat_interleave(together, 0) for name in RAW.values() if name in s.stored}
        owners = s.owners.repeat_interleave(together)
        return Exported(images=images.float(), owners=owners, labels=batch.labels, raw=raw, context=self)


def _placeholders(labels: Tensor) -> tuple[str, ...]:
    """`class 0` and so on, as many as the labels speak of."""
    if labels.ndim == 2:
        return tuple(f"class {k}" for k in range(labels.shape[1]))
    least, most = int(labels.min()), int(labels.max())
    if least < 0 or most >= len(labels):
        raise DccError(f"labels go from {least} to {most}; expected 0 to at most {len(labels) - 1}: an image per class")
    return tuple(f"class {k}" for k in range(most + 1))


def _labels(labels: Tensor, labels_are: LabelKind, classes: int) -> tuple[dict[str, Tensor], Tensor, tuple[str, ...]]:
    """What a set stores of its labels, the class that each row was made for, and what to say of it."""
    if labels.ndim == 1:
        if int(labels.max()) >= classes or int(labels.min()) < 0:
            raise DccError(
                f"labels go from {int(labels.min())} to {int(labels.max())}, and there are {classes} classes"
            )
        hard = labels.long()
        return {"labels": hard}, hard, ()
    if labels.shape[1] != classes:
        raise DccError(f"labels are for {labels.shape[1]} classes, and {classes} class names are given")
    if not torch.isfinite(labels).all():
        raise DccError("labels hold NaN or infinite values")
    owners, said = _owners(labels)
    if labels_are == "probabilities":
        return {"labels": labels.float()}, owners, said
    kept = {RAW[labels_are]: labels.float()}
    if labels_are == "logits":
        note = f"labels are the softmax of the file's logits, which are kept in {LOGITS}"
        return {"labels": labels.double().softmax(dim=1).float(), **kept}, owners, (*said, note)
    note = f"labels are the classes of the largest of the file's regression targets, which are kept in {TARGETS}"
    return {"labels": labels.argmax(dim=1), **kept}, owners, (*said, note)


def _owners(labels: Tensor) -> tuple[Tensor, tuple[str, ...]]:
    """The class each row of soft labels was made for: by its place, for these layouts are sorted by class.

    Where fewer than half of the largest labels agree with that, the file is not sorted, and the largest decides.
    """
    rows, classes = labels.shape
    largest = labels.argmax(dim=1)
    if rows % classes:
        return largest, ()
    places = torch.arange(classes).repeat_interleave(rows // classes)
    differ = int((largest != places).sum())
    if 2 * differ > rows:
        return largest, ()
    return places, (f"the largest label of {differ} images is not their own class's",) if differ else ()


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

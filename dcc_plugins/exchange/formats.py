"""The base class of formats, and the contexts that `read` and `write` receive."""

from __future__ import annotations

import os
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
from dcc_plugins.exchange.labels import LOGITS, RAW, TARGETS, LabelKind, check_names, convert_labels, placeholders
from dcc_plugins.placing import place_atomically

Space = Literal["unit", "normalised", "whitened"]
"""Value space of images: 0..1, not clipped; normalised by mean and std of the data; ZCA-whitened, not invertible."""


@dataclass(frozen=True, kw_only=True)
class Importing:
    """What the user says about a file, in addition to its content.

    format: the format's name. statistics: from `--stats`. usual: those of `--data`, used to train networks; a file may
    be normalised by others. class_names: empty if the user gives none. data, config: the data source and its options,
    for the set's provenance.
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
        """A set of images (N, C, H, W) in `space`, with labels: (N,) integers, or (N, K) of the kind `labels_are`.

        Logits become probabilities by a softmax, regression targets the class of the largest; the tensors
        `label_logits` and `label_targets` keep the originals. owners: (N,) the class each image belongs to, if labels
        are soft and the file has it. class_names, statistics: from the file; those of the user take precedence.
        Raises DccError if something is missing or inconsistent.
        """
        self._check_shapes(images, labels)
        names = check_names(self.class_names or class_names or placeholders(labels))
        if not (self.class_names or class_names):
            notes = (*notes, "classes have no names: --data or --class-names gives them, and scoring needs them")
        mean, std = self._statistics(images.shape[1], space, statistics)
        stored, label_owners, label_notes = convert_labels(labels, labels_are, len(names))
        owners = label_owners if owners is None else owners
        images = images.double()
        if space == "normalised":
            images = Normalisation(mean, std, CPU, torch.float64).to_unit(images)
        stored[WHITENED if space == "whitened" else "images"] = images.float()
        if space == "whitened":
            label_notes = (*label_notes, "images are ZCA-whitened; what was done to them cannot be undone from here")
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
                notes=(*notes, *label_notes),
            ),
        )
        try:
            check_set(made)
        except ValueError as error:
            raise DccError(f"the content of the {self.format} file is not a valid set: {error}") from error
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
                f"labels are {labels.dtype} of shape {tuple(labels.shape)} for {len(images)} images; expected "
                "integers (N,), or floating point (N, classes)"
            )

    def _statistics(self, channels: int, space: Space, own: Statistics | None) -> Statistics:
        if space == "whitened":
            if self.statistics:
                raise DccError("--stats: the images are whitened, which mean and std cannot undo; leave it out")
            return (0.0,) * channels, (1.0,) * channels
        known = self.statistics or own or (self.usual if space == "unit" else None)
        if known is None:
            why = "normalised by an unknown mean and std" if space == "normalised" else "in unit space"
            other = " (or --data, to use its own)" if space == "unit" else ""
            raise DccError(
                f"--stats is needed{other}: {self.format} files hold images {why}. Give a data source "
                "(cifar10), or numbers ('mean=0.4914,0.4822,0.4465 std=0.2023,0.1994,0.2010'). Tools "
                "differ: for CIFAR-100, some use the statistics of cifar100, others those of cifar10"
            )
        if len(known[0]) != channels:
            raise DccError(f"images have {channels} channels, mean and std {len(known[0])}: {known[0]}, {known[1]}")
        return known


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A set's training images (N, C, H, W), float32, in the space of a format and sorted by class.

    owners: (N,) int64, the class of each image. labels: (N,) classes or (N, K) probabilities. raw: imported logits or
    targets.
    """

    images: Tensor
    owners: Tensor
    labels: Tensor
    raw: Mapping[str, Tensor]
    context: Exporting

    def classes(self) -> Tensor:
        """Hard labels (N,) int64. Raises DccError if the set has soft labels."""
        if self.labels.is_floating_point():
            raise DccError(f"the set has soft labels, and {self.context.format} files hold hard ones; use datm instead")
        if TARGETS in self.raw:
            self.context.note(f"{TARGETS} are left out: {self.context.format} files hold classes")
        return self.labels

    def logits(self) -> Tensor:
        """Logits (N, K) of the labels, float32. Raises DccError if the set has hard labels."""
        if not self.labels.is_floating_point():
            raise DccError(f"the set has hard labels, and {self.context.format} files hold logits; use mtt instead")
        if LOGITS in self.raw:
            return self.raw[LOGITS].float()
        return self.labels.clamp(min=torch.finfo(torch.float32).tiny).log().float()

    def targets(self, classes: int) -> Tensor:
        """Regression targets (N, K), float32: the imported ones, else one-hot minus 1 / K.

        Raises DccError for soft labels: reading the file would return hard ones.
        """
        if TARGETS in self.raw:
            return self.raw[TARGETS].float()
        if self.labels.is_floating_point():
            raise DccError(f"the set has soft labels, and {self.context.format} files hold targets, read as classes")
        return F.one_hot(self.labels, classes).float() - 1 / classes


@dataclass(frozen=True, kw_only=True)
class Exporting:
    """What the user says about a file to write. statistics: replace the set's own for normalisation.

    notes: what the file does not hold; `note` adds to them.
    """

    format: str
    registry: Registry
    statistics: Statistics | None = None
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add a note on what the file does not hold."""
        if text not in self.notes:
            self.notes.append(text)

    def decoded(self, s: CondensedSet, space: Space) -> Exported:
        """A set's training images in `space`. Raises DccError if they cannot be converted to it."""
        whitened = WHITENED in s.stored
        if whitened != (space == "whitened"):
            actual, wanted = ("whitened", space) if whitened else ("in unit space", "whitened")
            raise DccError(
                f"the set's images are {actual}, but {self.format} files with these options hold {wanted} ones: "
                "converting needs the whitening transform, which is not stored"
            )
        others = self.statistics if space == "normalised" else None
        batch = training_images(s, self.registry, unit=space == "unit" or others is not None)
        images = Normalisation(*others, CPU, torch.float64).normalise(batch.images) if others else batch.images
        per_row = len(images) // len(s.owners)
        raw = {name: s.stored[name].repeat_interleave(per_row, 0) for name in RAW.values() if name in s.stored}
        owners = s.owners.repeat_interleave(per_row)
        return Exported(images=images.float(), owners=owners, labels=batch.labels, raw=raw, context=self)


class Format(ABC):
    """A file layout of condensed sets that `dcc convert` reads and writes.

    Files are untrusted: no code in them may be executed. `read_torch`, `read_tensor` and `read_npz` of
    `dcc_plugins.exchange` read pickles and archives safely.
    """

    kind: ClassVar[str] = "format"

    @abstractmethod
    def read(self, path: Path, context: Importing) -> CondensedSet:
        """The set in a file or folder; `context.condensed` builds one from images and labels.

        Raises DccError that says what was expected and found. Other errors become a DccError that names the path.
        """

    @abstractmethod
    def write(self, s: CondensedSet, path: Path, context: Exporting) -> None:
        """Write a set as a file or folder at a path that does not exist yet; `context.decoded` gives its images.

        Raises DccError if the layout cannot hold the set. `context.note` reports what is lost.
        """

    def export(self, s: CondensedSet, path: Path, name: str, registry: Registry, overwrite: bool) -> tuple[str, ...]:
        """Write a set at a path, whole or not at all; returns notes on what is lost. name: the format's."""
        context = Exporting(format=name, registry=registry)
        path = Path(os.path.abspath(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        with place_atomically(path, overwrite=overwrite) as place:
            self.write(s, place, context)
        return tuple(context.notes)

"""`dcc inspect`: everything that stands in a set file, damaged or not, and what is wrong with it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dcc_core.config import KIND_OF_KEY
from dcc_core.errors import DccError
from dcc_core.plugins import Registry
from dcc_core.sets import METADATA_KEY, WHITENED, draw_grid, load_set, stretch, training_images

FAR = 50.0
"""A value that no image in unit space has: learned ones reach 15 at high rates, and those of 8 bits 255."""
ASTRAY = 1.5
"""How many std of the data the images' mean may be from that of the data. The mean of normalised images is about 0,
which for photographs is two std away."""
TOLERANCE = 1e-3
"""How far from 1 the sum of an image's soft labels may be."""


@dataclass(frozen=True)
class TensorFacts:
    """A tensor of a file: least, greatest and mean of its finite numbers, and how many are not finite.

    outside: for images, the share of the finite numbers that lie outside 0..1.
    """

    dtype: str
    shape: tuple[int, ...]
    least: float | None
    greatest: float | None
    mean: float | None
    not_finite: int
    outside: float | None


@dataclass(frozen=True)
class Inspection:
    """What stands in a file, and what is wrong with it (`findings`).

    about: the metadata as they stand, empty where they cannot be read. counts: stored images of every class.
    """

    path: Path
    bytes: int
    about: Mapping[str, Any]
    stored: Mapping[str, Tensor]
    tensors: Mapping[str, TensorFacts]
    counts: tuple[int, ...]
    findings: tuple[str, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """As the metadata have them, whatever they are."""
        return tuple(map(str, listed(self.about.get("class_names"))))

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        return {
            "file": str(self.path),
            "bytes": self.bytes,
            "about": dict(self.about),
            "tensors": {name: dataclasses.asdict(facts) for name, facts in self.tensors.items()},
            "stored_images": list(self.counts),
            "findings": list(self.findings),
        }

    def grid(self, registry: Registry) -> bytes:
        """A picture of the stored images, else of the decoded ones (PNG). Whitened ones are stretch to 0..1 each.

        Raises DccError where there is nothing that can be drawn.
        """
        owners, images = self.stored.get("owners"), self.stored.get("images")
        if images is None and WHITENED in self.stored:
            images = stretch(self.stored[WHITENED])
        if images is None:
            images = training_images(load_set(self.path), registry, unit=True).images
        drawable = images.is_floating_point() and images.ndim == 4 and images.numel() > 0
        named = self.counts and len(self.counts) == len(self.class_names)
        if owners is None or not named or not drawable or len(images) % len(owners):
            raise DccError(f"'{self.path}' cannot be drawn: its images, owners and class names do not fit together")
        owners = owners.repeat_interleave(len(images) // len(owners))
        return draw_grid(images.nan_to_num(0, 1, 0), owners, self.class_names)


def inspect_set(path: Path, registry: Registry) -> Inspection:
    """Look into a set file. Raises DccError where safetensors cannot read it."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            stored = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (OSError, SafetensorError) as error:
        raise DccError(f"set file '{path}' cannot be read: {error}") from error
    about = _about(metadata)
    tensors = {name: _facts(name, tensor) for name, tensor in stored.items()}
    counts = _counts(stored.get("owners"), len(listed(about.get("class_names"))))
    findings = [
        *_refusal(path),
        *_of_tensors(tensors),
        *_of_images(tensors.get("images"), stored.get("images"), about),
        *_of_labels(stored.get("labels")),
        *_of_counts(counts),
        *_of_metadata(about, registry),
    ]
    return Inspection(
        path=path,
        bytes=path.stat().st_size,
        about=about,
        stored=stored,
        tensors=tensors,
        counts=counts,
        findings=tuple(findings),
    )


def listed(value: Any) -> list[Any]:
    """A value of the metadata where a list belongs: itself, or an empty one."""
    return list(value) if isinstance(value, list) else []


def mapped(value: Any) -> dict[str, Any]:
    """A value of the metadata where a table belongs: itself, or an empty one."""
    return dict(value) if isinstance(value, dict) else {}


def _about(metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        return mapped(json.loads(metadata.get(METADATA_KEY, "")))
    except (ValueError, RecursionError):
        return {}


def _facts(name: str, tensor: Tensor) -> TensorFacts:
    numbers = tensor.double() if not tensor.is_complex() else torch.zeros(0, dtype=torch.float64)
    finite = numbers[numbers.isfinite()]
    known = len(finite) > 0
    outside = float(((finite < 0) | (finite > 1)).double().mean()) if known and name == "images" else None
    return TensorFacts(
        dtype=str(tensor.dtype).removeprefix("torch."),
        shape=tuple(tensor.shape),
        least=finite.min().item() if known else None,
        greatest=finite.max().item() if known else None,
        mean=finite.mean().item() if known else None,
        not_finite=tensor.numel() - len(finite),
        outside=outside,
    )


def _counts(owners: Tensor | None, classes: int) -> tuple[int, ...]:
    """Stored images of every class; empty where the owners are no classes."""
    if owners is None or owners.dtype != torch.int64 or owners.ndim != 1 or not len(owners):
        return ()
    if int(owners.min()) < 0 or int(owners.max()) >= max(classes, len(owners)):
        return ()
    return tuple(torch.bincount(owners, minlength=classes).tolist())


def _refusal(path: Path) -> Iterator[str]:
    try:
        load_set(path)
    except DccError as error:
        yield f"dcc does not use it: {error}"


def _of_tensors(tensors: Mapping[str, TensorFacts]) -> Iterator[str]:
    for name, facts in tensors.items():
        if facts.not_finite:
            yield f"{facts.not_finite} numbers of '{name}' are NaN or infinite"
    if WHITENED in tensors:
        yield "images are ZCA-whitened: the set cannot be scored on images that are not whitened alike"


def _of_images(facts: TensorFacts | None, images: Tensor | None, about: Mapping[str, Any]) -> Iterator[str]:
    """Whether images are where they should be, in unit space."""
    if facts is None or images is None or facts.least is None or facts.greatest is None:
        return
    if max(-facts.least, facts.greatest) > FAR:
        yield f"images range from {facts.least:.4g} to {facts.greatest:.4g}: they are hardly in unit space, 0..1"
        return
    mean, std = (listed(about.get(key)) for key in ("mean", "std"))
    if images.ndim != 4 or not len(mean) == len(std) == images.shape[1] or not _positive(std):
        return
    own = images.double().nan_to_num(0, 0, 0).mean(dim=(0, 2, 3))
    away = max(abs(o - m) / s for o, m, s in zip(own.tolist(), mean, std, strict=True))
    if away > ASTRAY:
        yield (
            f"the images' mean is {away:.1f} std of the data away from the data's: they are hardly in unit space, or "
            "mean and std are those of other data"
        )


def _positive(values: list[Any]) -> bool:
    return all(isinstance(v, int | float) and v > 0 for v in values)


def _of_labels(labels: Tensor | None) -> Iterator[str]:
    if labels is not None and labels.is_floating_point() and labels.ndim == 2 and labels.numel():
        wrong = int((((labels.sum(dim=1) - 1).abs() > TOLERANCE) | (labels < 0).any(dim=1)).sum())
        if wrong:
            yield f"soft labels of {wrong} images are no probabilities: negative, or with another sum than 1"


def _of_counts(counts: tuple[int, ...]) -> Iterator[str]:
    if counts and min(counts) != max(counts):
        yield f"classes differ in size: {min(counts)} to {max(counts)} stored images"


def _of_metadata(about: Mapping[str, Any], registry: Registry) -> Iterator[str]:
    if not about:
        yield f"it has no metadata '{METADATA_KEY}' that can be read: nobody can say of what classes the images are"
        return
    missing = [name for name in ("mean", "std") if not listed(about.get(name))]
    if missing:
        yield f"{' and '.join(missing)} of the data are missing: nobody can say how to normalise the images"
    if about.get("finished") is False:
        yield "it is unfinished: the run was interrupted, and these are the images of that moment"
    config = mapped(about.get("config"))
    for key, kind in KIND_OF_KEY.items():
        if key not in config:
            continue
        try:
            registry.find(kind, str(config[key]))
        except DccError:
            needed = ", and it cannot be decoded without" if key == "param" else ""
            yield f"it was made with {kind} '{config[key]}', which is not installed here{needed}"

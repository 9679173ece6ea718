"""`dcc inspect`: the content of a set file, damaged or not, and what is wrong with it."""

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
from dcc_core.errors import DccError, check_regular
from dcc_core.plugins import Registry
from dcc_core.sets import METADATA_KEY, WHITENED, draw_grid, load_set, stretch, training_images

MAX_MAGNITUDE = 50.0
"""No image in unit space exceeds it: learned images reach 15 at high learning rates, 8-bit images reach 255."""
MAX_MEAN_SHIFT = 1.5
"""Largest distance of the images' mean from the data's, in std of the data. Normalised images have a mean of about 0,
which is two std away for photographs."""
TOLERANCE = 1e-3
"""Largest distance from 1 of the sum of an image's soft labels."""


@dataclass(frozen=True)
class TensorFacts:
    """A tensor of a file: minimum, maximum and mean of its finite values, and the number of non-finite ones.

    outside: for images, the share of finite values outside 0..1.
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
    """The content of a set file, and what is wrong with it (`findings`).

    about: the raw metadata, empty if unreadable. counts: stored images per class.
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
        """The class names in the metadata, unchecked."""
        return tuple(map(str, list_or_empty(self.about.get("class_names"))))

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        return {
            "file": str(self.path),
            "bytes": self.bytes,
            "about": dict(self.about),
            "tensors": {name: dataclasses.asdict(facts) for name, facts in self.tensors.items()},
            "stored_images": list(self.counts),
            "findings": list(self.findings),
        }

    def grid(self, registry: Registry) -> bytes:
        """PNG of the stored images, or of the decoded ones. Whitened images are stretched to 0..1 one by one.

        Raises DccError if the images cannot be drawn.
        """
        owners, images = self.stored.get("owners"), self.stored.get("images")
        if images is None and WHITENED in self.stored:
            images = stretch(self.stored[WHITENED])
        if images is None:
            images = training_images(load_set(self.path), registry, unit=True).images
        drawable = images.is_floating_point() and images.ndim == 4 and images.numel() > 0
        has_names = self.counts and len(self.counts) == len(self.class_names)
        if owners is None or not has_names or not drawable or len(images) % len(owners):
            raise DccError(f"'{self.path}' cannot be drawn: its images, owners and class names do not match")
        owners = owners.repeat_interleave(len(images) // len(owners))
        return draw_grid(images.nan_to_num(0, 1, 0), owners, self.class_names)


def inspect_set(path: Path, registry: Registry) -> Inspection:
    """Read and check a set file. Raises DccError if safetensors cannot read it."""
    try:
        with safe_open(check_regular(path), framework="pt") as file:
            metadata = file.metadata() or {}
            stored = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (OSError, SafetensorError) as error:
        raise DccError(f"set file '{path}' cannot be read: {error}") from error
    about = _read_metadata(metadata)
    tensors = {name: _measure_tensor(name, tensor) for name, tensor in stored.items()}
    counts = _count_images(stored.get("owners"), len(list_or_empty(about.get("class_names"))))
    findings = [
        *_check_loading(path),
        *_check_tensors(tensors),
        *_check_images(tensors.get("images"), stored.get("images"), about),
        *_check_labels(stored.get("labels")),
        *_check_counts(counts),
        *_check_metadata(about, registry),
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


def list_or_empty(value: Any) -> list[Any]:
    """A metadata value if it is a list, else an empty list."""
    return list(value) if isinstance(value, list) else []


def dict_or_empty(value: Any) -> dict[str, Any]:
    """A metadata value if it is a dictionary, else an empty one."""
    return dict(value) if isinstance(value, dict) else {}


def _read_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        return dict_or_empty(json.loads(metadata.get(METADATA_KEY, "")))
    except (ValueError, RecursionError):
        return {}


def _measure_tensor(name: str, tensor: Tensor) -> TensorFacts:
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


def _count_images(owners: Tensor | None, classes: int) -> tuple[int, ...]:
    """Stored images per class; empty if the owners are not class indices."""
    if owners is None or owners.dtype != torch.int64 or owners.ndim != 1 or not len(owners):
        return ()
    if int(owners.min()) < 0 or int(owners.max()) >= max(classes, len(owners)):
        return ()
    return tuple(torch.bincount(owners, minlength=classes).tolist())


def _check_loading(path: Path) -> Iterator[str]:
    try:
        load_set(path)
    except DccError as error:
        yield f"dcc rejects it: {error}"


def _check_tensors(tensors: Mapping[str, TensorFacts]) -> Iterator[str]:
    for name, facts in tensors.items():
        if facts.not_finite:
            yield f"{facts.not_finite} values of '{name}' are NaN or infinite"
    if WHITENED in tensors:
        yield "images are ZCA-whitened: the set cannot be scored on images without the same whitening"


def _check_images(facts: TensorFacts | None, images: Tensor | None, about: Mapping[str, Any]) -> Iterator[str]:
    """Whether images are in unit space."""
    if facts is None or images is None or facts.least is None or facts.greatest is None:
        return
    if max(-facts.least, facts.greatest) > MAX_MAGNITUDE:
        yield f"images range from {facts.least:.4g} to {facts.greatest:.4g}: they are probably not in unit space, 0..1"
        return
    mean, std = (list_or_empty(about.get(key)) for key in ("mean", "std"))
    if images.ndim != 4 or not len(mean) == len(std) == images.shape[1] or not _all_positive(std):
        return
    own = images.double().nan_to_num(0, 0, 0).mean(dim=(0, 2, 3))
    away = max(abs(o - m) / s for o, m, s in zip(own.tolist(), mean, std, strict=True))
    if away > MAX_MEAN_SHIFT:
        yield (
            f"the images' mean is {away:.1f} std away from the data's: they are probably not in unit space, or "
            "mean and std belong to other data"
        )


def _all_positive(values: list[Any]) -> bool:
    return all(isinstance(v, int | float) and v > 0 for v in values)


def _check_labels(labels: Tensor | None) -> Iterator[str]:
    if labels is not None and labels.is_floating_point() and labels.ndim == 2 and labels.numel():
        wrong = int((((labels.sum(dim=1) - 1).abs() > TOLERANCE) | (labels < 0).any(dim=1)).sum())
        if wrong:
            yield f"soft labels of {wrong} images are not probabilities: negative, or their sum is not 1"


def _check_counts(counts: tuple[int, ...]) -> Iterator[str]:
    if counts and min(counts) != max(counts):
        yield f"classes differ in size: {min(counts)} to {max(counts)} stored images"


def _check_metadata(about: Mapping[str, Any], registry: Registry) -> Iterator[str]:
    if not about:
        yield f"it has no metadata '{METADATA_KEY}' that can be read: the classes of the images are unknown"
        return
    missing = [name for name in ("mean", "std") if not list_or_empty(about.get(name))]
    if missing:
        yield f"{' and '.join(missing)} of the data are missing: how to normalise the images is unknown"
    if about.get("finished") is False:
        yield "it is unfinished: it holds the images at the time the run was interrupted"
    config = dict_or_empty(about.get("config"))
    for key, kind in KIND_OF_KEY.items():
        if key not in config:
            continue
        try:
            registry.find(kind, str(config[key]))
        except DccError:
            needed = ", and decoding needs it" if key == "param" else ""
            yield f"it was made with {kind} '{config[key]}', which is not installed here{needed}"

"""A condensed set and its file: one self-describing `.safetensors`.

Tensors: `images` (N, C, h, w) in unit space (0..1, not clipped), `labels` (N,) int64 or (N, K)
probabilities, `owners` (N,) int64 where labels are soft, and whatever else the parametrisation stores.
Metadata: one key `dcc`, JSON, with the fields of `Provenance`. No time, path or host name, so that the same
configuration and seed give the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dcc_core.errors import DccError
from dcc_core.files import write_atomically

FORMAT = 1
METADATA_KEY = "dcc"


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a set comes from and how to read it.

    mean, std: of the data, per channel; training normalises by them. config: every option that bears on the
    result, by dotted key. learned: what the loss learned beside the images. versions: of the distributions
    involved. scores: as `Score.as_dict` gives them.
    """

    method: str
    data: str
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int]
    seed: int
    set: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    learned: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    scores: tuple[Mapping[str, Any], ...] = ()
    finished: bool = True


@dataclass(frozen=True)
class CondensedSet:
    """A few images per class, and their provenance.

    stored: the tensors of the file, images in unit space.
    """

    stored: dict[str, Tensor]
    provenance: Provenance

    @property
    def images(self) -> Tensor:
        """The stored images (N, C, h, w) in unit space, not clipped, class by class."""
        return self.stored["images"]

    @property
    def labels(self) -> Tensor:
        """Labels (N,) int64 or (N, K) probabilities."""
        return self.stored["labels"]

    @property
    def owners(self) -> Tensor:
        """The class each stored image was made for: (N,) int64, ascending."""
        return self.stored.get("owners", self.labels)

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.provenance.class_names

    def with_scores(self, *scores: Mapping[str, Any]) -> CondensedSet:
        """The same set with these scores in its provenance."""
        return CondensedSet(self.stored, replace(self.provenance, scores=scores))

    def to_bytes(self) -> bytes:
        """The file's content; equal sets give equal bytes."""
        fields = {"format": FORMAT} | dataclasses.asdict(self.provenance)
        metadata = {METADATA_KEY: json.dumps(fields, sort_keys=True, ensure_ascii=False)}
        tensors = {name: t.detach().cpu().contiguous() for name, t in sorted(self.stored.items())}
        return save(tensors, metadata)

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all. Raises DccError where the place cannot be written."""
        write_atomically(Path(path), self.to_bytes())


def load_set(path: str | Path) -> CondensedSet:
    """Read a set file.

    Raises DccError where the file is missing, damaged, not a condensed set, or of a newer format.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            stored = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (OSError, SafetensorError) as error:
        raise DccError(f"set file '{path}' cannot be read: {error}") from error
    if METADATA_KEY not in metadata:
        raise DccError(f"'{path}' is a safetensors file but not a condensed set: it has no metadata '{METADATA_KEY}'")
    try:
        fields = json.loads(metadata[METADATA_KEY])
        version = fields.pop("format")
        if version != FORMAT:
            raise DccError(f"set file '{path}' has format {version}; this version of dcc reads format {FORMAT}")
        result = CondensedSet(stored, TypeAdapter(Provenance).validate_python(fields))
        _check(result)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DccError(f"set file '{path}' is damaged: {wrong}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DccError(f"set file '{path}' is damaged: {type(error).__name__}: {error}") from error
    return result


def _check(s: CondensedSet) -> None:
    """Raise ValueError where the tensors contradict each other or the metadata."""
    images, labels, owners, classes = s.images, s.labels, s.owners, len(s.class_names)
    if images.ndim != 4 or not images.is_floating_point() or images.shape[1] != len(s.provenance.mean):
        raise ValueError(f"images are {images.dtype} {tuple(images.shape)}; expected floating point (N, C, h, w)")
    if labels.shape not in ((len(images),), (len(images), classes)):
        raise ValueError(f"labels have shape {tuple(labels.shape)} for {len(images)} images, {classes} classes")
    if owners.dtype != torch.int64 or owners.shape != (len(images),):
        raise ValueError(f"the class of each image is {owners.dtype} {tuple(owners.shape)}; expected int64 (N,)")
    counts = torch.bincount(owners, minlength=classes) if owners.min() >= 0 else torch.zeros(classes)
    if len(counts) != classes or not counts.all() or not torch.equal(owners, owners.sort().values):
        raise ValueError("every class needs at least one image, and images must be sorted by class")
    if not torch.isfinite(images).all():
        raise ValueError("images hold NaN or infinite values")

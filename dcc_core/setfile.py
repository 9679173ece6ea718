"""A condensed set and its file: one self-describing `.safetensors`, as `docs/set-file.md` describes it.

Tensors: `owners` (N,) int64, the class of each row, ascending; `images` (N, C, h, w) in unit space (0..1, not
clipped); `labels` (N,) int64 or (N, K) probabilities; and whatever else the parametrisation stores.
Metadata: one key `dcc`, JSON, with the fields of `Provenance`. No time, path or host name, so that the same
configuration and seed give the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dcc_core.errors import DccError
from dcc_core.files import write_atomically

if TYPE_CHECKING:
    from torch.utils.data import TensorDataset

    from dcc_core.registry import Registry

FORMAT = 1
METADATA_KEY = "dcc"
WHITENED = "whitened"
"""The tensor of images that were ZCA-whitened elsewhere. Not `images`: those are in unit space, and from here there is
no way back to it."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a set comes from and how to read it.

    mean, std: of the data, per channel; training normalises by them. config: every option that bears on the
    result, by dotted key. learned: what the loss learned beside the images. versions: of the distributions
    involved. scores: as `Score.as_dict` gives them. notes: what befell the run or an import on the way, in words.
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
    notes: tuple[str, ...] = ()

    def options(self, *sections: str) -> dict[str, Any]:
        """The part of the configuration in some sections."""
        return {k: v for k, v in self.config.items() if k.partition(".")[0] in sections}


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
        return self._plain("images")

    @property
    def labels(self) -> Tensor:
        """Labels (N,) int64 or (N, K) probabilities."""
        return self._plain("labels")

    @property
    def owners(self) -> Tensor:
        """The class each stored image was made for: (N,) int64, ascending."""
        return self.stored["owners"]

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.provenance.class_names

    def with_scores(self, *scores: Mapping[str, Any]) -> CondensedSet:
        """The same set with these scores in its provenance."""
        return CondensedSet(self.stored, replace(self.provenance, scores=scores))

    def with_notes(self, *notes: str) -> CondensedSet:
        """The same set with these notes in its provenance."""
        return CondensedSet(self.stored, replace(self.provenance, notes=notes))

    def to_bytes(self) -> bytes:
        """The file's content; equal sets give equal bytes."""
        fields = {"format": FORMAT} | dataclasses.asdict(self.provenance)
        metadata = {METADATA_KEY: json.dumps(fields, sort_keys=True, ensure_ascii=False)}
        tensors = {name: t.detach().cpu().contiguous().clone() for name, t in sorted(self.stored.items())}
        return save(tensors, metadata)

    def dataset(self, *, normalised: bool = True, registry: Registry | None = None) -> TensorDataset:
        """The training images with their labels, for your own training code: float32 (N, C, H, W), on the CPU.

        A parametrised set is decoded, for which its parametrisation must be installed (or in `registry`). Labels are
        (N,) int64, or (N, K) probabilities. normalised: by the set's mean and std; otherwise in unit space.
        Raises DccError where the set cannot be decoded, and for whitened images in unit space.
        """
        from torch.utils.data import TensorDataset

        from dcc_core.decoding import training_images

        batch = training_images(self, registry, unit=not normalised)
        soft = batch.labels.is_floating_point()
        return TensorDataset(batch.images.float(), batch.labels.float() if soft else batch.labels)

    def _plain(self, name: str) -> Tensor:
        if name == "images" and WHITENED in self.stored:
            raise DccError(f"this set's images are whitened, not in unit space: they are the tensor '{WHITENED}'")
        if name not in self.stored:
            parametrisation = self.provenance.config.get("param")
            raise DccError(f"this set has no tensor '{name}': decode it by its parametrisation, '{parametrisation}'")
        return self.stored[name]

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
            stored = {name: file.get_tensor(name).clone() for name in sorted(file.keys())}
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
        check(result)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DccError(f"set file '{path}' is damaged: {wrong}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DccError(f"set file '{path}' is damaged: {type(error).__name__}: {error}") from error
    return result


def check(s: CondensedSet) -> None:
    """Raise ValueError where the tensors contradict each other or the metadata."""
    p, owners, classes = s.provenance, s.owners, len(s.class_names)
    rows = len(owners)
    if len(p.mean) != len(p.std) or not all(0 < v < float("inf") for v in p.std):
        raise ValueError(f"mean {p.mean} and std {p.std} must have one number per channel, std positive")
    if owners.dtype != torch.int64 or owners.ndim != 1 or not torch.equal(owners, owners.sort().values):
        raise ValueError(f"owners are {owners.dtype} {tuple(owners.shape)}; expected int64 (N,), ascending")
    if not torch.equal(owners.unique(), torch.arange(classes)):
        raise ValueError(f"every one of the {classes} classes needs at least one image, and there are no others")
    for name, tensor in s.stored.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{name} hold NaN or infinite values")
    for name in ("images", WHITENED):
        images = s.stored.get(name)
        if images is None:
            continue
        if not images.is_floating_point() or images.ndim != 4 or images.shape[:2] != (rows, len(p.mean)):
            raise ValueError(f"{name} are {images.dtype} {tuple(images.shape)}; expected floating point (N, C, h, w)")
    labels = s.stored.get("labels")
    if labels is not None:
        shape = (rows, classes) if labels.is_floating_point() else (rows,)
        if labels.shape != shape:
            raise ValueError(f"labels have shape {tuple(labels.shape)} for {rows} images, {classes} classes")
        if not labels.is_floating_point() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(f"labels lie outside 0 to {classes - 1}")

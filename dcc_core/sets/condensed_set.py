"""A condensed set and its file: one self-describing `.safetensors`, as `docs/set-file.md` describes it.

Tensors: `owners` (N,) int64, the class of each row, ascending; `images` (N, C, h, w) in unit space (0..1, not
clipped); `labels` (N,) int64 or (N, K) probabilities; and whatever else the parametrisation stores.
Metadata: one key `dcc`, JSON, with the fields of `Provenance`. No time, path or host name, so that the same
configuration and seed give the same bytes.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save
from torch import Tensor

from dcc_core.config import Builder, Rank, Settings
from dcc_core.data import Batch, Normalisation
from dcc_core.engine import Parametrisation
from dcc_core.errors import DccError, faults_of
from dcc_core.plugins import Registry
from dcc_core.sets.atomic_files import write_atomically
from dcc_core.sets.grid import draw_grid

if TYPE_CHECKING:
    import datasets
    import numpy as np
    from torch.utils.data import DataLoader, TensorDataset


FORMAT = 1
METADATA_KEY = "dcc"
CPU = torch.device("cpu")
SHOWN = 50
"""Classes that a notebook shows."""
WHITENED = "whitened"
"""The tensor of images that were ZCA-whitened elsewhere. Not `images`: those are in unit space, and from here there is
no way back to it."""
CROPS = "crop_logits"
"""The tensor (N, E, K) of a teacher's logits of every image's crop in every epoch."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a set comes from and how to read it.

    mean, std: of the data, per channel; training normalises by them. config: every option that bears on the
    result, by dotted key. learned: what the loss learned beside the images. versions: of the distributions
    involved. scores: as `Score.as_dict` gives them. notes: retries, resumes and conversions, in words. labels: what the
    labels are and which teacher made them, if one did.
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
    labels: Mapping[str, Any] = field(default_factory=dict)

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
        fields = {name: value for name, value in fields.items() if value or name != "labels"}
        metadata = {METADATA_KEY: json.dumps(fields, sort_keys=True, ensure_ascii=False)}
        tensors = {name: t.detach().cpu().contiguous().clone() for name, t in sorted(self.stored.items())}
        return save(tensors, metadata)

    def dataset(self, *, normalised: bool = True, registry: Registry | None = None) -> TensorDataset:
        """The training images with their labels, for your own training code: float32 (N, C, H, W), on the CPU.

        A parametrised set is decoded, for which its parametrisation must be installed (or in `registry`). Labels are
        (N,) int64, or (N, K) probabilities. normalised: by the set's mean and std; otherwise in unit space.
        Raises DccError if the set cannot be decoded, and for whitened images in unit space.
        """
        from torch.utils.data import TensorDataset

        batch = training_images(self, registry, unit=not normalised)
        soft = batch.labels.is_floating_point()
        return TensorDataset(batch.images.float(), batch.labels.float() if soft else batch.labels)

    def loader(self, batch_size: int = 256, *, seed: int = 0, **more: Any) -> DataLoader[tuple[Tensor, ...]]:
        """Batches of `dataset()`, normalised, shuffled by the seed. more: arguments of torch's DataLoader."""
        from torch.utils.data import DataLoader

        how = {"shuffle": True, "generator": torch.Generator().manual_seed(seed)}
        return DataLoader(self.dataset(), batch_size, **{**how, **more})

    def to_numpy(self, *, registry: Registry | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The training images (N, C, H, W) in unit space, float32, not clipped, and their labels as in `dataset`."""
        images, labels = self.dataset(normalised=False, registry=registry).tensors
        return images.numpy(), labels.numpy()

    def to_folder(
        self, path: str | Path, *, format: str = "png", overwrite: bool = False, registry: Registry | None = None
    ) -> tuple[str, ...]:
        """Write a folder of PNGs, a folder per class, as torchvision's `ImageFolder` reads them; returns what is lost.

        format: any that `dcc convert --to` knows. Raises DccError if it cannot hold the set, or the place is taken.
        """
        registry = registry or Registry.installed()
        writer, title = _build("format", {"format": format}, registry)
        with faults_of(title):
            return writer.export(self, Path(path), format, registry, overwrite)

    def to_datasets(self, *, registry: Registry | None = None) -> datasets.Dataset:
        """A data set of Hugging Face's `datasets`, with features Image and ClassLabel; values are rounded to 8 bits.

        Raises DccError if that package is not installed (the extra `hf`), or the set cannot be decoded.
        """
        registry = registry or Registry.installed()
        return _build("format", {"format": "hf"}, registry)[0].to_datasets(self, registry)

    def _repr_html_(self) -> str:
        """For notebooks: the stored images of the first classes, a row each, the method and the scores."""
        p, shown = self.provenance, self.owners < SHOWN
        lines = [f"{p.method} on {p.data}: {len(self.owners)} images of {len(p.class_names)} classes"]
        lines += [f"{s['architecture']}, protocol {s['protocol']}: {100 * s['mean']:.1f} %" for s in p.scores]
        text = "<br>".join(map(html.escape, lines))
        if "images" not in self.stored:
            return f"<p>{text}</p>"
        picture = draw_grid(self.images[shown], self.owners[shown], p.class_names[:SHOWN])
        data = base64.b64encode(picture).decode()
        return f'<figure><img src="data:image/png;base64,{data}" alt=""><figcaption>{text}</figcaption></figure>'

    def _plain(self, name: str) -> Tensor:
        if name == "images" and WHITENED in self.stored:
            raise DccError(f"this set's images are whitened, not in unit space: they are the tensor '{WHITENED}'")
        if name not in self.stored:
            parametrisation = self.provenance.config.get("param")
            raise DccError(f"this set has no tensor '{name}': decode it by its parametrisation, '{parametrisation}'")
        return self.stored[name]

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all. Raises DccError if the place cannot be written."""
        write_atomically(Path(path), self.to_bytes())


def parametrisation_of(s: CondensedSet, registry: Registry) -> tuple[Parametrisation, str]:
    """A set's parametrisation with its options, and its title; the identity if the set says none.

    Raises DccError if it is not installed, or does not take these options.
    """
    return _build("param", s.provenance.options("param"), registry)


def _build(key: str, options: Mapping[str, Any], registry: Registry) -> tuple[Any, str]:
    """A component with options by dotted key, and its title. Raises DccError as `parametrisation_of` does."""
    settings = Settings()
    settings.add(options, "set file", Rank.FILE)
    builder = Builder(registry, settings)
    component = builder.component(key)
    builder.stop_on_problems()
    return component, builder.titles[key]


def normalisation_of(s: CondensedSet, device: torch.device, dtype: torch.dtype) -> Normalisation:
    """Between a set's unit space and its normalised space."""
    return Normalisation(s.provenance.mean, s.provenance.std, device, dtype)


def normalise_stored(s: CondensedSet, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    """What a set stores, on a device, images in normalised space by the set's statistics."""
    stored = {name: t.to(device) for name, t in s.stored.items() if name != "owners"}
    stored = {name: t.to(dtype) if t.is_floating_point() else t for name, t in stored.items()}
    if "images" in stored:
        stored["images"] = normalisation_of(s, device, dtype).normalise(stored["images"])
    return stored


def training_images(s: CondensedSet, registry: Registry | None = None, *, unit: bool = False) -> Batch:
    """A set's training images, decoded, normalised or in unit space; whitened images as they are.

    On the CPU in float64: to normalised space and back nothing is lost. registry: where the parametrisation is found;
    by default among what is installed. Raises DccError if it is not there, and for whitened images in unit space.
    """
    if WHITENED in s.stored:
        if unit:
            raise DccError(
                "the set's images are ZCA-whitened, and nothing in its file would undo that: they are in no unit space"
            )
        return Batch(s.stored[WHITENED].double(), s.labels)
    parametrisation, _ = parametrisation_of(s, registry or Registry.installed())
    try:
        with torch.no_grad():
            images, labels = parametrisation.decode(normalise_stored(s, CPU, torch.float64))
    except Exception as error:
        name = s.provenance.config.get("param", "identity")
        raise DccError(
            f"the set cannot be decoded by its parametrisation, '{name}', from its tensors {', '.join(s.stored)}: "
            f"{type(error).__name__}: {error}"
        ) from error
    return Batch(normalisation_of(s, CPU, torch.float64).to_unit(images) if unit else images, labels)

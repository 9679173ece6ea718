"""Arrays, tensors and data sets of other libraries as data sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, Subset

from dcc_core import DataSource, DccError, ImageSet, RealData
from dcc_plugins.data.arrays import ArraySource, number_texts
from dcc_plugins.data.npz import LABELS
from dcc_plugins.data.tree import PART_OF
from dcc_plugins.objects.digests import digest
from dcc_plugins.objects.given import Given


class Arrays(NamedTuple):
    """One part of the data: images and labels, the names of its classes if they are known, and what it was."""

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...] = ()
    name: str = "arrays"


def given_data(value: Any) -> Given | None:
    """The data source that an object stands for; none if it is no data. Raises DccError for data that are not images.

    (images, labels), a torch `Dataset` and a `datasets.Dataset` are the training part; a fifth of it is set apart
    for testing. Pairs (train, test) of them, and mappings from part to one (a `DatasetDict`), have a test part.
    """
    if isinstance(value, RealData):
        parts = [(p.images, p.labels) for p in (value.train, value.test, value.validation) if p]
        return Given(target=_source_of(value), digest=digest([parts, value.class_names, value.mean, value.std]))
    parts = _parts(value)
    if parts is None:
        return None
    content = {part: [own.images, own.labels, own.class_names] for part, own in parts.items()}
    return Given(target=_source_of_arrays(parts), digest=digest(content))


def _source_of(data: RealData) -> type[DataSource]:
    @final
    @dataclass(frozen=True, kw_only=True)
    class Source(DataSource):
        """Data given in Python."""

        def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
            return data

    Source.__name__ = data.name
    return Source


def _source_of_arrays(parts: Mapping[str, Arrays]) -> type[DataSource]:
    first = parts["train"]

    @final
    @dataclass(frozen=True, kw_only=True)
    class Source(ArraySource):
        """Arrays given in Python."""

        def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
            texts = number_texts(p.labels for p in parts.values())
            sets = {part: self._image_set(part, own, texts) for part, own in parts.items()}
            classes = self.count_classes(sets, f"data '{first.name}'")
            names = tuple(texts) or first.class_names or tuple(map(str, range(classes)))
            if len(names) < classes:
                raise DccError(f"data '{first.name}' has {len(names)} names of classes, and labels up to {classes - 1}")
            return RealData(name=first.name, class_names=names, **self.complete(sets))

        def _image_set(self, part: str, own: Arrays, texts: Mapping[str, int]) -> ImageSet:
            labels = self.read_labels(own.labels, f"data: labels of the {part} part", len(own.images), texts)
            images = self.read_images(own.images, f"data: images of the {part} part")
            return ImageSet(images, torch.from_numpy(labels))

    Source.__name__ = first.name
    return Source


def _parts(value: Any) -> dict[str, Arrays] | None:
    """The parts of what is given, train among them; none if it is nothing of the kind."""
    if isinstance(value, Mapping):
        named = {PART_OF.get(str(name).casefold(), str(name)): own for name, own in value.items()}
        if "train" not in named or set(named) - {"train", "test", "validation"}:
            raise DccError(f"data: the parts are {', '.join(map(str, value))}; expected train, and test or validation")
        found = {part: _arrays(own) for part, own in named.items()}
    elif isinstance(value, tuple | list) and len(value) == 2 and not _is_pair(value):
        found = {part: _arrays(own) for part, own in zip(("train", "test"), value, strict=True)}
    else:
        found = {"train": _arrays(value)}
    whole = {part: own for part, own in found.items() if own}
    return whole if len(whole) == len(found) else None


def _is_pair(value: Any) -> bool:
    """Whether these are images and labels, rather than training and test data."""
    return isinstance(value, tuple | list) and len(value) == 2 and isinstance(value[0], np.ndarray | torch.Tensor)


def _arrays(value: Any) -> Arrays | None:
    if _is_pair(value):
        images, labels = (v.detach().cpu().numpy() if isinstance(v, torch.Tensor) else np.asarray(v) for v in value)
        return Arrays(images, labels)
    if type(value).__module__.partition(".")[0] == "datasets" and hasattr(value, "features"):
        return _of_hugging_face(value)
    if isinstance(value, Dataset):
        items: Iterable[Any] = value if isinstance(value, IterableDataset) else _items(value)
        return _stack(items, _class_names(value), type(value).__name__)
    return None


def _items(dataset: Any) -> Iterator[Any]:
    yield from (dataset[i] for i in range(len(dataset)))


def _class_names(dataset: Any) -> tuple[str, ...]:
    """The names that torchvision's data sets have; those of the whole for a part of one."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    names = getattr(dataset, "classes", ())
    return tuple(names) if isinstance(names, list | tuple) and all(isinstance(n, str) for n in names) else ()


def _of_hugging_face(dataset: Any) -> Arrays:
    """The column of images and that of labels, by their features."""
    features = {name: type(feature).__name__ for name, feature in (dataset.features or {}).items()}
    images = [name for name, feature in features.items() if feature == "Image"]
    labels = [name for name, feature in features.items() if feature == "ClassLabel"]
    labels = labels or [name for name in features if name.casefold() in LABELS]
    if (len(images), len(labels)) != (1, 1):
        raise DccError(
            f"data: expected one column of images and one of labels; of {', '.join(features) or 'none'}, "
            f"images are in {', '.join(images) or 'none'}, labels in {', '.join(labels) or 'none'}; "
            "dataset.select_columns([IMAGE, LABEL]) keeps two"
        )
    names = tuple(getattr(dataset.features[labels[0]], "names", None) or ())
    name = getattr(dataset.info, "dataset_name", None) or "datasets"
    return _stack(((row[images[0]], row[labels[0]]) for row in dataset), names, name)


def _stack(items: Iterable[Any], class_names: tuple[str, ...], name: str) -> Arrays:
    """Items (image, label) as arrays. Raises DccError for other items, and images of several sizes."""
    images: list[np.ndarray] = []
    labels: list[Any] = []
    for i, item in enumerate(items):
        if not isinstance(item, Sequence) or len(item) < 2:
            raise DccError(f"data '{name}': item {i} is {type(item).__name__}; expected (image, label)")
        images.append(_pixels(item[0], f"data '{name}', item {i}"))
        labels.append(item[1].item() if isinstance(item[1], torch.Tensor) and item[1].numel() == 1 else item[1])
        if images[-1].shape != images[0].shape:
            raise DccError(
                f"data '{name}': images differ in size: item 0 is {images[0].shape}, item {i} {images[-1].shape}; "
                "resize them, e.g. by a transform"
            )
    if not images:
        raise DccError(f"data '{name}': it holds no images")
    return Arrays(np.stack(images), np.asarray(labels), class_names, name)


def _pixels(image: Any, where: str) -> np.ndarray:
    if isinstance(image, torch.Tensor):
        return image.detach().cpu().numpy()
    if hasattr(image, "convert"):  # of Pillow
        return np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    if isinstance(image, np.ndarray):
        return image
    raise DccError(f"{where}: the image is {type(image).__name__}; expected a tensor, an array or a picture of Pillow")

"""Loads data and carries out the options that every source has: classes, mirroring, limits, splits, statistics."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from dcc_core.compute import Randomness
from dcc_core.data.images import DataSource, ImageSet, RealData, Statistics
from dcc_core.errors import ContractError, DccError, breaches_of, did_you_mean

log = logging.getLogger("dcc")


def load_data(source: DataSource, title: str, *, root: Path, download: bool, progress: bool) -> RealData:
    """What a source loads, as its options want it. Raises DccError that names the source if that fails.

    title: the source with its plugin, as `Provided.title` gives it.
    """
    try:
        with breaches_of(title):
            data = check_loaded(source.load(root=root, download=download, progress=progress))
    except DccError:
        raise
    except Exception as error:
        raise DccError(f"{title} cannot be loaded: {type(error).__name__}: {error}") from error
    try:
        return apply_source_options(source, data)
    except ContractError as error:  # by what its options leave of it, which is no fault of the source
        raise DccError(f"{error} ({title})") from error


def apply_source_options(source: DataSource, data: RealData) -> RealData:
    """The data as the source's options want them.

    Raises DccError for classes that are unknown or without images, and if nothing would remain.
    """
    mirrored = set(_labels(source.mirrored, data, "data.mirrored"))
    chosen = sorted(set(_labels(source.classes, data, "data.classes"))) if source.classes else range(data.num_classes)
    chosen = _present(source, data, chosen)
    if len(chosen) < 2:
        raise DccError(f"data '{data.name}': {len(chosen)} class with images is left; at least two are needed")
    random = Randomness(source.split_seed)
    train, validation = _split(source, data.train, chosen, random)
    parts = {
        "train": _part(data.train, train, chosen, mirrored),
        "test": _part(data.test, _of_classes(data.test, chosen), chosen, mirrored),
        "validation": data.validation,
    }
    if source.validation:
        parts["validation"] = _part(data.train, validation, chosen, mirrored)
    elif data.validation:
        parts["validation"] = _part(data.validation, _of_classes(data.validation, chosen), chosen, mirrored)
    mean, std = _statistics(source, data, unchanged=parts["train"].images is data.train.images)
    names = tuple(data.class_names[k] for k in chosen)
    return replace(data, **parts, class_names=names, mean=mean, std=std)


def _statistics(source: DataSource, data: RealData, *, unchanged: bool) -> Statistics:
    """Mean and std to use; empty: to be computed of the training images that remain."""
    if source.statistics == "published" and data.computed:
        raise DccError(f"data.statistics: the field has no published mean and std for '{data.name}'; use computed")
    if source.statistics == "computed" or (data.computed and not unchanged):
        return (), ()
    return data.mean, data.std


def _labels(words: Sequence[str | int], data: RealData, option: str) -> list[int]:
    """Labels of classes given by name or, failing that, by index."""
    found = []
    for word in map(str, words):
        if word in data.class_names:
            found.append(data.class_names.index(word))
        elif word.isdecimal() and int(word) < data.num_classes:
            found.append(int(word))
        else:
            hint = did_you_mean(word, data.class_names) or f" Names: {', '.join(data.class_names[:10])}, ..."
            raise DccError(f"{option}: '{word}' is no class of '{data.name}' (0 to {data.num_classes - 1}).{hint}")
    return found


def _present(source: DataSource, data: RealData, chosen: Sequence[int]) -> list[int]:
    counts = torch.bincount(data.train.labels, minlength=data.num_classes)
    missing = [data.class_names[k] for k in chosen if not counts[k]]
    if missing:
        listed = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        if source.missing == "fail":
            raise DccError(f"data '{data.name}': no training images of {listed}; -o data.missing=skip leaves them out")
        log.info(f"data '{data.name}': skipped {len(missing)} classes without training images: {listed}")
    return [k for k in chosen if counts[k]]


def _split(source: DataSource, s: ImageSet, chosen: Sequence[int], random: Randomness) -> tuple[Tensor, Tensor]:
    """Indices of training and of validation images, in the data's order."""
    train, validation = [], []
    for label in chosen:
        own = torch.nonzero(s.labels == label).squeeze(1)
        own = own[torch.randperm(len(own), generator=random.generator("split", label))]
        apart = min(max(1, round(source.validation * len(own))), len(own) - 1) if source.validation else 0
        validation.append(own[:apart])
        train.append(own[apart:][: source.per_class])
    return torch.cat(train).sort().values, torch.cat(validation).sort().values


def _of_classes(s: ImageSet, chosen: Sequence[int]) -> Tensor:
    return torch.nonzero(torch.isin(s.labels, torch.tensor(list(chosen)))).squeeze(1)


def _part(s: ImageSet, indices: Tensor, chosen: Sequence[int], mirrored: set[int]) -> ImageSet:
    """Some images, labelled by their class's place among the chosen ones."""
    whole = len(indices) == len(s.labels)
    images, labels = (s.images, s.labels) if whole else (s.images[indices], s.labels[indices])
    if mirrored:
        flip = torch.isin(labels, torch.tensor(sorted(mirrored)))
        images = torch.where(flip.view(-1, 1, 1, 1), images.flip(-1), images)
    labels = torch.searchsorted(torch.tensor(list(chosen)), labels)
    return ImageSet(images, labels, places=indices, loaded=len(s.labels))


def check_loaded(data: object) -> RealData:
    """What a source loads, as far as `RealData` does not refuse it itself."""
    if not isinstance(data, RealData):
        raise ContractError(f"load returns RealData; it returned {type(data).__name__}")
    if not all(0 <= m <= 1 for m in data.mean) or not all(s <= 1 for s in data.std):
        raise ContractError(f"statistics are of images scaled to 0..1; mean {data.mean} and std {data.std} are not")
    return data

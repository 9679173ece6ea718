"""The stages of a sequence: data sources converted to one image size and number of channels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, final

import torch
from torch import Tensor
from torch.nn import functional as F

from dcc_core.data import DataSource, ImageSet, RealData
from dcc_core.errors import DccError
from dcc_plugins.continual.options import ContinualOptions

log = logging.getLogger("dcc")

RESIZE_CHUNK = 4096
"""Images resized per call; bounds memory."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey. Source: ITU-R BT.601."""


@final
@dataclass(frozen=True, kw_only=True)
class Prepared(DataSource):
    """Data already loaded, as a data source for a `Job`."""

    data: Annotated[RealData, "the data"]

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        return self.data


def split_classes(names: Sequence[str], parts: int, label: str) -> list[tuple[str, ...]]:
    """Class names split into `parts` stages, in order; the first ones are larger if the split is uneven.

    Raises DccError if a stage would have fewer than two classes.
    """
    if len(names) < 2 * parts:
        raise DccError(
            f"continual.split: {label} has {len(names)} classes, too few for {parts} stages of at least two; "
            f"give at most {len(names) // 2}"
        )
    return [tuple(names[int(k)] for k in part) for part in torch.arange(len(names)).tensor_split(parts)]


def unify_stages(stages: Sequence[RealData], labels: Sequence[str], options: ContinualOptions) -> list[RealData]:
    """Stages converted to one image size and number of channels, with their statistics.

    With a single head, an image's stage is unknown, so all use the first stage's mean and std. Raises DccError for
    fewer than two stages, stages with the same images, channels that cannot be converted, and classes that a single
    head would have twice.
    """
    if len(stages) < 2:
        raise DccError(
            f"continual.stages: '{', '.join(labels)}' is one stage; a sequence needs two or more. Add stages, or split "
            "its classes with --split"
        )
    _check_images_differ(stages, labels)
    if options.head == "single":
        _check_classes_differ(stages, labels)
    channels = options.channels or max(data.channels for data in stages)
    side = options.size
    size = (side, side) if side else (max(d.shape[1] for d in stages), max(d.shape[2] for d in stages))
    common = [convert_images(data, channels, size) for data in stages]
    for label, before, after in zip(labels, stages, common, strict=True):
        if before.shape != after.shape:
            log.info(f"{label}: images of {_shape(before)} converted to {_shape(after)}")
    if options.head == "single":
        common = [replace(data, mean=common[0].mean, std=common[0].std) for data in common]
    return common


def convert_images(data: RealData, channels: int, size: tuple[int, int]) -> RealData:
    """Data with images (channels, *size). Grey images get equal colour channels; colour images become grey by luma.

    Statistics stay those of the data; if colours become grey they are computed again. Raises DccError for numbers of
    channels other than 1 and 3.
    """
    if data.channels != channels and not {data.channels, channels} <= {1, 3}:
        raise DccError(
            f"data '{data.name}' has images of {data.channels} channels, which cannot be converted to {channels}; "
            "only 1 and 3 can"
        )
    if data.shape == (channels, *size):
        return data

    def convert(part: ImageSet) -> ImageSet:
        chunks = [_convert_batch(images, channels, size) for images in part.images.split(RESIZE_CHUNK)]
        return replace(part, images=torch.cat(chunks))

    validation = convert(data.validation) if data.validation else None
    statistics = (data.mean, data.std)
    if channels > data.channels:
        statistics = (data.mean * channels, data.std * channels)
    elif channels < data.channels:
        statistics = ((), ())
    mean, std = statistics
    parts = {"train": convert(data.train), "test": convert(data.test), "validation": validation}
    return replace(data, **parts, mean=mean, std=std)


def _convert_batch(images: Tensor, channels: int, size: tuple[int, int]) -> Tensor:
    """uint8 images (N, C, H, W) converted to the channels and size; bilinear with antialiasing."""
    values = images.float()
    if images.shape[1] > channels:
        values = (values * torch.tensor(LUMA).view(1, -1, 1, 1)).sum(dim=1, keepdim=True)
    if tuple(images.shape[2:]) != size:
        values = F.interpolate(values, size=size, mode="bilinear", antialias=True)
    return values.round().clamp(0, 255).to(torch.uint8).expand(-1, channels, -1, -1).contiguous()


def _check_images_differ(stages: Sequence[RealData], labels: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for label, data in zip(labels, stages, strict=True):
        if (other := seen.setdefault(data.digest(), label)) != label:
            raise DccError(f"continual.stages: '{other}' and '{label}' have the same images; name each stage once")


def _check_classes_differ(stages: Sequence[RealData], labels: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for label, data in zip(labels, stages, strict=True):
        for name in data.class_names:
            if (other := seen.setdefault(name, label)) != label:
                raise DccError(
                    f"--head single: class '{name}' is in both '{other}' and '{label}', but a single head needs each "
                    "class once; use --head multi, or other classes"
                )


def _shape(data: RealData) -> str:
    return "×".join(map(str, data.shape))

"""The stages of a sequence: data sources brought to one image size and one number of channels."""

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

AT_ONCE = 4096
"""Images that are resized in one call; bounds their memory."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey. Source: ITU-R BT.601."""


@final
@dataclass(frozen=True, kw_only=True)
class Prepared(DataSource):
    """Data that are there already, for a `Job`."""

    data: Annotated[RealData, "what is loaded"]

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        return self.data


def cut(names: Sequence[str], parts: int, label: str) -> list[tuple[str, ...]]:
    """Class names in so many stages, in order, the first of them larger where they do not come out even.

    Raises DccError where a stage would have fewer than two.
    """
    if len(names) < 2 * parts:
        raise DccError(
            f"continual.split: {label} has {len(names)} classes, too few for {parts} stages of two or more; "
            f"give at most {len(names) // 2}"
        )
    return [tuple(names[int(k)] for k in part) for part in torch.arange(len(names)).tensor_split(parts)]


def together(stages: Sequence[RealData], labels: Sequence[str], options: ContinualOptions) -> list[RealData]:
    """Stages in one image size and one number of channels, with their statistics.

    With a single head, where nobody says what stage an image is of, all have the first stage's mean and std. Raises
    DccError for a sequence of one, stages with the same images, numbers of channels that cannot be brought together,
    and classes that a single head would have twice.
    """
    if len(stages) < 2:
        raise DccError(
            f"continual.stages: '{', '.join(labels)}' is one stage; a sequence has two or more. Name further ones, or "
            "cut its classes with --split"
        )
    _all_different(stages, labels)
    if options.head == "single":
        _one_class_once(stages, labels)
    channels = options.channels or max(data.channels for data in stages)
    side = options.size
    size = (side, side) if side else (max(d.shape[1] for d in stages), max(d.shape[2] for d in stages))
    common = [brought_to(data, channels, size) for data in stages]
    for label, before, after in zip(labels, stages, common, strict=True):
        if before.shape != after.shape:
            log.info(f"{label}: images of {_shape(before)} brought to {_shape(after)}")
    if options.head == "single":
        common = [replace(data, mean=common[0].mean, std=common[0].std) for data in common]
    return common


def brought_to(data: RealData, channels: int, size: tuple[int, int]) -> RealData:
    """Data with images (channels, *size). Grey ones get equal colours, coloured ones become grey by their luma.

    Statistics stay those of the data; where colours become grey they are computed anew. Raises DccError for numbers
    of channels other than 1 and 3.
    """
    if data.channels != channels and not {data.channels, channels} <= {1, 3}:
        raise DccError(
            f"data '{data.name}' has images of {data.channels} channels, which cannot be brought to {channels}; "
            "only 1 and 3 can"
        )
    if data.shape == (channels, *size):
        return data

    def convert(part: ImageSet) -> ImageSet:
        chunks = [_converted(images, channels, size) for images in part.images.split(AT_ONCE)]
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


def _converted(images: Tensor, channels: int, size: tuple[int, int]) -> Tensor:
    """uint8 images (N, C, H, W) with other channels and another size, bilinear, with antialiasing."""
    values = images.float()
    if images.shape[1] > channels:
        values = (values * torch.tensor(LUMA).view(1, -1, 1, 1)).sum(dim=1, keepdim=True)
    if tuple(images.shape[2:]) != size:
        values = F.interpolate(values, size=size, mode="bilinear", antialias=True)
    return values.round().clamp(0, 255).to(torch.uint8).expand(-1, channels, -1, -1).contiguous()


def _all_different(stages: Sequence[RealData], labels: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for label, data in zip(labels, stages, strict=True):
        if (other := seen.setdefault(data.digest(), label)) != label:
            raise DccError(
                f"continual.stages: '{other}' and '{label}' are the same images; each stage is to be there once"
            )


def _one_class_once(stages: Sequence[RealData], labels: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for label, data in zip(labels, stages, strict=True):
        for name in data.class_names:
            if (other := seen.setdefault(name, label)) != label:
                raise DccError(
                    f"--head single: class '{name}' is in '{other}' and in '{label}', and a single head has each class "
                    "once; use --head multi, or other classes"
                )


def _shape(data: RealData) -> str:
    return "×".join(map(str, data.shape))

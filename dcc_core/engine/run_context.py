"""A run as its components see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from dcc_core.compute import OFF, Chunks, Compiler, Criterion, Randomness
from dcc_core.data import RealData, RealImages
from dcc_core.engine.augmentation import Augmentation
from dcc_core.group import ALONE, Group
from dcc_core.renamed import old_name


class Decoder(Protocol):
    """What a run says of its parametrisation: how stored rows become training images."""

    @property
    def images_per_row(self) -> int:
        """Training images that one stored row stands for."""
        ...

    def decode(self, stored: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Images (rows * images_per_row, C, H, W) and labels of some rows, row by row."""
        ...


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """A run as a loss's `setup` and a selection see it.

    augmentation: of matching. network_augmentation: of the network's training between image updates. build: a freshly
    initialised network on the run's device, from a generator, and of another architecture if one follows. chunks: how
    many images go through the network at once. plain_operations: whether the network has operations that matching runs
    in their plain form. by_layer: whether its layers give the gradients of several classes in one pass. compiler: for
    the network's training. random: the random numbers of this synthetic set. group: the processes that work on the run.
    titles: what messages call the components, by section. root: the folder for data sets and kept files.
    """

    data: RealData
    real: RealImages
    augmentation: Augmentation
    network_augmentation: Augmentation
    parametrisation: Decoder
    criterion: Criterion
    build: Callable[..., nn.Module]
    random: Randomness
    device: torch.device
    dtype: torch.dtype
    ipc: int
    real_batch: int
    norm_batch: int
    norm_momentum: float | None
    outer_loops: int
    inner_loops: int
    network_steps: int
    network_rate: float
    network_momentum: float
    network_decay: float
    network_batch: int
    network_data: str
    network_images: int | None
    chunks: Chunks
    plain_operations: bool = True
    by_layer: bool = False
    compiler: Compiler = OFF
    group: Group = ALONE
    titles: Mapping[str, str] = field(default_factory=dict)
    root: Path | None = None

    @property
    def num_classes(self) -> int:
        return self.data.num_classes

    titled = old_name("titled", "title_of_section")

    def title_of_section(self, section: str) -> str:
        """The component of a section for messages, with those that are its options."""
        titles = [title for key, title in self.titles.items() if key == section or key.startswith(f"{section}.")]
        return " with ".join(titles) or section

"""Snapshots of a run's images: a few, in 8 bits, at a few moments of its first set."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save
from torch import Tensor

from dcc_core.plugins import Registry
from dcc_core.runs.run_folder import SNAPSHOTS, Folder
from dcc_core.sets import CondensedSet, images_to_show

if TYPE_CHECKING:
    from dcc_core.jobs import Job, Start

MOST = 10
"""Images of a class in a snapshot."""
ROOM = 32_000_000
"""Bytes that one moment may take; with many classes of large images, fewer of each are kept."""
COLOURS = 3
SNAPSHOT_KEY = "dcc_snapshot"


@dataclass(frozen=True)
class Pictures:
    """The first images of every class at one moment.

    step: inner steps taken. images: (N, C, H, W) uint8, C 3 for colours or 1. owners: (N,) the class of each. counts:
    the number of images of each class; these are the first of them.
    """

    step: int
    class_names: tuple[str, ...]
    images: Tensor
    owners: Tensor
    counts: tuple[int, ...]


def make_pictures(s: CondensedSet, registry: Registry, step: int) -> Pictures:
    """The pictures of a set. Raises DccError if it cannot be decoded."""
    images, owners = images_to_show(s, registry)
    classes = len(s.class_names)
    counts = torch.bincount(owners, minlength=classes)
    most = max(1, min(MOST, ROOM // max(1, classes * images[0].numel())))
    first = counts.cumsum(0) - counts
    rows = torch.cat([torch.arange(f, f + min(n, most)) for f, n in zip(first.tolist(), counts.tolist(), strict=True)])
    pixels = (images[rows].clamp(0, 1) * 255).round().to(torch.uint8).cpu()
    if pixels.shape[1] != COLOURS:
        pixels = pixels[:, :1]  # if the channels are not colours, keep the first
    return Pictures(step, s.class_names, pixels, owners[rows].cpu(), tuple(counts.tolist()))


def snapshot_steps(moments: tuple[int, ...], outer_loops: int, inner_loops: int) -> frozenset[int]:
    """The steps of `run.snapshots`: so many, evenly from 0 to the last, or those after some outer loops."""
    if len(moments) > 1:
        return frozenset(outer * inner_loops for outer in moments if outer <= outer_loops)
    count, steps = sum(moments), outer_loops * inner_loops
    return frozenset(round(i * steps / (count - 1)) for i in range(count)) if count > 1 else frozenset([steps][:count])


class Snapshots:
    """Write the images of a run's first set to its folder at some moments, and score them.

    A file is named by its moment: a resumed run that repeats steps overwrites it.
    """

    def __init__(
        self, folder: Folder, job: Job, start: Start, set_index: int, score: Callable[[int, CondensedSet], None]
    ) -> None:
        moments = job.config.run.snapshots if set_index == 0 else ()
        self._steps = snapshot_steps(moments, start.run.outer_loops, start.run.inner_loops)
        self._folder, self._job, self._synthetic, self._score = folder, job, start.synthetic, score

    def due(self, step: int) -> bool:
        """Whether a snapshot is taken after `step` steps."""
        return step in self._steps

    def after(self, step: int) -> None:
        """Write a snapshot if one is due after `step` steps."""
        if self.due(step):
            s = self._job.freeze(self._synthetic, 0, finished=False)
            pictures = make_pictures(s, self._job.registry, step)
            self._folder.write(f"{SNAPSHOTS}/{step:08}.safetensors", to_bytes(pictures))
            self._score(step, s)


def to_bytes(p: Pictures) -> bytes:
    """The file of a snapshot."""
    about = {"step": p.step, "class_names": p.class_names, "counts": p.counts}
    return save({"images": p.images.contiguous(), "owners": p.owners.contiguous()}, {SNAPSHOT_KEY: json.dumps(about)})

"""Condensed memories for Avalanche: experience replay from a few learned images of every class seen."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from avalanche.benchmarks.utils import AvalancheDataset, DataAttribute
from avalanche.training.plugins import ReplayPlugin
from avalanche.training.storage_policy import ExemplarsBuffer
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from dcc_core import DccError, condense, select

LOADED = 512
"""Images of an experience that are read at once."""


class CondensedBuffer(ExemplarsBuffer):
    """A buffer that holds every experience's classes as condensed images, or as a coreset.

    ipc: images per class. loss, aug: what condenses, as `dcc-run` names it; method: a coreset selection in their stead.
    mean, std: by which the benchmark normalises its images, per channel; by default they are in 0..1. options: further
    options of `dcc-run` by dotted key. The set of each experience is in `sets`.
    """

    def __init__(
        self,
        ipc: int = 10,
        *,
        loss: str = "collective",
        aug: str = "dsa",
        method: str | None = None,
        mean: Sequence[float] = (0.0,),
        std: Sequence[float] = (1.0,),
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(max_size=ipc)
        self.sets: list[Any] = []
        self._made_by = {"loss": loss, "aug": aug} if method is None else {"method": method}
        self._mean, self._std = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))
        self._options = dict(options or {})

    def post_adapt(self, agent_state: Any, exp: Any) -> None:
        """Condense an experience that has been learned, and keep it beside those before.

        Raises DccError as `dcc_core.condense` does, and for images outside the space that mean and std say.
        """
        images, labels = self._read(exp)
        classes, local = labels.unique(return_inverse=True)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "experience.npz"
            x, y = images.numpy(), local.numpy()
            np.savez(path, x_train=x, y_train=y, x_test=x[:1], y_test=y[:1])
            make = select if "method" in self._made_by else condense
            made = make(data=f"npz:{path}", ipc=self.max_size, options=self._options, **self._made_by)
        self.sets.append(made)
        unit, own = made.dataset(normalised=False).tensors
        if own.is_floating_point():
            raise DccError(
                "Avalanche's memories have hard labels, and this set has soft ones: use another parametrisation"
            )
        part = self._remember((unit - self._mean) / self._std, classes[own], exp.task_label)
        self.buffer = self.buffer.concat(part) if len(self.buffer) else part  # an empty one has no labels to add to

    def resize(self, strategy: Any, new_size: int) -> None:
        """Raise DccError: the images of a condensed set belong together."""
        raise DccError(f"a condensed memory has {self.max_size} images per class and cannot be cut to {new_size}")

    def _read(self, exp: Any) -> tuple[Tensor, Tensor]:
        """The images of an experience (N, C, H, W) in 0..1, without training's augmentation, and their labels (N,)."""
        batches = [(x, y) for x, y, *_ in DataLoader(exp.dataset.eval(), batch_size=LOADED)]
        images = torch.cat([x for x, _ in batches]) * self._std + self._mean
        low, high = float(images.min()), float(images.max())
        if low < -1e-3 or high > 1 + 1e-3:
            raise DccError(
                f"with mean {self._mean.flatten().tolist()} and std {self._std.flatten().tolist()} the images span "
                f"{low:.2f} to {high:.2f}, not 0 to 1: give those by which the benchmark normalises"
            )
        return images.clamp(0, 1), torch.cat([y for _, y in batches])

    def _remember(self, images: Tensor, labels: Tensor, task: int) -> AvalancheDataset:
        attributes = [
            DataAttribute(labels.tolist(), "targets"),
            DataAttribute([task] * len(labels), "targets_task_labels", use_in_getitem=True),
        ]
        return AvalancheDataset([TensorDataset(images, labels)], data_attributes=attributes)


class CondensedReplay(ReplayPlugin):
    """Avalanche's experience replay from a `CondensedBuffer`, which the options are for.

    batch_size, batch_size_mem: images of the experience and of the memory in a batch; by default the strategy's.
    """

    def __init__(
        self, ipc: int = 10, *, batch_size: int | None = None, batch_size_mem: int | None = None, **buffer: Any
    ) -> None:
        policy = CondensedBuffer(ipc, **buffer)
        super().__init__(
            mem_size=policy.max_size, batch_size=batch_size, batch_size_mem=batch_size_mem, storage_policy=policy
        )

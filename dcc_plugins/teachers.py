"""Teachers: networks trained on the real images, which judge crops, give soft labels, and are kept for later runs."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dcc_core import Architecture, Footprint, Randomness, RealImages, RunContext, train_on_real
from dcc_plugins.crops import Crops, flips
from dcc_plugins.data.kept_files import FOLDER, written_whole

log = logging.getLogger("dcc")

AT_ONCE = 64
"""Images in a pass of a teacher, at most."""
TRIED = 8
"""Images of the passes that a forecast times, at most."""


@dataclass(frozen=True)
class Teacher:
    """A trained network in evaluation mode, without gradients of its weights, and what it is, for set files.

    about: `architecture`, `options` of the training, `accuracy` (0..1) on the test part, `weights`, a checksum.
    """

    network: nn.Module
    about: Mapping[str, Any]
    at_once: int = AT_ONCE

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Logits (B, K) of normalised images (B, C, H, W), without gradients."""
        return torch.cat([self.network(part) for part in images.split(self.at_once)])


_TEACHERS: weakref.WeakKeyDictionary[RealImages, dict[str, Teacher]] = weakref.WeakKeyDictionary()
"""The teachers of a job, by key."""


@dataclass(frozen=True, kw_only=True)
class WithTeacher:
    """The options of a component that has a teacher.

    It is trained by SGD with momentum 0.9 on random crops, mirrored by chance; a cosine lowers the rate from epoch to
    epoch. Its seed is its own, so that runs of different seeds share it.
    """

    teacher: Annotated[Architecture | None, "network of the teacher; none: the run's"] = None
    teacher_epochs: Annotated[int, "epochs that it is trained for on all real images", Ge(0)] = 30
    teacher_rate: Annotated[float, "first learning rate of that training", Gt(0)] = 0.02
    teacher_batch: Annotated[int, "batch size of that training", Ge(1)] = 64
    teacher_seed: Annotated[int, "seed of its weights and of that training", Ge(0)] = 0

    @property
    def teacher_options(self) -> dict[str, Any]:
        """The options that a teacher depends on, by name."""
        names = ("teacher", "teacher_epochs", "teacher_rate", "teacher_batch", "teacher_seed")
        return {name: getattr(self, name) for name in names}

    def find_teacher(self, run: RunContext) -> Teacher:
        """The teacher: of this job, from the kept files, or trained now and kept."""
        network, key, file = self._identify(run)
        known = _TEACHERS.setdefault(run.real, {})
        if key not in known:
            if file and file.exists():
                about = _read(file, network)
            else:
                about = self._train(run, network)
                _keep(file, network, about)
            known[key] = Teacher(network.eval().requires_grad_(False), about, min(AT_ONCE, run.chunks.images))
        return known[key]

    def forecast_teacher(self, run: RunContext) -> tuple[float, float, int]:
        """About: seconds of training the teacher, seconds that it takes for an image then, bytes that a step takes.

        From a training step and a pass without gradients, of a few images.
        """
        network, key, file = self._identify(run)
        batch = run.real.batch(torch.arange(min(TRIED, run.chunks.images, len(run.real))))
        kept = Footprint.of(network.train(), batch.images).total
        start = time.perf_counter()
        run.criterion(network(batch.images), batch.labels).mean().backward()
        trained = time.perf_counter()
        Teacher(network.eval(), {}).logits(batch.images)
        seen = time.perf_counter()
        if key in _TEACHERS.get(run.real, {}) or (file and file.exists()):
            return 0, (seen - trained) / len(batch), 0
        whole = any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in network.modules())
        at_once = self.teacher_batch if whole else min(self.teacher_batch, run.chunks.images)
        steps = self.teacher_epochs * len(run.real)
        return steps * (trained - start) / len(batch), (seen - trained) / len(batch), at_once * kept

    @property
    def _random(self) -> Randomness:
        return Randomness(self.teacher_seed, ("teacher",))

    def _augmentation(self, run: RunContext) -> Crops:
        return Crops(smallest=0.25, flip=flips(run.data))

    def _training(self, run: RunContext) -> dict[str, Any]:
        """What the training is, for set files and for the name of the kept file."""
        options = {"epochs": self.teacher_epochs, "rate": self.teacher_rate, "batch": self.teacher_batch}
        return options | {"seed": self.teacher_seed, "augmentation": repr(self._augmentation(run))}

    def _identify(self, run: RunContext) -> tuple[nn.Module, str, Path | None]:
        """The teacher's network before its training, what it is known by, and the file that it is kept in."""
        network = run.build(self._random.generator("network"), *filter(None, [self.teacher]))
        how = (self._training(run), str(run.dtype), torch.__version__)
        parts = (run.data.digest(), str(network), checksum(network), *how)
        key = hashlib.sha256(repr(parts).encode()).hexdigest()[:24]
        return network, key, run.root / FOLDER / f"teacher-{key}.safetensors" if run.root else None

    def _train(self, run: RunContext, network: nn.Module) -> dict[str, Any]:
        """Train a network; returns what it is then."""
        log.info(f"training the teacher: {self.teacher_epochs} epochs on {len(run.real)} real images")
        start = time.perf_counter()
        for epoch in range(self.teacher_epochs):
            rate = self.teacher_rate * (1 + math.cos(math.pi * epoch / self.teacher_epochs)) / 2
            how = {"rate": rate, "batch_size": self.teacher_batch, "augmentation": self._augmentation(run)}
            for _ in train_on_real(run, network, 1, self._random.at("epoch", epoch), **how):
                pass
            if epoch == 0:
                left = (self.teacher_epochs - 1) * (time.perf_counter() - start)
                log.info(f"training the teacher will take about {left / 60:.1f} min more")
        about = {
            "architecture": run.title_of_section("arch") if self.teacher is None else repr(self.teacher),
            "options": self._training(run),
            "accuracy": accuracy(Teacher(network.eval(), {}, min(AT_ONCE, run.chunks.images)), run),
            "weights": checksum(network),
        }
        log.info(f"the teacher is right on {100 * about['accuracy']:.1f} % of the test images")
        return about


def accuracy(teacher: Teacher, run: RunContext) -> float:
    """Share of the test images whose largest logit is their class's."""
    right, test = 0, run.data.test
    for images, labels in zip(test.images.split(AT_ONCE), test.labels.split(AT_ONCE), strict=True):
        normalised = run.real.normalisation.from_bytes(images.to(run.device))
        right += int((teacher.logits(normalised).argmax(dim=1).cpu() == labels).sum())
    return right / len(test.labels)


def checksum(network: nn.Module) -> str:
    """Of a network's weights and buffers."""
    digest = hashlib.blake2b(digest_size=12)
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read(file: Path, network: nn.Module) -> dict[str, Any]:
    """Load kept weights into a network; returns what it is."""
    with safe_open(file, framework="pt") as kept:
        network.load_state_dict({name: kept.get_tensor(name) for name in network.state_dict()})
        about = json.loads((kept.metadata() or {})["teacher"])
    log.info(f"the teacher is from '{file}', right on {100 * about['accuracy']:.1f} % of the test images")
    return about


def _keep(file: Path | None, network: nn.Module, about: Mapping[str, Any]) -> None:
    if file is None:
        return
    try:
        with written_whole(file) as place:
            tensors = {name: t.detach().cpu().contiguous().clone() for name, t in network.state_dict().items()}
            save_file(tensors, place, {"teacher": json.dumps(about)})
    except OSError as error:
        log.warning(f"the teacher is not kept for the next run: {error}")

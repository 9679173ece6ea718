"""Folders of bare tensors: images, labels and, in some, the rate that was learned with them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, final

import torch
from torch import Tensor

from dcc_core import CondensedSet, DccError
from dcc_plugins.exchange import Exported, Exporting, Format, Importing, read_tensor

RATE = "step_size"
"""What sets call the rate that networks are trained by on them."""
SPACES = {"none": "normalised", "whitened": "whitened", "undone": "unit"}


class Folder(Format):
    """What these formats share: which files there are, and what is in them."""

    @abstractmethod
    def file(self, what: Literal["images", "labels", "lr"]) -> str:
        """The name of a file."""

    def rate(self, path: Path) -> Mapping[str, float]:
        """The learned rate, if the folder holds one."""
        file = path / self.file("lr")
        if not file.exists():
            return {}
        tensor = read_tensor(file)
        if tensor.numel() != 1 or not tensor.is_floating_point() or not tensor.isfinite().all():
            raise DccError(f"'{file}' holds {tensor.dtype} of shape {tuple(tensor.shape)}; expected one finite number")
        return {RATE: tensor.item()}

    def save(self, path: Path, images: Tensor, labels: Tensor, rate: object = None) -> None:
        """Write the files; rate: if it is a number, the third."""
        path.mkdir()
        torch.save(images, path / self.file("images"))
        torch.save(labels, path / self.file("labels"))
        if isinstance(rate, int | float):
            torch.save(torch.tensor(float(rate)), path / self.file("lr"))


@dataclass(frozen=True, kw_only=True)
class Trajectories(Folder):
    """What the files of MTT and of its successors have in common."""

    version: Annotated[str, "which files: best, or the number of an iteration"] = "best"
    zca: Annotated[
        Literal["none", "whitened", "undone"],
        "for a run with ZCA; whitened: images as they are; undone: those of images_zca_*, which have the whitening "
        "taken back",
    ] = "none"

    def file(self, what: Literal["images", "labels", "lr"]) -> str:
        middle = "zca_" if what == "images" and self.zca == "undone" else ""
        return f"{what}_{middle}{self.version}.pt"

    def images(self, path: Path) -> Tensor:
        """The images in a folder. Raises DccError if they are whitened, and nobody said so."""
        if self.zca == "none" and (path / f"images_zca_{self.version}.pt").exists():
            raise DccError(
                f"'{path}' holds images_zca_{self.version}.pt: the run whitened its images. Say -o format.zca=undone "
                "for those with the whitening taken back, or -o format.zca=whitened for those that networks train on"
            )
        return read_tensor(path / self.file("images"))

    def decoded(self, s: CondensedSet, context: Exporting) -> Exported:
        """The images to write, in the space that these options say."""
        if self.zca == "undone":
            raise DccError("format.zca: undone is for reading; whitened images are written with format.zca=whitened")
        return context.decoded(s, "whitened" if self.zca == "whitened" else "normalised")


@final
@dataclass(frozen=True, kw_only=True)
class Mtt(Trajectories):
    """A folder of `images_best.pt` and `labels_best.pt`: bare tensors, float32 (N, C, H, W) and int64 (N,).

    Images are normalised, and the files do not say by which mean and std; those of a run with ZCA are whitened, and
    stand beside `images_zca_best.pt`, the same with the whitening taken back, in unit space. No learned rate is saved.
    """

    def read(self, path: Path, context: Importing) -> CondensedSet:
        images, labels = self.images(path), read_tensor(path / self.file("labels"))
        if labels.is_floating_point():
            raise DccError(f"'{path / self.file('labels')}' holds soft labels; --from datm reads them as logits")
        return context.condensed(images, labels, space=SPACES[self.zca])

    def write(self, s: CondensedSet, path: Path, context: Exporting) -> None:
        found = self.decoded(s, context)
        if RATE in s.provenance.learned:
            context.note("the learned rate is left out: mtt files hold none")
        self.save(path, found.images, found.classes())


@final
@dataclass(frozen=True, kw_only=True)
class Datm(Trajectories):
    """MTT's folder with soft labels: `labels_best.pt` holds float32 logits (N, K), `lr_best.pt` the learned rate."""

    def read(self, path: Path, context: Importing) -> CondensedSet:
        images, labels = self.images(path), read_tensor(path / self.file("labels"))
        if not labels.is_floating_point():
            raise DccError(f"'{path / self.file('labels')}' holds hard labels; --from mtt reads them")
        learned = self.rate(path)
        return context.condensed(images, labels, space=SPACES[self.zca], labels_are="logits", learned=learned)

    def write(self, s: CondensedSet, path: Path, context: Exporting) -> None:
        found = self.decoded(s, context)
        self.save(path, found.images, found.logits(), s.provenance.learned.get(RATE))


@final
@dataclass(frozen=True, kw_only=True)
class DDRanking(Folder):
    """A folder of `images.pt`, `labels.pt` and, if there is one, `lr.pt`, as DD-Ranking's evaluators are given them.

    Images float32 (N, C, H, W), normalised, and the files do not say by which mean and std; labels int64 (N,), or
    float32 logits (N, K).
    """

    def file(self, what: Literal["images", "labels", "lr"]) -> str:
        return f"{what}.pt"

    def read(self, path: Path, context: Importing) -> CondensedSet:
        images, labels = (read_tensor(path / self.file(what)) for what in ("images", "labels"))
        learned = self.rate(path)
        return context.condensed(images, labels, space="normalised", labels_are="logits", learned=learned)

    def write(self, s: CondensedSet, path: Path, context: Exporting) -> None:
        found = context.decoded(s, "normalised")
        labels = found.logits() if found.labels.is_floating_point() else found.classes()
        self.save(path, found.images, labels, s.provenance.learned.get(RATE))

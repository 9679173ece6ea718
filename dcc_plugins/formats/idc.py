"""IDC's file: `data.pt`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, final

import torch
from annotated_types import Ge
from torch import Tensor
from torch.nn import functional as F

from dcc_core import CondensedSet, DccError, Normalisation
from dcc_plugins.exchange import Exporting, Format, Importing, read_torch
from dcc_plugins.formats.vico import pair

GREY = 0.5
MULTI_FORMATION = "multi-formation"


@final
@dataclass(frozen=True, kw_only=True)
class Idc(Format):
    """One file (or the folder that has it): a list [images, labels], float32 (N, C, H, W) in unit space, int64 (N,).

    Not clipped. With a factor above 1, every stored image stands for factor × factor training images: filled up with
    0.5 at the bottom and on the right, cut, each crop enlarged bilinearly. The factor is nowhere in the file, but in
    the name of the folder that the published code makes (`..._factor2_...`), so it must be said. A set file then holds
    the stored images, with the parametrisation `multi-formation`, which decodes in the same way.

    Source: the published code of Kim et al. 2022, its decoding `single`.
    """

    factor: Annotated[int, "crops along each side of a stored image; 1: the images are the training images", Ge(1)]
    decoded: Annotated[bool, "for reading: make training images of the stored ones"] = False

    def read(self, path: Path, context: Importing) -> CondensedSet:
        file = path / "data.pt" if path.is_dir() else path
        images, labels = pair(read_torch(file), file)
        if self.factor > 1 and self.decoded:
            images, labels = decode(images, self.factor), labels.repeat_interleave(self.factor**2)
        s = context.condensed(images, labels, space="unit")
        if self.factor == 1 or self.decoded:
            return s
        return self._with_factor(s)

    def _with_factor(self, s: CondensedSet) -> CondensedSet:
        """The same images, to be decoded by the parametrisation, which has its grey in normalised space."""
        p = s.provenance
        grey = torch.full((1, len(p.mean), 1, 1), GREY)
        grey = Normalisation(p.mean, p.std, grey.device, grey.dtype).normalise(grey)
        config = {**p.config, "param": MULTI_FORMATION, "param.factor": self.factor}
        return CondensedSet({**s.stored, "shared_grey": grey}, replace(p, config=config))

    def write(self, s: CondensedSet, path: Path, context: Exporting) -> None:
        """With a factor above 1 a set of that very parametrisation and factor, as it is stored; with 1 any, decoded."""
        if self.factor == 1:
            found = context.decoded(s, "unit")
            torch.save([found.images, found.classes()], path)
            return
        own = s.provenance.options("param")
        name, factor = own.get("param", "identity"), own.get("param.factor", 1)
        if (name, factor) != (MULTI_FORMATION, self.factor):
            raise DccError(
                f"format.factor: {self.factor}, and the set has the parametrisation '{name}' with factor {factor}; "
                "format.factor=1 writes its training images"
            )
        if s.labels.is_floating_point():
            raise DccError("the set has soft labels, and idc files hold hard ones")
        context.note(f"the factor {self.factor} stands nowhere in the file: name it in the folder, or with the file")
        torch.save([s.images.float(), s.labels], path)


def decode(images: Tensor, factor: int) -> Tensor:
    """The training images (N * factor², C, H, W) of stored ones (N, C, H, W) in unit space, image by image."""
    _, _, height, width = images.shape
    whole = F.pad(images, (0, -width % factor, 0, -height % factor), value=GREY)
    rows = whole.chunk(factor, dim=2)
    crops = torch.stack([crop for row in rows for crop in row.chunk(factor, dim=3)], dim=1).flatten(0, 1)
    return F.interpolate(crops, size=(height, width), mode="bilinear", align_corners=False)

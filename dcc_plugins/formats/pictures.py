"""Images as PNGs of 8 bits, and what PNGs cannot hold of a set, as JSON beside them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from dcc_core import CondensedSet, DccError, Provenance
from dcc_plugins.data.pictures import upright_size
from dcc_plugins.exchange import Exported, Importing

KINDS = ("PNG", "JPEG", "WEBP", "BMP")
"""What is read. Pillow knows many more, by their content whatever the name, and runs other programs for some."""
GREY = ("1", "L")
COLOUR = ("P", "RGB", "RGBA", "LA")
MOST_VALUES = 2 * 10**9
"""Values that images may have together: 8 GB as float32."""
SIDECAR = "dcc.json"
VERSION = 1
SOFT = ("label_logits", "label_targets", "labels")


def pngs(found: Exported) -> list[bytes]:
    """Images in unit space as PNG files. Says what is lost. Raises DccError for other than 1 or 3 channels."""
    channels = found.images.shape[1]
    if channels not in (1, 3):
        raise DccError(
            f"images have {channels} channels; {found.context.format} files hold grey or coloured ones, 1 or 3"
        )
    outside = int(((found.images < 0) | (found.images > 1)).sum())
    found.context.note(
        f"values are rounded to 8 bits, and {outside:,} of {found.images.numel():,} lay outside 0..1 and are clipped"
    )
    pixels = (found.images.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return [_png(image if channels == 3 else image[..., 0]) for image in pixels]


def unit_images(files: Sequence[bytes], names: Sequence[str]) -> Tensor:
    """The contents of image files, upright by EXIF, as float32 (N, C, H, W) in unit space, grey if all of them are.

    names: of the files, for messages. Raises DccError for those that cannot be read, or differ in size.
    """
    heads = [_open_picture(file, name) for file, name in zip(files, names, strict=True)]
    grey = all(head.mode in GREY for head in heads)
    sizes = [upright_size(head) for head in heads]
    (height, width), channels = sizes[0], 1 if grey else 3
    for size, name in zip(sizes, names, strict=True):
        if size != (height, width):
            raise DccError(f"images differ in size: '{names[0]}' is {width}×{height}, '{name}' {size[1]}×{size[0]}")
    if len(files) * width * height * channels > MOST_VALUES:
        raise DccError(f"{len(files)} images of {width}×{height} are more than {MOST_VALUES:,} values")
    pixels = np.empty((len(files), height, width, channels), np.uint8)
    for out, file, name in zip(pixels, files, names, strict=True):
        try:
            with _open_picture(file, name) as image:
                out[:] = np.asarray(ImageOps.exif_transpose(image).convert("L" if grey else "RGB")).reshape(out.shape)
        except (OSError, ValueError, SyntaxError) as error:
            raise DccError(f"image '{name}' is damaged: {type(error).__name__}: {error}") from error
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


@dataclass(frozen=True)
class Sidecar:
    """What stands beside the images: the set's provenance, its labels if they are soft, the images' files."""

    provenance: Provenance
    soft: dict[str, Tensor] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    @classmethod
    def of(cls, s: CondensedSet, found: Exported, files: tuple[str, ...] = ()) -> Sidecar:
        """The sidecar of a set's decoded images: they need no parametrisation any more."""
        config = {k: v for k, v in s.provenance.config.items() if k.partition(".")[0] != "param"}
        notes = tuple(dict.fromkeys((*s.provenance.notes, *found.context.notes)))
        soft = dict(found.raw) | ({"labels": found.labels.float()} if found.labels.is_floating_point() else {})
        return cls(replace(s.provenance, config=config, notes=notes), soft, files)

    @classmethod
    def read(cls, folder: Path) -> Sidecar | None:
        """The sidecar in a folder, if there is one. Raises DccError if it is damaged, or of a newer version."""
        file = folder / SIDECAR
        if not file.exists():
            return None
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            if content["version"] != VERSION:
                raise DccError(f"'{file}' has version {content['version']}; this version of dcc reads {VERSION}")
            soft = {name: torch.tensor(content["soft"][name]) for name in SOFT if name in content["soft"]}
            provenance = TypeAdapter(Provenance).validate_python(content["provenance"])
            return cls(provenance, soft, tuple(map(str, content["files"])))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise DccError(f"'{file}' is damaged: {wrong}") from error
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise DccError(f"'{file}' is damaged: {type(error).__name__}: {error}") from error

    def write(self, folder: Path) -> None:
        """Write the file into a folder."""
        soft = {name: tensor.tolist() for name, tensor in self.soft.items()}
        content: dict[str, Any] = {"version": VERSION, "provenance": asdict(self.provenance), "soft": soft}
        content["files"] = self.files
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
        (folder / SIDECAR).write_text(text + "\n", encoding="utf-8")

    def condensed(self, images: Tensor, owners: Tensor, context: Importing) -> CondensedSet:
        """The set that was written, of its images; what the user says of it now stands above the sidecar."""
        p = self.provenance
        name = next((name for name in SOFT if name in self.soft), "")
        s = context.condensed(
            images,
            self.soft.get(name, owners),
            owners=owners,
            space="unit",
            labels_are={"label_logits": "logits", "label_targets": "targets"}.get(name, "probabilities"),
            class_names=p.class_names,
            statistics=(p.mean, p.std),
        )
        made = s.provenance
        if made.config:
            others = {k: v for k, v in p.config.items() if k.partition(".")[0] != "data"}
            p = replace(p, data=made.data, config={**others, **made.config})
        notes = tuple(dict.fromkeys((*p.notes, *made.notes)))
        described = {"class_names": made.class_names, "mean": made.mean, "std": made.std, "size": made.size}
        return CondensedSet(s.stored, replace(p, notes=notes, **described))


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _open_picture(file: bytes, name: str) -> Image.Image:
    """An image whose header alone has been read."""
    try:
        image = Image.open(io.BytesIO(file), formats=KINDS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DccError(
            f"image '{name}' cannot be read: expected one of {', '.join(KINDS)}, of moderate size"
        ) from error
    if image.mode not in (*GREY, *COLOUR):
        raise DccError(f"image '{name}' has the mode {image.mode}; expected 8 bits, grey or coloured")
    return image

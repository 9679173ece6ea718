"""Images for a page: one picture per class, its images side by side and its moments below each other."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dcc_core.cli import shrink_images
from dcc_core.runs import Pictures

SIDE = 128
"""Largest side of an image on a page, in pixels."""
SAMPLE = 24
"""Classes by which the size of all is judged."""


@dataclass(frozen=True)
class Encoding:
    """How pictures are written, and what that is called."""

    words: str
    format: str
    quality: int = 0

    def of(self, pixels: NDArray[np.uint8]) -> bytes:
        """A file of pixels (H, W, C)."""
        picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        buffer = io.BytesIO()
        how = {"quality": self.quality, "subsampling": 0 if self.quality > 80 else 2} if self.quality else {}
        picture.save(buffer, format=self.format, **how)
        return buffer.getvalue()


ENCODINGS = (
    Encoding("lossless", "PNG"),
    Encoding("JPEG, quality 92", "JPEG", 92),
    Encoding("JPEG, quality 80", "JPEG", 80),
    Encoding("JPEG, quality 60", "JPEG", 60),
)
"""From the best to the smallest: learned images are noise to a file format, and PNG hardly makes them smaller."""


@dataclass(frozen=True)
class Sprites:
    """The pictures of a run's classes.

    urls: a `data:` URL per class. shown, counts: how many images each class shows, and has. width, height: of one
    image. steps: inner steps taken at each moment, the last one last. words: how they are encoded.
    """

    urls: tuple[str, ...]
    shown: tuple[int, ...]
    counts: tuple[int, ...]
    width: int
    height: int
    steps: tuple[int, ...]
    words: str


def draw_sprites(pictures: Sequence[Pictures], room: int) -> Sprites:
    """Draw them in about so many bytes of page: in the best encoding that holds every moment, else fewer moments.

    Where one moment alone is too large in the smallest encoding, each class shows fewer images.
    """
    last = pictures[-1]
    alike = [p for p in pictures if p.images.shape == last.images.shape and p.class_names == last.class_names]
    frames = [shrink_images(p.images.permute(0, 2, 3, 1).numpy(), SIDE) for p in alike]
    owners = last.owners.numpy()
    rows = [np.flatnonzero(owners == k) for k in range(len(last.class_names))]
    bytes_of = room * 3 // 4  # in base64
    sizes = {encoding: _size(encoding, frames[-1], rows) for encoding in ENCODINGS}
    encoding = next((e for e, one in sizes.items() if one * len(frames) <= bytes_of), ENCODINGS[-1])
    one = sizes[encoding]
    if one > bytes_of:
        most = max(1, max(map(len, rows)) * bytes_of // one)
        rows, one = [row[:most] for row in rows], bytes_of
    chosen = _evenly(len(frames), max(1, bytes_of // one))
    stacks = [np.concatenate([_line(frames[i][row]) for i in chosen]) for row in rows]
    kind = f"image/{encoding.format.lower()}"
    return Sprites(
        urls=tuple(f"data:{kind};base64,{base64.b64encode(encoding.of(s)).decode()}" for s in stacks),
        shown=tuple(map(len, rows)),
        counts=last.counts,
        width=frames[-1].shape[2],
        height=frames[-1].shape[1],
        steps=tuple(alike[i].step for i in chosen),
        words=encoding.words,
    )


def _line(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images (N, H, W, C) side by side: (H, N × W, C)."""
    n, height, width, channels = images.shape
    return images.transpose(1, 0, 2, 3).reshape(height, n * width, channels)


def _size(encoding: Encoding, frame: NDArray[np.uint8], rows: Sequence[NDArray[np.intp]]) -> int:
    """About how many bytes one moment of all classes takes."""
    sample = [rows[i] for i in _evenly(len(rows), SAMPLE)]
    return sum(len(encoding.of(_line(frame[row]))) for row in sample) * len(rows) // len(sample)


def _evenly(count: int, most: int) -> list[int]:
    """At most so many of the numbers below `count`, evenly; of one, the last."""
    if most == 1:
        return [count - 1]
    return sorted(set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))

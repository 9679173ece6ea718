"""Images for a page: one picture per class, with images side by side and moments below each other."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dcc_core.runs import Pictures
from dcc_plugins.terminal.preview import shrink_images

MAX_SIDE = 128
"""Largest side of an image on a page, in pixels."""
SAMPLE = 24
"""Number of classes from which the size of all is estimated."""


@dataclass(frozen=True)
class Encoding:
    """An image file format with its quality; words: its name on the page."""

    words: str
    format: str
    quality: int = 0

    def encode(self, pixels: NDArray[np.uint8]) -> bytes:
        """Encode pixels (H, W, C) as a file."""
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
"""From best to smallest: learned images are noise to a file format, and PNG hardly compresses them."""


@dataclass(frozen=True)
class Sprites:
    """The pictures of a run's classes.

    urls: a `data:` URL per class. shown, counts: images per class that are shown and that exist. width, height: of one
    image. steps: finished inner steps at each moment, in order. words: name of the encoding.
    """

    urls: tuple[str, ...]
    shown: tuple[int, ...]
    counts: tuple[int, ...]
    width: int
    height: int
    steps: tuple[int, ...]
    words: str


def draw_sprites(pictures: Sequence[Pictures], room: int) -> Sprites:
    """Draw pictures in about `room` bytes: in the best encoding that fits every moment, else with fewer moments.

    If a single moment is too large in the smallest encoding, each class shows fewer images.
    """
    last = pictures[-1]
    same_shape = [p for p in pictures if p.images.shape == last.images.shape and p.class_names == last.class_names]
    frames = [shrink_images(p.images, MAX_SIDE).permute(0, 2, 3, 1).numpy() for p in same_shape]
    owners = last.owners.numpy()
    rows = [np.flatnonzero(owners == k) for k in range(len(last.class_names))]
    max_bytes = room * 3 // 4  # base64 needs 4 bytes for 3
    sizes = {encoding: _estimate_size(encoding, frames[-1], rows) for encoding in ENCODINGS}
    encoding = next((e for e, one in sizes.items() if one * len(frames) <= max_bytes), ENCODINGS[-1])
    one = sizes[encoding]
    if one > max_bytes:
        most = max(1, max(map(len, rows)) * max_bytes // one)
        rows, one = [row[:most] for row in rows], max_bytes
    chosen = _spread_evenly(len(frames), max(1, max_bytes // one))
    stacks = [np.concatenate([_join_images(frames[i][row]) for i in chosen]) for row in rows]
    kind = f"image/{encoding.format.lower()}"
    return Sprites(
        urls=tuple(f"data:{kind};base64,{base64.b64encode(encoding.encode(s)).decode()}" for s in stacks),
        shown=tuple(map(len, rows)),
        counts=last.counts,
        width=frames[-1].shape[2],
        height=frames[-1].shape[1],
        steps=tuple(same_shape[i].step for i in chosen),
        words=encoding.words,
    )


def _join_images(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images (N, H, W, C) side by side: (H, N × W, C)."""
    n, height, width, channels = images.shape
    return images.transpose(1, 0, 2, 3).reshape(height, n * width, channels)


def _estimate_size(encoding: Encoding, frame: NDArray[np.uint8], rows: Sequence[NDArray[np.intp]]) -> int:
    """Estimated bytes of one moment of all classes."""
    sample = [rows[i] for i in _spread_evenly(len(rows), SAMPLE)]
    return sum(len(encoding.encode(_join_images(frame[row]))) for row in sample) * len(rows) // len(sample)


def _spread_evenly(count: int, most: int) -> list[int]:
    """At most `most` evenly spaced numbers below `count`; the last one if `most` is 1."""
    if most == 1:
        return [count - 1]
    return sorted(set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))

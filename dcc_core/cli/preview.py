"""A set's images on the terminal: two pixels in every letter, by half-blocks in colour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.columns import Columns
from rich.console import Console, Group
from rich.style import Style
from rich.text import Text

from dcc_core.cli.display import printable
from dcc_core.runs import Pictures

HALF = "▀"
SIDE = 16
"""Largest side of an image on a terminal, in pixels: one column and half a line each."""
MOST_CLASSES = 20


def show_preview(pictures: Pictures, console: Console) -> None:
    """Print the images, or in one line why this terminal shows none."""
    if why := explain_no_preview(console):
        console.print(f"no preview: {why}", highlight=False, markup=False, soft_wrap=True)
    else:
        console.print(_grid(pictures, console.width))


def explain_no_preview(console: Console) -> str:
    """Why a terminal cannot show images; empty if it can."""
    if not console.is_terminal:
        return "the output is no terminal"
    if console.color_system is None:
        return "the terminal shows no colours"
    try:
        HALF.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return f"the terminal's encoding, {console.encoding}, has no half-blocks"
    return ""


def _grid(pictures: Pictures, width: int) -> Group:
    images = shrink_images(pictures.images.permute(0, 2, 3, 1).numpy(), SIDE)
    images = np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
    most = max(1, (width + 1) // (images.shape[2] + 1))
    owners = pictures.owners.numpy()
    names = pictures.class_names[:MOST_CLASSES]
    blocks = [_block(name, images[owners == k][:most]) for k, name in enumerate(names)]
    left = len(pictures.class_names) - len(names)
    return Group(Columns(blocks, padding=(1, 2)), *([Text(f"and {left} classes more")] if left else []))


def _block(name: str, images: NDArray[np.uint8]) -> Text:
    """A class's images side by side, its name above them."""
    text = Text(no_wrap=True, overflow="crop")
    label = Text(printable(name))
    label.truncate(max(images.shape[2] * len(images) + len(images) - 1, 8), overflow="ellipsis")
    text.append_text(label)
    for top in range(0, images.shape[1], 2):
        text.append("\n")
        for i, image in enumerate(images):
            text.append(" " if i else "")
            bottom = image[top + 1] if top + 1 < len(image) else [None] * image.shape[1]
            for upper, lower in zip(image[top], bottom, strict=True):
                text.append(HALF, Style(color=_color(upper), bgcolor=None if lower is None else _color(lower)))
    return text


def _color(pixel: Sequence[int] | NDArray[np.uint8]) -> Color:
    red, green, blue = (int(value) for value in pixel)
    return Color.from_rgb(red, green, blue)


def shrink_images(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Images (N, H, W, C) with sides of at most `side` pixels: means of whole squares of pixels."""
    factor = -(-max(images.shape[1:3]) // side)
    if factor <= 1:
        return images
    n, height, width, channels = images.shape
    cut = images[:, : height // factor * factor, : width // factor * factor]
    blocks = cut.reshape(n, height // factor, factor, width // factor, factor, channels)
    return blocks.mean(axis=(2, 4)).round().astype(np.uint8)

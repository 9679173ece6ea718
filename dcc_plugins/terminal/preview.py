"""A set's images on the terminal: two pixels in every letter, by half-blocks in colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.columns import Columns
from rich.console import Console, Group
from rich.style import Style
from rich.text import Text
from torch import Tensor
from torch.nn import functional as F

from dcc_core import Observer, Registry, RunInfo, hookimpl, load_set
from dcc_core.runs import Pictures, make_pictures
from dcc_plugins.terminal.display import printable, terminal

HALF = "▀"
SIDE = 16
"""Largest side of an image on a terminal, in pixels: one column and half a line each."""
MOST_CLASSES = 20


@final
@dataclass(frozen=True, kw_only=True)
class Preview(Observer):
    """The images of a run's first set on the terminal, when it is over."""

    def listen(self, run: RunInfo) -> _AtTheEnd:
        return _AtTheEnd(self, Path(run.out or "."))

    def show(self, file: Path, registry: Registry) -> None:
        """Print the images of a set file."""
        show_preview(make_pictures(load_set(file), registry, 0), terminal())


class _AtTheEnd:
    def __init__(self, preview: Preview, folder: Path) -> None:
        self._preview, self._folder = preview, folder

    @hookimpl
    def dcc_run_finished(self, report: Mapping[str, Any] | None) -> None:
        file = self._folder / "set.safetensors"
        if report and file.exists():
            self._preview.show(file, Registry.installed())


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
    images = shrink_images(pictures.images, SIDE).permute(0, 2, 3, 1).numpy()
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
                colors = [None if pixel is None else Color.from_rgb(*map(int, pixel)) for pixel in (upper, lower)]
                text.append(HALF, Style(color=colors[0], bgcolor=colors[1]))
    return text


def shrink_images(images: Tensor, side: int) -> Tensor:
    """Images (N, C, H, W) uint8 with sides of at most `side` pixels: means of whole squares of pixels."""
    factor = -(-max(images.shape[2:]) // side)
    return F.avg_pool2d(images.float(), factor).round().byte() if factor > 1 else images

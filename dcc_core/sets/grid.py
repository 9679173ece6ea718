"""The images of a set as a picture: a row per class, its name beside it."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

CELL = 64
"""Smallest side of an image in the picture, in pixels; smaller images are enlarged by whole factors."""
GAP = 4
FONT = 16
COLUMNS = 50


def draw_grid(images: Tensor, owners: Tensor, class_names: tuple[str, ...]) -> bytes:
    """A PNG of images (N, C, H, W) in unit space; what lies outside 0..1 is shown as black or white.

    owners: (N,) the class, hence the row, of each image. At most 50 images of a class are shown.
    """
    factor = max(1, -(-CELL // max(images.shape[2:])))
    pixels = (images.float().clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    pixels = pixels.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2).cpu().numpy()
    height, width = pixels.shape[1:3]
    font = ImageFont.load_default(FONT)
    margin = max(int(font.getlength(name)) for name in class_names) + 3 * GAP
    rows = [np.flatnonzero(owners.cpu().numpy() == k)[:COLUMNS] for k in range(len(class_names))]
    longest = max(len(row) for row in rows)
    picture = Image.new("RGB", (margin + longest * (width + GAP) + GAP, len(rows) * (height + GAP) + GAP), "white")
    draw = ImageDraw.Draw(picture)
    for k, (name, row) in enumerate(zip(class_names, rows, strict=True)):
        top = GAP + k * (height + GAP)
        draw.text((margin - 2 * GAP, top + height / 2), name, fill="black", font=font, anchor="rm")
        for column, i in enumerate(row):
            tile = pixels[i] if pixels.shape[-1] == 3 else np.repeat(pixels[i][..., :1], 3, axis=-1)
            picture.paste(Image.fromarray(tile), (margin + column * (width + GAP), top))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()

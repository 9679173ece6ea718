"""Picture files: which there are readers for, what their headers say, and their pixels as a network takes them."""

from __future__ import annotations

import functools
import mimetypes
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, Protocol

import numpy as np
from PIL import Image, ImageOps

Fit = Literal["squash", "crop", "pad"]
Resample = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]

NOT_READ = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "FPX", "MIC"})
"""Formats of Pillow's that start another program, or that it only recognises."""
OTHER_PICTURES = frozenset({".heic", ".heif", ".avif", ".jxl", ".jp2", ".svg", ".dng", ".cr2", ".cr3", ".nef", ".arw"})
"""Endings of pictures that Pillow may have no reader for, and that `mimetypes` may not know."""
GREY_MODES = frozenset({"1", "L", "LA", "I;16", "I"})
ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)
"""The EXIF tag that says how the camera was held, and its values that swap height and width."""
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


class Picture(Protocol):
    """A picture's file, or what stands for one: its path, or a row of a table. `str` names it in messages."""

    def open(self) -> IO[bytes]: ...

    def stat(self) -> Any: ...


class Header(NamedTuple):
    """What a picture's header says: height and width as it is shown, and whether it is grey, turned, animated."""

    size: tuple[int, int]
    grey: bool
    turned: bool
    animated: bool


@functools.cache
def formats() -> tuple[str, ...]:
    """The formats that the installed Pillow reads by itself."""
    Image.init()
    return tuple(name for name in Image.ID if name not in NOT_READ)


@functools.cache
def endings() -> frozenset[str]:
    """The endings of these formats, in small letters."""
    return frozenset(ending for ending, name in Image.registered_extensions().items() if name in formats())


def why_no_picture(path: Path) -> str:
    """Why a file is none that can be read, by its ending or, failing that, its content; empty for one that may be."""
    ending = path.suffix.casefold()
    if not path.is_file():
        return "no regular file"
    if ending in endings() or not isinstance(read_header(path), str):
        return ""
    return f"no reader for {ending}" if is_picture_ending(ending) else f"no picture ({ending or 'no ending'})"


def is_picture_ending(ending: str) -> bool:
    """Whether files with an ending are pictures, whoever reads them."""
    return ending in OTHER_PICTURES or (mimetypes.guess_type(f"x{ending}")[0] or "").startswith("image/")


def read_header(path: Path | Picture) -> Header | str:
    """The header of a picture, or why it cannot be read. Pillow goes by the content, not by the name."""
    try:
        with _open(path) as image:
            turn = image.getexif().get(ORIENTATION, 1)
            animated = bool(getattr(image, "is_animated", False)) and image.format != "MPO"
            return Header(upright_size(image), image.mode in GREY_MODES, turn not in (0, 1), animated)
    except UNREADABLE as error:
        return _reason(error)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Height and width of a picture as it is shown, of its header alone."""
    sideways = image.getexif().get(ORIENTATION) in SIDEWAYS
    return (image.width, image.height) if sideways else (image.height, image.width)


def read_upright(path: Path | Picture, side: int) -> Image.Image | None:
    """A picture as it is shown, in 8 bits, of at most `side` pixels a side; none if it cannot be read."""
    try:
        with _open(path) as image:
            upright = _eight_bits(ImageOps.exif_transpose(image)).convert("RGB")
            upright.thumbnail((side, side))
            return upright
    except UNREADABLE:
        return None


def read_picture(path: Path | Picture, out: np.ndarray, *, fit: Fit = "squash", resample: Resample = "bilinear") -> str:
    """Read a picture into uint8 (H, W, 1 or 3), upright; says why if it cannot be read.

    fit: `squash` changes the proportions, `crop` cuts the longer side, `pad` adds black borders to the shorter one. Of
    an animation it reads the first frame.
    """
    height, width, channels = out.shape
    method = Image.Resampling[resample.upper()]
    try:
        with _open(path) as image:
            upright = ImageOps.exif_transpose(image)
            eight = _eight_bits(upright).convert("L" if channels == 1 else "RGB")
            if eight.size != (width, height):
                match fit:
                    case "squash":
                        eight = eight.resize((width, height), method)
                    case "crop":
                        eight = ImageOps.fit(eight, (width, height), method)
                    case "pad":
                        eight = ImageOps.pad(eight, (width, height), method)
            out[:] = np.asarray(eight).reshape(height, width, channels)
            return ""
    except UNREADABLE as error:
        return _reason(error)


def _open(path: Path | Picture) -> Image.Image:
    """A picture of which the header is read."""
    return Image.open(path if isinstance(path, Path) else path.open(), formats=formats())


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bits; transparency over white; other images as they are.

    Raises ValueError for numbers beyond 16 bits and for floating point, whose white nobody knows.
    """
    if image.mode == "F":
        raise ValueError("floating-point pixels; expected 8 or 16 bits")
    if image.mode.startswith("I"):
        grey = np.asarray(image)
        if grey.min() < 0 or grey.max() > 65535:
            raise ValueError("pixels beyond 16 bits; expected 8 or 16 bits")
        small = image.mode == "I" and grey.max() < 256
        return Image.fromarray((grey if small else grey >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA"))
    return image

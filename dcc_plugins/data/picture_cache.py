"""Pixels of picture files, decoded once into a file that runs share and map into memory."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import PIL

from dcc_plugins.data.kept_files import FOLDER, key_of, written_whole
from dcc_plugins.data.pictures import Picture

log = logging.getLogger("dcc")

WORTHWHILE = 64 * 2**20
"""Bytes of files, or of pixels, from which on a cache file is written."""

Faults = dict[int, str]
"""Why files cannot be read, by their place."""
Decode = Callable[[Callable[[tuple[int, ...]], np.ndarray]], tuple[np.ndarray, Faults]]
"""Decodes all files into an array (N, C, H, W) uint8 that the function given makes."""


def through_cache(
    root: Path | None, files: Sequence[Path | Picture], options: object, decode: Decode
) -> tuple[np.ndarray, Faults]:
    """The pixels (N, C, H, W) of files: of the cache, or decoded into it where that is worth a file.

    Two runs at once both decode, and the later one replaces the file. Where none can be written, memory holds them.
    """
    if root is None:
        return decode(lambda shape: np.zeros(shape, np.uint8))
    key, size = key_of(files, options, PIL.__version__), sum(path.stat().st_size for path in files)
    pixels, notes = (root / FOLDER / f"pictures-{key}.{ending}" for ending in ("npy", "json"))
    if pixels.exists() and notes.exists():
        faults = json.loads(notes.read_text(encoding="utf-8"))
        return np.load(pixels, mmap_mode="c"), {int(place): why for place, why in faults.items()}
    with contextlib.ExitStack() as stack:

        def make(shape: tuple[int, ...]) -> np.ndarray:
            if max(size, int(np.prod(shape))) >= WORTHWHILE:
                try:
                    place = stack.enter_context(written_whole(pixels))
                    return np.lib.format.open_memmap(place, "w+", np.uint8, shape)
                except OSError as error:
                    log.warning(f"pictures are not kept for the next run: {error}")
            return np.zeros(shape, np.uint8)

        images, faults = decode(make)
        if not isinstance(images, np.memmap):
            return images, faults
        images.flush()
        notes.write_text(json.dumps(faults), encoding="utf-8")
    log.info(f"pictures are kept in '{pixels}' for the next run; dcc cache --clear removes them")
    return np.load(pixels, mmap_mode="c"), faults

"""Pixels of picture files, decoded once into a file that runs share and map into memory."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import PIL

log = logging.getLogger("dcc")

FOLDER = "pictures"
"""Below the folder for data sets."""
WORTHWHILE = 64 * 2**20
"""Bytes of files, or of pixels, from which on a cache file is written."""

Faults = dict[int, str]
"""Why files cannot be read, by their place."""
Decode = Callable[[Callable[[tuple[int, ...]], np.ndarray]], tuple[np.ndarray, Faults]]
"""Decodes all files into an array (N, C, H, W) uint8 that the function given makes."""


def key_of(files: Sequence[Path], options: object) -> tuple[str, int]:
    """A name for the pixels of some files under some options, and the bytes of the files."""
    digest, total = hashlib.blake2b(repr((options, PIL.__version__)).encode(), digest_size=16), 0
    for path in files:
        state = path.stat()
        digest.update(f"{path}\0{state.st_size}\0{state.st_mtime_ns}\0".encode(errors="surrogateescape"))
        total += state.st_size
    return digest.hexdigest(), total


def through_cache(
    root: Path | None, files: Sequence[Path], options: object, decode: Decode
) -> tuple[np.ndarray, Faults]:
    """The pixels (N, C, H, W) of files: of the cache, or decoded into it where that is worth a file.

    Two runs at once both decode, and the later one replaces the file. Where none can be written, memory holds them.
    """
    if root is None:
        return decode(lambda shape: np.zeros(shape, np.uint8))
    key, size = key_of(files, options)
    pixels, notes = (root / FOLDER / f"{key}.{ending}" for ending in ("npy", "json"))
    if pixels.exists() and notes.exists():
        faults = json.loads(notes.read_text(encoding="utf-8"))
        return np.load(pixels, mmap_mode="c"), {int(place): why for place, why in faults.items()}
    unfinished: list[Path] = []

    def make(shape: tuple[int, ...]) -> np.ndarray:
        if max(size, int(np.prod(shape))) < WORTHWHILE:
            return np.zeros(shape, np.uint8)
        try:
            pixels.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=pixels.parent, prefix=".unfinished-")
            os.close(handle)
            unfinished.append(Path(name))
            os.truncate(name, 0)
            return np.lib.format.open_memmap(name, "w+", np.uint8, shape)
        except OSError as error:
            log.warning(f"pictures are not kept for the next run: {error}")
            return np.zeros(shape, np.uint8)

    try:
        images, faults = decode(make)
        if isinstance(images, np.memmap):
            images.flush()
            notes.write_text(json.dumps(faults), encoding="utf-8")
            os.replace(unfinished[0], pixels)
            log.info(f"pictures are kept in '{pixels}' for the next run; dcc cache --clear removes them")
            return np.load(pixels, mmap_mode="c"), faults
        return images, faults
    finally:
        for path in unfinished:
            path.unlink(missing_ok=True)

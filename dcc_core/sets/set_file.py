"""Reading a set file, and holding its tensors to its metadata."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from dcc_core.errors import DccError, check_regular
from dcc_core.plugins import Registry
from dcc_core.sets.condensed_set import CROPS, FORMAT, METADATA_KEY, WHITENED, CondensedSet, Provenance

CROP_FIELDS = {"temperature", "batch", "augmentation", "options", "seed", "address"}
"""What makes the crops again that a teacher has labelled."""


def find_set(path: str | Path) -> Path:
    """The file of a set: the path itself, or the one in the place of a data source, `hf:owner/name`."""
    try:
        found = None if ":" not in str(path) or Path(path).exists() else Registry.installed().find("data", str(path))
    except DccError:
        found = None  # a colon in a file's name
    return (found and found.load().set_file(found.argument or "")) or Path(path)


def load_set(path: str | Path) -> CondensedSet:
    """Read a set file, or the one in a data source's place: `hf:owner/name`.

    Raises DccError where the file is missing, damaged, not a condensed set, or of a newer format.
    """
    try:
        with safe_open(check_regular(find_set(path)), framework="pt") as file:
            metadata = file.metadata() or {}
            stored = {name: file.get_tensor(name).clone() for name in sorted(file.keys())}
    except (OSError, ValueError, SafetensorError) as error:
        raise DccError(f"set file '{path}' cannot be read: {error}") from error
    if METADATA_KEY not in metadata:
        raise DccError(f"'{path}' is a safetensors file but not a condensed set: it has no metadata '{METADATA_KEY}'")
    try:
        fields = json.loads(metadata[METADATA_KEY])
        version = fields.pop("format")
        if version != FORMAT:
            raise DccError(f"set file '{path}' has format {version}; this version of dcc reads format {FORMAT}")
        result = CondensedSet(stored, TypeAdapter(Provenance).validate_python(fields))
        check_set(result)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DccError(f"set file '{path}' is damaged: {wrong}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DccError(f"set file '{path}' is damaged: {type(error).__name__}: {error}") from error
    return result


def check_set(s: CondensedSet) -> None:
    """Raise ValueError if the tensors contradict each other or the metadata."""
    p, owners, classes = s.provenance, s.owners, len(s.class_names)
    rows = len(owners)
    if len(p.mean) != len(p.std) or not all(0 < v < float("inf") for v in p.std):
        raise ValueError(f"mean {p.mean} and std {p.std} must have one number per channel, std positive")
    if owners.dtype != torch.int64 or owners.ndim != 1 or not torch.equal(owners, owners.sort().values):
        raise ValueError(f"owners are {owners.dtype} {tuple(owners.shape)}; expected int64 (N,), ascending")
    if not torch.equal(owners.unique(), torch.arange(classes)):
        raise ValueError(f"every one of the {classes} classes needs at least one image, and there are no others")
    for name, tensor in s.stored.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{name} hold NaN or infinite values")
    for name in ("images", WHITENED):
        images = s.stored.get(name)
        if images is None:
            continue
        if not images.is_floating_point() or images.ndim != 4 or images.shape[:2] != (rows, len(p.mean)):
            raise ValueError(f"{name} are {images.dtype} {tuple(images.shape)}; expected floating point (N, C, h, w)")
    labels = s.stored.get("labels")
    if labels is not None:
        shape = (rows, classes) if labels.is_floating_point() else (rows,)
        if labels.shape != shape:
            raise ValueError(f"labels have shape {tuple(labels.shape)} for {rows} images, {classes} classes")
        if not labels.is_floating_point() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(f"labels lie outside 0 to {classes - 1}")
    if (crops := s.stored.get(CROPS)) is not None:
        if crops.ndim != 3 or (len(crops), crops.shape[2]) != (rows, classes) or not crops.shape[1]:
            raise ValueError(f"{CROPS} have shape {tuple(crops.shape)}; expected ({rows}, epochs, {classes})")
        if missing := CROP_FIELDS - set(p.labels):
            raise ValueError(f"{CROPS} are of crops that nobody can make: labels lack {', '.join(sorted(missing))}")

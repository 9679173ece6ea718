"""Read untrusted files: only tensors, arrays, numbers and text come out, and no code is executed."""

from __future__ import annotations

import itertools
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dcc_core.config import format_size
from dcc_core.errors import DccError

MAX_BYTES = 8 * 10**9
"""Largest size of an unpacked file in bytes: above any condensed set, below what exhausts a machine."""
MAX_ITEMS = 10**6
"""Largest number of values in a file: lists that contain each other or themselves have no bound."""

NUMPY_NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")


def read_torch(path: Path) -> Any:
    """Content of a `torch.save` file: CPU tensors, numbers, text, lists and dictionaries; tuples become lists.

    Allows numpy scalars besides what `weights_only` allows, since other tools save accuracies as such.
    Raises DccError for any other type, for damaged files, and for tensors larger than the file.
    """
    _check_size(path)
    try:
        _check_zip(path, stored=True)
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_scalars()):
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
        return _to_plain_types(content, path, itertools.count())
    except DccError:
        raise
    except Exception as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named:
            raise DccError(f"'{path}' is refused: it would run {named[1]}; nothing was executed") from error
        reason = " ".join(str(error).split())[:200]
        raise DccError(
            f"'{path}' cannot be read: expected tensors and numbers written by torch.save; nothing in it was executed "
            f"({type(error).__name__}: {reason})"
        ) from error


def read_tensor(path: Path) -> Tensor:
    """The single tensor in a `torch.save` file. Raises DccError as `read_torch` does."""
    content = read_torch(path)
    if not isinstance(content, Tensor):
        raise DccError(f"'{path}' holds {_describe_type(content)}; expected a tensor")
    return content


def read_npz(path: Path, *names: str) -> dict[str, Tensor]:
    """Numeric arrays of an npz file by name, as tensors; nothing is unpickled.

    Raises DccError if an array is missing or holds objects, or the file is damaged.
    """
    _check_size(path)
    try:
        _check_zip(path, stored=False)
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            missing = [name for name in names if name not in file]
            if missing:
                raise DccError(f"'{path}' has no array '{missing[0]}'; it has {', '.join(file) or 'none'}")
            return {name: torch.from_numpy(file[name]) for name in names}
    except DccError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise DccError(
            f"'{path}' cannot be read: expected an npz file with the arrays {', '.join(names)}; object arrays are not "
            f"unpickled ({type(error).__name__}: {reason})"
        ) from error


def _check_size(path: Path) -> None:
    if not path.is_file():
        raise DccError(f"there is no file '{path}'")
    if path.stat().st_size > MAX_BYTES:
        raise DccError(f"'{path}' has {format_size(path.stat().st_size)}; the limit is {format_size(MAX_BYTES)}")


def _check_zip(path: Path, *, stored: bool) -> None:
    """Reject archives that unpack to more than MAX_BYTES. stored: also reject compressed members."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    if unpacked > MAX_BYTES:
        raise DccError(f"'{path}' would unpack to {format_size(unpacked)}; the limit is {format_size(MAX_BYTES)}")
    if stored and any(m.compress_type != zipfile.ZIP_STORED for m in members):
        raise DccError(f"'{path}' is a compressed archive, which torch.save never writes")


def _numpy_scalars() -> list[Any]:
    """The globals in a pickled numpy scalar: its constructor, by old and new name, and the numeric dtypes."""
    make = np.float64(0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [*((make, name) for name in names), np.dtype, *(type(np.dtype(code)) for code in NUMPY_NUMBERS)]


def _to_plain_types(content: Any, path: Path, visited: Iterator[int]) -> Any:
    """The content with lists for tuples and Python numbers for numpy's. Raises DccError for any other type."""
    if next(visited) > MAX_ITEMS:
        raise DccError(f"'{path}' holds lists of more than {MAX_ITEMS:,} values, or lists that contain themselves")
    if isinstance(content, Tensor):
        return _check_tensor(content, path)
    if isinstance(content, dict):
        return {key: _to_plain_types(value, path, visited) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_to_plain_types(value, path, visited) for value in content]
    if isinstance(content, np.generic):
        return content.item()
    if content is None or isinstance(content, bool | int | float | str):
        return content
    raise DccError(f"'{path}' holds {_describe_type(content)}; expected tensors, numbers and text")


def _check_tensor(tensor: Tensor, path: Path) -> Tensor:
    """The tensor, if it is a dense CPU tensor no larger than the file: a few bytes can claim any shape."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        raise DccError(f"'{path}' holds a tensor of an unusual kind ({tensor.layout} on {tensor.device})")
    claimed = tensor.numel() * tensor.element_size()
    held = min(path.stat().st_size, tensor.untyped_storage().nbytes())
    if claimed > held:
        raise DccError(
            f"'{path}' claims a tensor of shape {tuple(tensor.shape)}, {format_size(claimed)}, but holds "
            f"{format_size(held)}: it is damaged, or built to exhaust memory"
        )
    return tensor.detach()


def _describe_type(content: Any) -> str:
    return "nothing" if content is None else f"a {type(content).__name__}"

"""Reading files of strangers: tensors, arrays, numbers and texts come out, and nothing in a file is executed."""

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

LARGEST = 8 * 10**9
"""Bytes that a file may hold, unpacked: more than any condensed set, less than what stops a machine."""
MOST_ITEMS = 10**6
"""Values in the lists of a file; lists that hold each other, or themselves, can be as many as they like."""

NUMPY_NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")


def read_torch(path: Path) -> Any:
    """What `torch.save` wrote: tensors on the CPU, numbers, texts, and lists, tuples and dictionaries of them.

    numpy's scalars are let through beside what `weights_only` allows: the field saves its accuracies as such.
    Raises DccError for anything else that the file names, for damaged files, and for tensors larger than the file.
    """
    _check_size(path)
    try:
        _check_zip(path, stored=True)
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_scalars()):
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
        return _plain(content, path, itertools.count())
    except DccError:
        raise
    except Exception as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named:
            raise DccError(f"'{path}' is refused: it would run {named[1]}; nothing was executed") from error
        reason = " ".join(str(error).split())[:200]
        raise DccError(
            f"'{path}' cannot be read: expected what torch.save writes of tensors and numbers, and nothing in it was "
            f"executed ({type(error).__name__}: {reason})"
        ) from error


def read_tensor(path: Path) -> Tensor:
    """The tensor that `torch.save` wrote, and nothing else. Raises DccError as `read_torch` does."""
    content = read_torch(path)
    if not isinstance(content, Tensor):
        raise DccError(f"'{path}' holds {_described(content)}; expected a tensor")
    return content


def read_npz(path: Path, *names: str) -> dict[str, Tensor]:
    """Some arrays of numbers in an npz file, by name, as tensors; nothing is unpickled.

    Raises DccError where one is missing or holds objects, and where the file is damaged.
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
            f"'{path}' cannot be read: expected an npz file of the arrays {', '.join(names)}, none of objects, which "
            f"are not unpickled ({type(error).__name__}: {reason})"
        ) from error


def _check_size(path: Path) -> None:
    if not path.is_file():
        raise DccError(f"there is no file '{path}'")
    if path.stat().st_size > LARGEST:
        raise DccError(
            f"'{path}' has {format_size(path.stat().st_size)}; files beyond {format_size(LARGEST)} are not read"
        )


def _check_zip(path: Path, *, stored: bool) -> None:
    """Refuse archives that unpack to more than a file may hold. stored: whether nothing in it may be compressed."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    if unpacked > LARGEST:
        raise DccError(
            f"'{path}' would unpack to {format_size(unpacked)}; files beyond {format_size(LARGEST)} are not read"
        )
    if stored and any(m.compress_type != zipfile.ZIP_STORED for m in members):
        raise DccError(f"'{path}' is a compressed archive, which torch.save never writes")


def _numpy_scalars() -> list[Any]:
    """What a pickled numpy number names: the function that makes it, under its old name too, and types of numbers."""
    make = np.float64(0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [*((make, name) for name in names), np.dtype, *(type(np.dtype(code)) for code in NUMPY_NUMBERS)]


def _plain(content: Any, path: Path, visited: Iterator[int]) -> Any:
    """The content with lists for tuples and Python's numbers for numpy's. Raises DccError for any other type."""
    if next(visited) > MOST_ITEMS:
        raise DccError(f"'{path}' holds lists of more than {MOST_ITEMS:,} values, or lists that hold themselves")
    if isinstance(content, Tensor):
        return _sound(content, path)
    if isinstance(content, dict):
        return {key: _plain(value, path, visited) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value, path, visited) for value in content]
    if isinstance(content, np.generic):
        return content.item()
    if content is None or isinstance(content, bool | int | float | str):
        return content
    raise DccError(f"'{path}' holds {_described(content)}; expected tensors, numbers and texts")


def _sound(tensor: Tensor, path: Path) -> Tensor:
    """A plain tensor. A few bytes in a file can claim any shape."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        raise DccError(f"'{path}' holds a tensor of an unusual kind ({tensor.layout} on {tensor.device})")
    claimed = tensor.numel() * tensor.element_size()
    held = min(path.stat().st_size, tensor.untyped_storage().nbytes())
    if claimed > held:
        raise DccError(
            f"'{path}' claims a tensor of shape {tuple(tensor.shape)}, {format_size(claimed)}, and holds {format_size(held)} for it: "
            "it is damaged, or made to fill the memory"
        )
    return tensor.detach()


def _described(content: Any) -> str:
    return "nothing" if content is None else f"a {type(content).__name__}"

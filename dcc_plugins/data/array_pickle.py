"""Reads number arrays from untrusted pickles, and executes nothing."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dcc_core import DccError


def load_arrays(path: Path, *names: str) -> list[np.ndarray]:
    """Some arrays, or lists of whole numbers, of a pickled dictionary, by name; views of the file's bytes.

    Raises DccError if the pickle would run anything; ValueError, KeyError or what `pickle` raises if it is
    damaged or holds something else.
    """
    with open(path, "rb") as file:
        content = _ArraysOnly(file).load()
    if not isinstance(content, dict):
        raise ValueError(f"expected a dictionary, got {type(content).__name__}")
    return [_numbers(content.pop(name)) for name in names]


class _ArraysOnly(pickle.Unpickler):
    """Reads dictionaries, lists, numbers and arrays of numbers; refuses everything else: nothing is executed.

    What a pickle names is looked up in `KNOWN` and never imported. What stands for it there builds plain arrays,
    views of the bytes in the pickle, and takes no other state.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._path = file.name

    def find_class(self, module: str, name: str) -> Any:
        known = KNOWN.get((module.replace("numpy._core", "numpy.core"), name))
        if known is None:
            raise DccError(f"'{self._path}' is refused: it would run {module}.{name}; nothing was executed")
        return known()


class _Sealed:
    """Takes no state from a pickle."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise ValueError("a state where none belongs")


class _ArrayType(_Sealed):
    """`numpy.ndarray`, which pickles name but do not call."""

    __slots__ = ()


class _NumberType:
    """A type of numbers, made from its code; its state says the byte order."""

    CODES = frozenset({"u1", "i4", "i8", "f4", "f8"})
    __slots__ = ("dtype",)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, subtype, names, fields = state[:5]
        if order not in ("<", ">", "|", "=") or (subtype, names, fields) != (None, None, None):
            raise ValueError(f"arrays of {order}, {names}")
        self.dtype = self.dtype.newbyteorder(order)


class _MakeNumberType(_Sealed):
    __slots__ = ()

    def __call__(self, code: str, *_: Any) -> _NumberType:
        if code not in _NumberType.CODES:
            raise ValueError(f"arrays of type {code!r}")
        made = _NumberType()
        made.dtype = np.dtype(code)
        return made


class _Pickled:
    """An array that a pickle makes empty first, and then gives its state."""

    __slots__ = ("array",)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, number, fortran, content = state
        self.array = _view(content, number, shape, "F" if fortran else "C")


class _Reconstruct(_Sealed):
    __slots__ = ()

    def __call__(self, *_: Any) -> _Pickled:
        return _Pickled()


class _FromBuffer(_Sealed):
    __slots__ = ()

    def __call__(self, content: bytes, number: _NumberType, shape: tuple[int, ...], order: str) -> _Pickled:
        made = _Pickled()
        made.array = _view(content, number, shape, order)
        return made


class _Latin1(_Sealed):
    """Pickles of protocol 2 hold bytes as text."""

    __slots__ = ()

    def __call__(self, text: str, _: Any) -> bytes:
        return text.encode("latin1")


def _view(content: bytes, number: _NumberType, shape: tuple[int, ...], order: str) -> np.ndarray:
    if not isinstance(content, bytes | bytearray) or not isinstance(number, _NumberType):
        raise ValueError("an array that is not stored as bytes")
    return np.frombuffer(content, number.dtype).reshape(shape, order="F" if order == "F" else "C")


def _numbers(value: Any) -> np.ndarray:
    """An unpickled array, or a list of whole numbers, as an array."""
    if isinstance(value, _Pickled):
        return value.array
    if isinstance(value, list) and all(type(v) is int for v in value):
        return np.array(value)
    raise ValueError(f"expected numbers, got {type(value).__name__}")


KNOWN: dict[tuple[str, str], Callable[[], Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _Reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _FromBuffer,
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): _MakeNumberType,
    ("_codecs", "encode"): _Latin1,
}
"""What a pickled array names, and what replaces it here; created for every pickle."""

"""A digest of a Python object: of the source of functions and classes, of the bytes of arrays."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch

PLAIN = (str, bytes, int, float, bool, type(None))


def digest(value: object) -> str:
    """Eight hexadecimal digits that change with the object, and are the same in another process.

    Of a function or class: its source, what it closes over, and what it uses of its own module by name. Of arrays and
    tensors: type, shape and bytes. Of other objects: their class and attributes.
    """
    found = hashlib.blake2b(digest_size=4)
    for part in _parts(value, {}):
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()


def _parts(value: Any, seen: dict[int, object]) -> Iterator[bytes]:
    if isinstance(value, PLAIN):
        yield f"{type(value).__name__} {value!r}".encode()
        return
    if id(value) in seen:
        return
    seen[id(value)] = value  # kept, so that no other object takes its place
    if isinstance(value, torch.Tensor | np.ndarray):
        array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
        yield f"{array.dtype} {array.shape}".encode()
        yield array.astype(str).tobytes() if array.dtype.kind == "O" else np.ascontiguousarray(array).tobytes()
    elif isinstance(value, Mapping):
        yield from (part for pair in value.items() for item in pair for part in _parts(item, seen))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (part for item in value for part in _parts(item, seen))
    elif isinstance(value, functools.partial):
        yield from _parts([value.func, value.args, value.keywords], seen)
    elif isinstance(value, MethodType):
        yield from _parts([value.__func__, value.__self__], seen)
    elif isinstance(value, FunctionType):
        yield from _function(value, seen)
    elif isinstance(value, type):
        yield from _class(value, seen)
    else:
        yield from _parts([type(value), getattr(value, "__dict__", {})], seen)


def _function(function: FunctionType, seen: dict[int, object]) -> Iterator[bytes]:
    yield _source(function) or repr(_instructions(function.__code__)).encode()
    yield from _parts([function.__defaults__, function.__kwdefaults__], seen)
    used = inspect.getclosurevars(function)
    own = {n: v for n, v in used.globals.items() if _same_module(v, function) or isinstance(v, PLAIN)}
    yield from _parts([dict(used.nonlocals), own], seen)


def _class(cls: type, seen: dict[int, object]) -> Iterator[bytes]:
    yield f"{cls.__module__}.{cls.__qualname__}".encode()
    yield _source(cls)
    members = [m for m in vars(cls).values() if isinstance(m, FunctionType)]
    yield from _parts([*members, *(base for base in cls.__bases__ if _same_module(base, cls))], seen)


def _same_module(value: object, user: Any) -> bool:
    """Whether a function or class is of the module that uses it: a library's own have versions."""
    return isinstance(value, FunctionType | type) and value.__module__ == user.__module__


def _source(value: Any) -> bytes:
    """The source; empty if there is none, as for what `exec` makes."""
    try:
        return inspect.getsource(value).encode()
    except (OSError, TypeError):
        return b""


def _instructions(code: CodeType) -> list[Any]:
    inner = [_instructions(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return [code.co_code.hex(), code.co_names, inner]

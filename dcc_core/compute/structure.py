"""What two networks have in common if they differ in parameters and buffers alone."""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
from collections.abc import Hashable, Mapping

import torch
from torch import nn

OF_EVERY_MODULE = vars(nn.Module()).keys()
PLAIN = (
    *(int, float, complex, str, bytes, type, enum.Enum, torch.dtype, torch.device),
    *(types.CodeType, types.ModuleType, types.BuiltinFunctionType, types.MethodDescriptorType),
)
"""Types of values that are compared as they are."""


class UnknownError(Exception):
    """A value of which it is not known what a network may read from it."""


def structure_of(network: nn.Module) -> Hashable | None:
    """A value that equals another network's if the two compute the same with the same parameters and buffers.

    It is made of the modules' types and of their attributes; a module's `not_read` names attributes that do not count.
    None if an attribute may hide something, such as a tensor that is no buffer, or a module that is not registered.
    """
    try:
        return tuple((name, type(m), _attributes(m)) for name, m in network.named_modules()) + tuple(
            (name, t.shape, t.stride()) for name, t in [*network.named_parameters(), *network.named_buffers()]
        )
    except UnknownError:
        return None


def _attributes(module: nn.Module) -> Hashable:
    left_out = {*OF_EVERY_MODULE, *getattr(module, "not_read", ())}
    return _setting({key: value for key, value in vars(module).items() if key not in left_out})


def _setting(value: object) -> Hashable:
    """A hashable value that tells a setting from another. Raises UnknownError if it cannot."""
    kind = type(value)
    if value is None or isinstance(value, PLAIN):
        return kind, value
    if isinstance(value, list | tuple):
        return kind, *map(_setting, value)
    if isinstance(value, set | frozenset):
        return kind, frozenset(map(_setting, value))
    if isinstance(value, Mapping):
        return kind, *((_setting(key), _setting(own)) for key, own in value.items())
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return value.__code__, _setting([value.__defaults__, value.__kwdefaults__, cells])
    if isinstance(value, functools.partial):
        return kind, _setting([value.func, value.args, value.keywords])
    if dataclasses.is_dataclass(value):
        return kind, _setting({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    raise UnknownError

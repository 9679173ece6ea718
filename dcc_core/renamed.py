"""Names that have moved: each works for one more version, with a DeprecationWarning."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def forward(
    module: str, moved: Mapping[str, str], otherwise: Callable[[str], Any] | None = None
) -> Callable[[str], Any]:
    """A module's `__getattr__` that finds names where they have moved to.

    moved: `package.module:name` by old name. otherwise: the `__getattr__` that the module has already.
    """

    def find(name: str) -> Any:
        if name not in moved:
            if otherwise:
                return otherwise(name)
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        place, _, new = moved[name].partition(":")
        hint = f"{module}.{name} is {place}.{new} now; the old name goes with the next version"
        warnings.warn(hint, DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(place), new)

    return find


def old_name(old: str, new: str) -> Callable[..., Any]:
    """A method under its old name."""

    def call(self: Any, *arguments: Any, **more: Any) -> Any:
        hint = (
            f"{type(self).__name__}.{old} is {type(self).__name__}.{new} now; the old name goes with the next version"
        )
        warnings.warn(hint, DeprecationWarning, stacklevel=2)
        return getattr(self, new)(*arguments, **more)

    return call

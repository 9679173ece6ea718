"""What a Python object stands for in place of a name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Given:
    """A component's class and its options, which may be objects again.

    digest: of the object's source or content, so that two that differ have other names.
    """

    target: type
    digest: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def argument(self) -> Any:
        """Of a family, what stands behind its name: the first option that the class itself declares."""
        return next((self.options.get(name) for name in inspect.get_annotations(self.target)), None)

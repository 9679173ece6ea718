"""Objects that are given in Python in place of names: a registry for the call knows them by names of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dcc_core.config import KIND_OF_KEY, own_options
from dcc_core.plugins import PYTHON, Component, Registry


def name_objects(registry: Registry, values: Mapping[str, Any]) -> tuple[dict[str, Any], Registry]:
    """The values by dotted key with a name for every object, and a registry that knows the names.

    A component that is registered has its own name; any other object is `python:NAME@DIGEST`. The options of one are
    values too. Raises DccError for an object that no plugin understands.
    """
    rows: dict[str, dict[str, Component]] = {}
    named = _name(registry, values, rows)
    return named, registry.including({kind: own.values() for kind, own in rows.items()}) if rows else registry


def _name(registry: Registry, values: Mapping[str, Any], rows: dict[str, dict[str, Component]]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for key, value in values.items():
        kind = KIND_OF_KEY.get(key) or getattr(value, "kind", None)
        if kind is None or value is None or isinstance(value, str):
            named[key] = value
            continue
        given = registry.understand(kind, value)
        argument = given.options.get(next(iter(own_options(given.target)), ""))
        name = registry.name_of(kind, given.target, argument)
        if name is None:
            own = f"{given.target.__name__}@{given.digest}"
            row = Component(name=own, target="", summary="given in Python", given=given.target)
            rows.setdefault(kind, {})[own] = row
            name = f"{PYTHON}:{own}"
        named |= {key: name, **_name(registry, {f"{key}.{o}": v for o, v in given.options.items()}, rows)}
    return named

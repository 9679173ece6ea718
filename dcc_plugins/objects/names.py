"""Names for objects that are given in Python: registered components have one, others are `python:NAME@DIGEST`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dcc_core import Component, Registry
from dcc_plugins.objects.understanding import understand

KINDS = {
    "data": "data",
    "loss": "loss",
    "aug": "augmentation",
    "arch": "architecture",
    "param": "parametrisation",
    "selection": "selection",
}
"""Kinds by the key of a run's component; elsewhere a component says its own."""


def name_objects(values: Mapping[str, Any], registry: Registry) -> tuple[dict[str, Any], dict[str, list[Component]]]:
    """The values by dotted key with a name for every object, its options beside it, and the rows of names by kind.

    Raises DccError for an object that stands for no component.
    """
    rows: dict[str, dict[str, Component]] = {}
    named = _name(values, registry, rows)
    return named, {kind: list(own.values()) for kind, own in rows.items()}


def _name(values: Mapping[str, Any], registry: Registry, rows: dict[str, dict[str, Component]]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for key, value in values.items():
        kind = KINDS.get(key) or getattr(value, "kind", None)
        if kind is None or value is None or isinstance(value, str):
            named[key] = value
            continue
        given = understand(kind, value)
        name = registry.name_of(kind, given.target, given.argument)
        if name is None:
            own = f"{given.target.__name__}@{given.digest}"
            row = Component(name=own, target="", summary="given in Python", given=given.target)
            rows.setdefault(kind, {})[own] = row
            name = f"python:{own}"
        named |= {key: name, **_name({f"{key}.{o}": v for o, v in given.options.items()}, registry, rows)}
    return named

"""What an object that is given in Python stands for, by the kind of component that it is given for."""

from __future__ import annotations

import dataclasses
from typing import Any

from torch import nn

from dcc_core import DccError
from dcc_plugins.objects.digests import digest
from dcc_plugins.objects.functions import FunctionLoss
from dcc_plugins.objects.given import Given
from dcc_plugins.objects.image_data import given_data
from dcc_plugins.objects.modules import ModuleArchitecture

EXPECTED = {
    "loss": "a MatchingLoss, a function of (synthetic, real) gradients, or a function of a step",
    "architecture": "an Architecture, or something that builds an nn.Module when it is called: a class or a function",
    "data": "(images, labels) as arrays or tensors, a torch Dataset, a datasets.Dataset, a RealData, a DataSource, or "
    "two of them, for training and for testing",
    "augmentation": "an Augmentation",
    "parametrisation": "a Parametrisation",
    "selection": "a Selection",
}
"""What may be given for each kind, beside a name."""


def understand(kind: str, value: Any) -> Given:
    """What an object stands for. Raises DccError that says what was expected, if it stands for nothing of the kind."""
    if getattr(value, "kind", None) == kind:
        return _component(value)
    if kind == "data":
        found = given_data(value)
    elif kind == "loss" and callable(value) and not isinstance(value, type):
        found = hold(FunctionLoss(value), value)
    elif kind == "architecture" and callable(value) and not isinstance(value, nn.Module):
        found = hold(ModuleArchitecture(value), value)
    else:
        found = None
    if found is None:
        hint = ""
        if isinstance(value, nn.Module):
            hint = ". Every network begins with fresh weights: give a function that builds one, lambda: Net()"
        elif other := getattr(value, "kind", None):
            hint = f". This is a component of kind {other}"
        raise DccError(f"{kind}: {_describe(value)} is given; expected a name, or {EXPECTED[kind]}{hint}")
    return found


def hold(component: Any, value: Any) -> Given:
    """A component that has no options, as the one instance of a class. value: what the digest is of."""
    name = getattr(value, "__name__", type(value).__name__)
    members = {"kind": component.kind, "__new__": lambda cls: component, "__doc__": type(component).__doc__}
    cls = dataclasses.dataclass(frozen=True, kw_only=True)(type(_word(name), (), members))
    return Given(target=cls, digest=digest(value))


def _component(value: Any) -> Given:
    """A component class, with its defaults, or an instance; one that is no dataclass has no options."""
    cls = value if isinstance(value, type) else type(value)
    if not dataclasses.is_dataclass(cls):
        return hold(value() if isinstance(value, type) else value, value)
    options = {} if isinstance(value, type) else _options(value)
    return Given(target=cls, options=options, digest=digest(cls))


def _options(component: Any) -> dict[str, Any]:
    """The options of a component that are not as by default."""
    named = {f.name: getattr(component, f.name) for f in dataclasses.fields(component) if f.init}
    defaults = {f.name: _default(f) for f in dataclasses.fields(component)}
    return {name: value for name, value in named.items() if value is not defaults[name] and value != defaults[name]}


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _describe(value: Any) -> str:
    text = " ".join(repr(value).split())
    return f"{text if len(text) <= 60 else f'{text[:57]}...'} ({type(value).__module__}.{type(value).__qualname__})"


def _word(name: str) -> str:
    """A name that stands in configurations: `<lambda>` is lambda."""
    return "".join(c if c.isalnum() or c in "_-." else "" for c in name) or "object"

"""Options: a component's constructor is its schema.

A component is a frozen, keyword-only dataclass; each field is an option, with its type, its default and, in
`Annotated`, its help and its range. A field of type `Mapping` is open: it takes the options that no other field
names. Values are checked by pydantic, one at a time, so that every wrong option of a command is reported at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union

from dcc_core.errors import did_you_mean

REQUIRED = dataclasses.MISSING
DIGITS = 18


@dataclass(frozen=True)
class Option:
    """One option of a class: its type as written (`hint`), its default, its help."""

    name: str
    hint: Any
    default: Any
    help: str

    @property
    def kind(self) -> str | None:
        """The kind of component this option refers to, for an option that takes a component."""
        return next((k for t in _alternatives(self.hint) if (k := _kind_of(t))), None)

    @property
    def choices(self) -> list[str]:
        """The words that the option takes, if it is a choice; yes and no if it is a switch."""
        kinds = _alternatives(self.hint)
        words = [str(word) for t in kinds if typing.get_origin(t) is Literal for word in typing.get_args(t)]
        return words + (["yes", "no"] if bool in kinds else [])

    @property
    def open(self) -> bool:
        """Whether this is a field of type `Mapping`: it takes every option that the class does not name."""
        return any(typing.get_origin(t) is Mapping for t in _alternatives(self.hint))

    @property
    def expected(self) -> str:
        """What a value must be, in words: `a number > 0`, `one of mean, sum`, `an integer >= 1, or none`."""
        types = _alternatives(self.hint)
        words = " or ".join(_words(t) for t in types if t is not type(None))
        words = f"{words} {_bounds(self.hint)}".strip()
        return f"{words}, or none" if type(None) in types else words


def schema(cls: type) -> dict[str, Option]:
    """The options of a component class, by name, in the order of its fields."""
    hints = typing.get_type_hints(cls, include_extras=True)
    options = {}
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        words = " ".join(m for m in _metadata(hint) if isinstance(m, str))
        options[field.name] = Option(field.name, hint, default, words)
    return options


def own_options(cls: type) -> list[str]:
    """The options that the class itself declares; a family's argument is the first of them."""
    names = {field.name for field in dataclasses.fields(cls)}
    return [name for name in inspect.get_annotations(cls) if name in names]


def check_value(option: Option, value: object) -> Any:
    """The value in the option's type.

    Text, as it comes from a command line, is read by the type: `3,8` for a tuple, `none` for an optional one.
    Raises ValueError that quotes the value and says what was expected.
    """
    import pydantic

    read = _from_text(option.hint, value) if isinstance(value, str) else value
    if int in _alternatives(option.hint) and str(read).lstrip("-").isdecimal() and len(str(read)) > DIGITS:
        raise ValueError(_explain(option, f"{str(read)[:DIGITS]}..."))
    if isinstance(read, int | float) and any(typing.get_origin(t) is tuple for t in _alternatives(option.hint)):
        read = (read,)
    if isinstance(read, bool) and bool not in _alternatives(option.hint):
        raise ValueError(_explain(option, value))
    try:
        config = pydantic.ConfigDict(allow_inf_nan=False)
        return pydantic.TypeAdapter(option.hint, config=config).validate_python(read)
    except pydantic.ValidationError:
        raise ValueError(_explain(option, value)) from None
    except pydantic.errors.PydanticUserError as error:
        raise ValueError(f"an option cannot have the type {option.hint}") from error


def parse_literal(value: object) -> Any:
    """A value without a declared type: text means none, true, false, a number, a list a,b,... of these, or itself."""
    if not isinstance(value, str):
        return tuple(map(parse_literal, value)) if isinstance(value, list) else value
    if "," in value:
        return tuple(parse_literal(part.strip()) for part in value.split(",") if part.strip())
    words = {"none": None, "true": True, "false": False}
    if value.lower() in words:
        return words[value.lower()]
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(value)
    return value


LITERALS = "a finite number, true, false, none, a word, or a list of these without none"


def is_literal(value: object) -> bool:
    """Whether a value without a declared type can be written to a configuration and read back."""
    if isinstance(value, tuple):
        return all(v is not None and not isinstance(v, tuple) and is_literal(v) for v in value)
    return value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))


def plain(value: object) -> Any:
    """An option's value as JSON and TOML can hold it: paths become text, tuples lists."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    return value


def flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested table as dotted keys. `name` inside a table is the table's own value: `[loss] name = "x"`."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        dotted = f"{prefix}.{key}" if prefix else key
        if prefix and key == "name":
            dotted = prefix
        if isinstance(value, Mapping):
            flat.update(flatten(value, dotted))
        else:
            flat[dotted] = value
    return flat


def _explain(option: Option, value: object) -> str:
    quoted = f"'{value}'" if isinstance(value, str) else repr(plain(value))
    choices = [str(c) for t in _alternatives(option.hint) for c in _choices(t)]
    words = [w.strip() for w in value.split(",")] if isinstance(value, str) else []
    wrong = [w for w in words if choices and w not in choices]
    return f"{quoted} is not {option.expected}." + (did_you_mean(wrong[0], choices) if wrong else "")


def _from_text(hint: Any, text: str) -> object:
    kinds = _alternatives(hint)
    if text.lower() == "none" and type(None) in kinds:
        return None
    for choice in (c for t in kinds if typing.get_origin(t) is Literal for c in typing.get_args(t)):
        if str(choice) == text:
            return choice
    if any(typing.get_origin(t) is tuple for t in kinds):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _alternatives(hint: Any) -> list[Any]:
    """The types of a union, without `Annotated`; a single type as a list of one."""
    if typing.get_origin(hint) is typing.Annotated:
        return _alternatives(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (Union, types.UnionType):
        return [t for arg in typing.get_args(hint) for t in _alternatives(arg)]
    return [hint]


def _metadata(hint: Any) -> list[Any]:
    return list(hint.__metadata__) if typing.get_origin(hint) is typing.Annotated else []


def _choices(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) is tuple:
        return tuple(c for arg in typing.get_args(hint) for c in _choices(arg))
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()


def _kind_of(hint: Any) -> str | None:
    from dcc_core.plugins import KINDS

    kind = getattr(hint, "kind", None) if isinstance(hint, type) else None
    return kind if kind in {k.name for k in KINDS} else None


def _bounds(hint: Any) -> str:
    """The range in a hint's metadata: `>= 0 and <= 1`, or the empty string."""
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    found = [(sign, getattr(m, key, None)) for m in _metadata(hint) for key, sign in signs.items()]
    return " and ".join(f"{sign} {bound:g}" for sign, bound in found if bound is not None)


def _words(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Annotated:
        return f"{_words(typing.get_args(hint)[0])} {_bounds(hint)}".strip()
    names = {bool: "true or false", int: "an integer", float: "a finite number", str: "text", Path: "a path"}
    if hint is type(None):
        return "none"
    if choices := (_choices(hint) if typing.get_origin(hint) is Literal else ()):
        return "one of " + ", ".join(map(str, choices))
    if typing.get_origin(hint) is tuple:
        inner = [_words(a) for a in typing.get_args(hint) if a is not Ellipsis]
        return "a list a,b,... of " + " and ".join(dict.fromkeys(inner))
    if kind := _kind_of(hint):
        return f"the name of a component of kind {kind}"
    return names.get(hint, getattr(hint, "__name__", str(hint)))

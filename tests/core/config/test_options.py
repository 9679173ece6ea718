"""Options: types, ranges, text from a command line, and messages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt

from dcc_core.config.options import check_value, flatten, parse_literal, plain, schema


@dataclass(frozen=True, kw_only=True)
class Sample:
    rate: Annotated[float, "learning", "rate", Gt(0)] = 0.5
    count: Annotated[int | None, "how many", Ge(1)] = None
    flag: Annotated[bool, "yes or no"] = False
    word: Annotated[str, "any"] = "x"
    mode: Annotated[Literal["mean", "sum"], "mode"] = "mean"
    classes: Annotated[tuple[int, ...], "labels"] = ()
    parts: Annotated[tuple[Literal["crop", "flip"], ...], "operations"] = ("crop",)
    place: Annotated[Path | None, "folder"] = None
    size: Annotated[tuple[Annotated[int, Ge(1)], ...] | None, "sides"] = None


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("rate", "0.25", 0.25),
        ("rate", 2, 2.0),
        ("count", "3", 3),
        ("count", "none", None),
        ("count", None, None),
        ("flag", "true", True),
        ("flag", False, False),
        ("word", "none", "none"),
        ("mode", "sum", "sum"),
        ("classes", "3,8", (3, 8)),
        ("classes", [3, 8], (3, 8)),
        ("classes", "3", (3,)),
        ("parts", "flip, crop", ("flip", "crop")),
        ("place", "a/b", Path("a/b")),
    ],
)
def test_values_are_read_by_their_type(name, given, expected):
    value = check_value(schema(Sample)[name], given)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("rate", "fast", "'fast' is not a finite number > 0."),
        ("rate", -1, "-1 is not a finite number > 0."),
        ("rate", "nan", "'nan' is not a finite number > 0."),
        ("rate", "inf", "'inf' is not a finite number > 0."),
        ("rate", True, "True is not a finite number > 0."),
        ("count", "0", "'0' is not an integer >= 1, or none."),
        ("count", 2.5, "2.5 is not an integer >= 1, or none."),
        ("flag", "perhaps", "'perhaps' is not true or false."),
        ("mode", "summ", "'summ' is not one of mean, sum. Did you mean 'sum'?"),
        ("classes", "a,b", "'a,b' is not a list a,b,... of an integer."),
        ("parts", "flip,crp", "'flip,crp' is not a list a,b,... of one of crop, flip. Did you mean 'crop'?"),
        ("word", 3, "3 is not text."),
        ("size", "0", "'0' is not a list a,b,... of an integer >= 1, or none."),
    ],
)
def test_wrong_values_say_what_was_expected(name, given, message):
    with pytest.raises(ValueError) as error:
        check_value(schema(Sample)[name], given)
    assert str(error.value) == message


def test_help_and_defaults_come_from_the_fields():
    options = schema(Sample)
    assert list(options) == ["rate", "count", "flag", "word", "mode", "classes", "parts", "place", "size"]
    assert options["rate"].help == "learning rate"
    assert options["parts"].default == ("crop",)


def test_flatten_reads_a_tables_name_as_its_value():
    table = {"loss": {"name": "warmup", "then": {"name": "dm", "x": 1}}, "run": {"ipc": 3}, "aug": "dsa"}
    assert flatten(table) == {"loss": "warmup", "loss.then": "dm", "loss.then.x": 1, "run.ipc": 3, "aug": "dsa"}


def test_plain_values_are_json():
    assert plain((Path("a"), (1, 2))) == ["a", [1, 2]]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.1", 0.1),
        ("1e-3", 0.001),
        ("true", True),
        ("False", False),
        ("none", None),
        ("gelu", "gelu"),
        ("2,2,6", (2, 2, 6)),
        ("a, 1", ("a", 1)),
        ([1, "b"], (1, "b")),
        (4.5, 4.5),
    ],
)
def test_values_without_a_type_are_read_as_they_look(text, value):
    assert parse_literal(text) == value
    assert type(parse_literal(text)) is type(value)


def test_a_mapping_is_open():
    @dataclass(frozen=True, kw_only=True)
    class Open:
        size: Annotated[int, "side"] = 1
        more: Annotated[Mapping[str, object], "anything"] = field(default_factory=dict)

    assert {name: option.open for name, option in schema(Open).items()} == {"size": False, "more": True}

"""Names that have moved still work, and say where they are now."""

import importlib

import pytest

import dcc_core
from dcc_core import cli, testing
from dcc_core.engine import RunContext, Step

MOVED = {
    "dcc_plugins.exchange": [
        "Exported",
        "Exporting",
        "Format",
        "Importing",
        "convert",
        "read_npz",
        "read_tensor",
        "read_torch",
    ],
    "dcc_plugins.studies": ("Bench", "Findings", "Study"),
}
TESTS = ["FormatConformance", "StudyConformance", "TableConformance"]


@pytest.mark.parametrize(
    ("old", "place", "name"),
    [
        *((dcc_core, place, name) for place, names in MOVED.items() for name in names),
        *((testing, "dcc_plugins.testing", name) for name in TESTS),
        *((cli, "dcc_plugins.terminal", name) for name in ("Display", "print_table", "printable", "terminal")),
        *((cli, "dcc_plugins.commands.run", name) for name in ("RUN_FLAGS", "run", "show_result")),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_moved_name_is_found(old, place, name):
    with pytest.warns(DeprecationWarning, match=f"{old.__name__}.{name} is {place}.{name} now"):
        found = getattr(old, name)
    assert found is getattr(importlib.import_module(place), name)


def test_a_name_that_never_was_is_not_found():
    for module in (dcc_core, testing, cli):
        with pytest.raises(AttributeError, match="no_such_name"):
            _ = module.no_such_name


@pytest.mark.parametrize(
    ("cls", "old", "new"), [(Step, "changed", "with_images"), (RunContext, "titled", "title_of_section")]
)
def test_a_renamed_method_is_called(cls, old, new, monkeypatch):
    monkeypatch.setattr(cls, new, lambda self, argument: f"{new} {argument}")
    with pytest.warns(DeprecationWarning, match=f"{cls.__name__}.{old} is {cls.__name__}.{new} now"):
        assert getattr(cls, old)(object.__new__(cls), "x") == f"{new} x"

"""The house: which ring and which room may import which, what doors lend, and how large a module may be."""

import ast
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import rooms

ROOT = Path(__file__).parents[2]
COMMANDS = ("commands", "compare", "continual", "exchange", "pages", "studies", "tables", "terminal", "testing")
"""Folders of dcc_plugins whose modules are commands, or what commands work with: they may use the doors of the core."""
CORE = sorted((ROOT / "dcc_core").glob("**/*.py"))
KIT = sorted((ROOT / "dcc_core" / "testing").glob("*.py"))
PLUGINS = sorted((ROOT / "dcc_plugins").glob("**/*.py"))
DOORS = sorted(p.parent for p in (ROOT / "dcc_core").glob("*/__init__.pyi"))


def name(path):
    return str(path.relative_to(ROOT))


def from_imports(path):
    """The modules that a file imports names from."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom) and n.level == 0}


def lint(folder):
    """import-linter on the two packages in a folder."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    return subprocess.run([*command, "--no-cache"], cwd=folder, capture_output=True, text=True)


@pytest.fixture
def house(tmp_path):
    """A copy of both packages and of their contracts."""
    for package in ("dcc_core", "dcc_plugins"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_hold():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("dcc_core/compute/chunks.py", "from dcc_core.runs import execute", "In the core, arrows go down"),
        ("dcc_core/compute/chunks.py", "from dcc_plugins import losses", "The core imports no ring outside it"),
        ("dcc_core/runs/run.py", "from dcc_core.engine.step import Step", "engine is entered by its door"),
        ("dcc_core/engine/gradients.py", "from dcc_core.engine import step", "There is no circle"),
        ("dcc_plugins/tables/table.py", "from dcc_plugins.studies import study", "commands stand above the components"),
    ],
)
def test_an_import_that_goes_up_is_found(house, file, line, contract):
    with open(house / file, "a") as module:
        module.write(f"\n\ndef later():\n    {line}\n")
    done = lint(house)
    assert done.returncode == 1
    broken = [shown for shown in done.stdout.splitlines() if shown.endswith("BROKEN")]
    assert any(contract in shown for shown in broken), done.stdout


def test_a_type_only_import_counts(house):
    module = house / "dcc_core" / "data" / "batch.py"
    module.write_text(f"{module.read_text()}\n\nif TYPE_CHECKING:\n    from dcc_core.engine import Step\n")
    assert "In the core, arrows go down BROKEN" in lint(house).stdout


@pytest.mark.parametrize("folder", DOORS, ids=lambda p: p.name)
def test_a_door_lends_what_is_there(folder):
    """A lent name that is a module's too would be that module, once it has been imported."""
    door = importlib.import_module(f"dcc_core.{folder.name}")
    assert len(door.__doc__.strip()) > 40
    assert door.__all__
    assert not set(door.__all__) & {p.stem for p in folder.glob("*.py")}
    for lent in door.__all__:
        assert getattr(door, lent) is not None


def test_every_room_is_in_a_layer():
    there = {p.stem for p in (ROOT / "dcc_core").iterdir() if p.suffix in ("", ".py")}
    listed = {name for layer in rooms.layers() for name in layer.split(" | ")}
    assert there - {"__init__", "__main__", "__pycache__", "py"} - {"py.typed"} == listed


def test_the_page_shows_the_rooms():
    assert rooms.page() == rooms.PAGE.read_text(), "python tests/house/rooms.py writes the table"


@pytest.mark.parametrize("path", [p for p in PLUGINS if p.parent.name not in COMMANDS], ids=name)
def test_components_use_the_public_interface(path):
    assert {m for m in from_imports(path) if m.startswith("dcc_core")} <= {"dcc_core"}


@pytest.mark.parametrize("path", CORE + PLUGINS, ids=name)
def test_modules_and_functions_are_small(path):
    text = path.read_text()
    tree = ast.parse(text)
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert len(text.splitlines()) <= 300
    assert [f.name for f in functions if f.end_lineno - f.lineno >= 60] == []


@pytest.mark.parametrize("path", [p for p in CORE + PLUGINS if "testing" not in p.parts], ids=name)
def test_no_assertions_outside_tests(path):
    assert [n.lineno for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Assert)] == []


def test_the_core_stays_small():
    lines = {p: len(p.read_text().splitlines()) for p in CORE if p not in KIT}
    assert len(lines) > 70
    assert sum(lines.values()) <= 10_500
    assert sum(n for p, n in lines.items() if p.parent.name == "engine") < 2_000


def test_questions_of_newcomers_name_files_that_exist():
    section = rooms.PAGE.read_text().split("## Where is ...?")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and "`" in line]
    assert len(rows) >= 12
    for row in rows:
        for place in re.findall(r"`([^`]+)`", row.split("|")[2]):
            assert (ROOT / place).exists(), row

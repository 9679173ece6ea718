"""Which ring may import which."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OUTSIDE = {"dcc_plugins", "kornia", "timm", "torchvision", "sklearn"}


def imported(path):
    """Top-level packages that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]


CORE = sorted((ROOT / "dcc_core").glob("**/*.py"))
KIT = sorted((ROOT / "dcc_core" / "testing").glob("*.py"))
"""Tests for authors of plugins."""
PLUGINS = sorted((ROOT / "dcc_plugins").glob("**/*.py"))


def test_there_is_something_to_check():
    assert len(CORE) > 15
    assert len(PLUGINS) > 5


@pytest.mark.parametrize("path", CORE, ids=lambda p: p.name)
def test_the_core_imports_no_ring_outside_it(path):
    assert not set(imported(path)) & OUTSIDE


@pytest.mark.parametrize("path", [p for p in PLUGINS if p.name != "manifest.py"], ids=lambda p: p.name)
def test_the_built_in_plugins_use_the_public_interface(path):
    modules = [
        node.module
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dcc_core")
    ]
    assert set(modules) <= {"dcc_core"}


@pytest.mark.parametrize("path", CORE + PLUGINS, ids=lambda p: p.name)
def test_no_assertions_outside_tests_and_no_large_modules(path):
    tree = ast.parse(path.read_text())
    assert path in KIT or not [n for n in ast.walk(tree) if isinstance(n, ast.Assert)]
    assert len(path.read_text().splitlines()) <= 320

"""Contributed packages: installed by pip as a stranger would, found by their entry point, on the public interface."""

import ast
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dcc_plugins.manifest
from dcc_core import Registry
from dcc_core.cli import run
from dcc_core.config import resolve
from dcc_core.flags import RUN_FLAGS, add_flags
from dcc_core.registry import Origin
from dcc_core.settings import Settings

CONTRIB = Path(__file__).parent.parent / "plugins_contrib"
PACKAGES = sorted(p.parent.name for p in CONTRIB.glob("*/pyproject.toml"))
RUNS = {
    "dcc-dm": "--loss dm --aug dsa",
    "dcc-idc": "--param multi-formation --loss collective --aug dsa",
    "dcc-kip": "--loss kip --param soft-labels",
    "dcc-mixed": "--loss grouped -o loss.inner=mixed -o loss.inner.inner=collective --aug dsa",
    "dcc-mtt": "--loss mtt -o loss.experts=1 -o loss.expert_epochs=2 -o loss.latest_start=0",
}
"""A run with all components of each package, beside which only `SMALL` is said."""
SMALL = "--outer-loops 2 --protocol dc --eval-nets 1 -o arch.width=4 -o score.baseline=false --quiet --json"


def test_every_package_has_a_run():
    assert sorted(RUNS) == PACKAGES


@pytest.fixture(scope="module", params=PACKAGES)
def installed(request, tmp_path_factory):
    """A package's name, and the folder it was installed into."""
    place = tmp_path_factory.mktemp(request.param)
    source = shutil.copytree(CONTRIB / request.param, place / "source")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(place / "site"), str(source)]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return request.param, place / "site"


def dcc(site, *arguments):
    environment = os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(site / "cache")}
    command = [sys.executable, "-m", "dcc_core", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


def test_its_components_are_listed_and_run(installed, tmp_path):
    name, site = installed
    listed = json.loads(dcc(site, "plugins", "--json").stdout)
    assert listed["broken"] == []
    own = {row["name"] for row in listed["components"] if row["distribution"] == name}
    assert own
    assert own <= set(RUNS[name].replace("=", " ").split())
    done = dcc(site, "run", *shlex.split(RUNS[name]), *shlex.split(SMALL), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert (
        report["versions"][name] == tomllib.loads((CONTRIB / name / "pyproject.toml").read_text())["project"]["version"]
    )


@pytest.mark.parametrize("name", PACKAGES)
def test_it_imports_the_public_interface_alone(name):
    modules = sorted((CONTRIB / name).glob("*.py"))
    assert modules
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert [n for n in names if n.startswith(("dcc_core.", "dcc_plugins"))] == [], module


@pytest.mark.parametrize("name", PACKAGES)
def test_it_is_described(name):
    assert name in (CONTRIB / "README.md").read_text()
    assert (CONTRIB / name / "README.md").read_text().startswith(f"# {name}")


@pytest.mark.parametrize("name", PACKAGES)
def test_the_commands_of_its_readme_resolve(name, monkeypatch):
    monkeypatch.syspath_prepend(CONTRIB / name)
    (entry,) = tomllib.loads((CONTRIB / name / "pyproject.toml").read_text())["project"]["entry-points"]["dcc"].values()
    registry = Registry([dcc_plugins.manifest, importlib.import_module(entry)], [Origin("builtin"), Origin(name)])
    blocks = re.findall(r"```console\n(.*?)```", (CONTRIB / name / "README.md").read_text(), re.S)
    commands = [c for b in blocks for c in b.replace("\\\n", " ").splitlines() if c.startswith("dcc-run")]
    assert commands
    for command in commands:
        flags = run.make_context("dcc-run", shlex.split(command)[1:]).params
        assert resolve(registry, add_flags(Settings(), RUN_FLAGS, flags, flags["config_file"], flags["pairs"])).entries

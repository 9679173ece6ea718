"""Contributed packages: their wheels pass their own tests, on the public interface, as a stranger would have them."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRIB = ROOT / "plugins_contrib"
ADAPTERS = {"dcc-avalanche": "avalanche"}
"""Packages without components, for users of another library, and the module that this library is."""
PACKAGES = sorted({p.parent.name for p in CONTRIB.glob("*/pyproject.toml")} - ADAPTERS.keys())
RUNS = {
    "dcc-datadam": "--recipe datadam --outer-loops 20",
    "dcc-kip": "--loss kip --param soft-labels",
    "dcc-mixed": "--loss grouped -o loss.inner=mixed -o loss.inner.inner=collective --aug dsa",
    "dcc-ncfm": "--recipe ncfm --outer-loops 5 -o loss.networks=1 -o loss.epochs=1 -o loss.frequencies=64",
    "dcc-mtt": "--loss mtt -o loss.experts=1 -o loss.expert_epochs=2 -o loss.latest_start=0",
}
"""A run with all components of each package."""


def test_every_package_has_a_run():
    assert sorted(RUNS) == PACKAGES


def python(*arguments, **more):
    return subprocess.run([sys.executable, "-m", *map(str, arguments)], capture_output=True, text=True, **more)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PACKAGES, *ADAPTERS])
def test_its_wheel_passes_its_tests(name, tmp_path):
    """All in one Python, as starting one takes as long as the tests; the checkout is on its path for dcc itself."""
    if name in ADAPTERS:
        pytest.importorskip(ADAPTERS[name], reason=f"{name} is for {ADAPTERS[name]}, which is not installed")
    source, site, work = (tmp_path / part for part in ("source", "site", "work"))
    shutil.copytree(CONTRIB / name, source, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    built = python("pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", site, source, timeout=300)
    assert built.returncode == 0, built.stderr
    shutil.copytree(source / "tests", work)
    shutil.copy(source / "README.md", work)
    if name in RUNS:
        shutil.copy(ROOT / "tests" / "installed_package.py", work / "test_installed_package.py")
    shutil.rmtree(source)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]),
        "OMP_NUM_THREADS": "1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "DCC_PACKAGE": name,
        "DCC_SITE": str(site),
        "DCC_RUN": RUNS.get(name, ""),
    }
    options = ["-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml", "--rootdir", work]
    done = python("pytest", *options, work, cwd=work, env=environment, timeout=600)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("name", [*PACKAGES, *ADAPTERS])
def test_it_imports_the_public_interface_alone(name):
    """Its tests may have the kit beside."""
    files = sorted((CONTRIB / name).rglob("*.py"))
    assert {"tests"} < {file.parent.name for file in files}
    for file in files:
        nodes = list(ast.walk(ast.parse(file.read_text())))
        names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
        public = {"dcc_core", "dcc_core.testing"} if file.parent.name == "tests" else {"dcc_core"}
        assert {n for n in names if n.startswith(("dcc_core", "dcc_plugins"))} <= public, file
        assert file.parent.name == "tests" or len(file.read_text().splitlines()) <= 320


@pytest.mark.parametrize("name", [*PACKAGES, *ADAPTERS])
def test_it_is_described(name):
    assert name in (CONTRIB / "README.md").read_text()
    assert (CONTRIB / name / "README.md").read_text().startswith(f"# {name}")

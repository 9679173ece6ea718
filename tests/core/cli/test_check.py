"""`dcc plugins --check`: what is wrong with installed plugins, each fault named, and the exit code."""

import json
import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from dcc_core import Registry
from dcc_core.cli.app import cli
from dcc_core.plugins.registry import Origin
from dcc_core.testing.manifest_import import import_alone
from dcc_plugins.commands import plugin_checks

MANIFEST = """
from dcc_core import Component, hookimpl
@hookimpl
def dcc_losses():
    return [Component(name="{name}", target="{target}", summary="")]
"""
MODULES = {
    "heavy_manifest": "import sklearn\n" + MANIFEST.format(name="heavy", target="fine:Loss"),
    "slow_manifest": "import time; time.sleep(0.7)\n" + MANIFEST.format(name="slow", target="fine:Loss"),
    "gone_manifest": MANIFEST.format(name="gone", target="fine:Lost"),
    "part_manifest": MANIFEST.format(name="part", target="fine:Abstract"),
    "exits_manifest": MANIFEST.format(name="exits", target="exits:Loss"),
    "twin_manifest": MANIFEST.format(name="collective", target="fine:Loss"),
    "future_manifest": "DCC_API = 2\n" + MANIFEST.format(name="future", target="fine:Loss"),
    "good_manifest": "print('hello')\nDCC_API = 1\n" + MANIFEST.format(name="good", target="fine:Loss"),
}
CLASSES = """
from dataclasses import dataclass
from dcc_core import MatchingLoss
@dataclass(frozen=True, kw_only=True)
class Abstract(MatchingLoss):
    pass
@dataclass(frozen=True, kw_only=True)
class Loss(MatchingLoss):
    def terms(self, step, state):
        yield from ()
"""
FAULTS = {
    "builtin": ["loss 'collective' is claimed by twin (dcc-twin 0.2) too"],
    "exits": ["loss 'exits' of plugin exits (dcc-exits 0.2) ends Python when it is imported"],
    "future": ["not loaded: it is built for API 2 of dcc, and this dcc has API 1"],
    "gone": [
        "loss 'gone' of plugin gone (dcc-gone 0.2) does not load from 'fine:Lost': "
        "AttributeError: module 'fine' has no attribute 'Lost'"
    ],
    "good": [],
    "heavy": ["its manifest imports sklearn"],
    "part": ["loss 'part' of plugin part (dcc-part 0.2) is abstract: it does not define terms"],
    "slow": ["its manifest takes N s to import, more than 0.5 s"],
    "twin": ["loss 'collective' is claimed by builtin (dataset-condensation 0.1.0) too"],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder of installed packages, one fault in each but one."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "fine.py").write_text(CLASSES)
    (folder / "exits.py").write_text("raise SystemExit\n")
    for module, code in MODULES.items():
        name = module.removesuffix("_manifest")
        (folder / f"{module}.py").write_text(code)
        info = folder / f"dcc_{name}-0.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dcc-{name}\nVersion: 0.2\n")
        (info / "entry_points.txt").write_text(f"[dcc]\n{name} = {module}\n")
    return folder


@pytest.fixture(scope="module")
def done(site):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])}
    command = [sys.executable, "-m", "dcc_core", "plugins", "--check", "--json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, cwd=site)


def test_every_fault_is_named(done):
    """Other plugins may be installed beside these."""
    found = [row for row in json.loads(done.stdout.splitlines()[-1])["plugins"] if row["provider"] in FAULTS]
    assert {row["provider"]: [re.sub(r"takes \S+", "takes N", f) for f in row["faults"]] for row in found} == FAULTS
    assert {row["provider"]: row["components"] for row in found}["good"] == 1
    assert all((row["seconds"] is None) == (row["provider"] == "future") for row in found)


def test_faults_are_exit_code_1(done):
    assert done.returncode == 1
    checked = json.loads(done.stdout.splitlines()[-1])["plugins"]
    faults, faulty = sum(len(row["faults"]) for row in checked), sum(bool(row["faults"]) for row in checked)
    assert faults >= 8
    assert f"Error: {faults} wrong with {faulty} of {len(checked)} plugins" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_clean_installation_is_exit_code_0(monkeypatch):
    import dcc_plugins.manifest

    registry = Registry([dcc_plugins.manifest], [Origin("builtin", "dcc", "0.1")])
    monkeypatch.setattr(Registry, "installed", lambda: registry)
    monkeypatch.setattr(plugin_checks, "_fault_of", lambda row: "")
    result = CliRunner().invoke(cli, ["plugins", "--check"])
    assert result.exit_code == 0, result.stderr
    assert "builtin" in result.stdout
    assert "good" in result.stdout
    result = CliRunner().invoke(cli, ["plugins", "--check", "--kind", "loss"])
    assert result.exit_code == 2
    assert "leave out --kind and --match" in result.stderr


def test_a_manifest_that_does_not_import_says_why():
    assert import_alone("no_such_module").faults() == [
        "its manifest does not import on its own: ModuleNotFoundError: No module named 'no_such_module'"
    ]

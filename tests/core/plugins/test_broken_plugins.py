"""Installed packages with faults: each is named in one warning and fatal only where it is asked for."""

import json
import os
import subprocess
import sys

import pytest

MODULES = {
    "swd": "import ot_that_is_not_there\n",
    "acme": """
from dcc_core import Component, hookimpl
@hookimpl
def dcc_losses():
    return [Component(name="collective", target="acme_loss:Mine", summary="taken"),
            Component(name="acme-own", target="acme_loss:Mine", summary="own")]
""",
    "typo": """
from dcc_core import Component, hookimpl
@hookimpl
def dcc_lossess():
    return [Component(name="lost", target="typo:Lost", summary="never seen")]
""",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder of installed packages, one fault in each."""
    folder = tmp_path_factory.mktemp("site")
    for name, code in MODULES.items():
        (folder / f"{name}_manifest.py").write_text(code)
        info = folder / f"dcc_{name}-0.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dcc-{name}\nVersion: 0.2\n")
        (info / "entry_points.txt").write_text(f"[dcc]\n{name} = {name}_manifest\n")
    return folder


def dcc(site, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "dcc_core", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, cwd=site)


def test_each_fault_is_one_warning_and_listed(site):
    done = dcc(site, "plugins", "--json")
    assert done.returncode == 0
    assert sorted(done.stderr.splitlines()) == [
        "Warning: plugin acme (dcc-acme 0.2) claims the loss 'collective', which builtin "
        "(dataset-condensation 0.1.0) has too; "
        "write 'builtin:collective' or 'acme:collective'",
        "Warning: plugin swd (dcc-swd 0.2) not loaded: ModuleNotFoundError: No module named 'ot_that_is_not_there'",
        "Warning: plugin typo (dcc-typo 0.2) not loaded: unknown hook 'dcc_lossess'. Did you mean 'dcc_losses'?",
    ]
    listed = json.loads(done.stdout)
    assert {b["provider"]: b["distribution"] for b in listed["broken"]} == {"swd": "dcc-swd", "typo": "dcc-typo"}
    conflicts = {(r["provider"], r["name"]) for r in listed["components"] if r["conflict"]}
    assert conflicts == {("builtin", "collective"), ("acme", "collective")}
    table = dcc(site, "plugins").stdout
    for word in ("acme:collective", "builtin:collective", "acme-own", "not loaded", "typo"):
        assert word in table


def test_what_was_not_asked_for_is_not_fatal(site):
    assert dcc(site, "show", "loss", "class-wise").returncode == 0
    assert dcc(site, "show", "loss", "builtin:collective").returncode == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "collective",
            "Error: loss 'collective' is claimed by 2 plugins: write 'builtin:collective' or 'acme:collective'",
        ),
        ("swd", "  not loaded: swd (dcc-swd 0.2): ModuleNotFoundError: No module named 'ot_that_is_not_there'"),
        ("acme-own", "Error: loss 'acme-own' of plugin acme (dcc-acme 0.2) does not load from 'acme_loss:Mine'"),
    ],
)
def test_what_was_asked_for_is_fatal(site, name, message):
    done = dcc(site, "run", "--loss", name)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr

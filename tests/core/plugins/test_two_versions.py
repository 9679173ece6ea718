"""A plugin's package in two versions, and two packages whose plugins have one name: which is used, and what to do."""

import json
import os
import re
import subprocess
import sys

import pytest

MANIFEST = """
from dcc_core import Component, hookimpl
@hookimpl
def dcc_losses():
    return [Component(name="{name}", target="dcc_plugins.losses:ClassWise", summary="of {version}")]
"""


@pytest.fixture
def install(tmp_path):
    """Writes a package into a folder, `install("a", "dcc-twice", "0.1.0")`; returns the folder."""

    def put(folder, package, version, info="dist-info", provider="twice"):
        place = tmp_path / folder
        module = package.replace("-", "_")
        metadata = place / f"{module}-{version}.{info}"
        metadata.mkdir(parents=True)
        (place / f"{module}_manifest.py").write_text(MANIFEST.format(name=module, version=version))
        file = "METADATA" if info == "dist-info" else "PKG-INFO"
        (metadata / file).write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        (metadata / "entry_points.txt").write_text(f"[dcc]\n{provider} = {module}_manifest\n")
        return place

    return put


def dcc(folders, *arguments):
    """A command with these folders before all others on the path."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [*folders, *sys.path]))}
    command = [sys.executable, "-m", "dcc_core", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, cwd=folders[0])


@pytest.mark.parametrize("turned", [False, True])
def test_the_version_that_is_found_first_is_used_and_the_other_named(install, turned):
    installed = [("0.1.0", install("a", "dcc-twice", "0.1.0")), ("0.2.0", install("b", "dcc-twice", "0.2.0"))]
    (used, here), (hidden, there) = installed[::-1] if turned else installed
    reason = (
        f"dcc-twice {used} in '{here}' is used, as it is found before this one in '{there}'; "
        "remove one of them (pip uninstall dcc-twice)"
    )
    done = dcc([here, there], "plugins", "--kind", "loss", "--json")
    assert (done.returncode, done.stderr) == (0, f"Warning: plugin twice (dcc-twice {hidden}) not loaded: {reason}\n")
    listed = json.loads(done.stdout)
    found = [(r["version"], r["summary"]) for r in listed["components"] if r["provider"] == "twice"]
    assert found == [(used, f"of {used}")]
    assert [(b["distribution"], b["version"]) for b in listed["broken"]] == [("dcc-twice", hidden)]


def test_two_versions_fail_the_check(install):
    here, there = install("a", "dcc-twice", "0.1.0"), install("b", "dcc-twice", "0.2.0")
    checked = dcc([here, there], "plugins", "--check")
    assert checked.returncode == 1
    assert f"twice (dcc-twice 0.2.0): not loaded: dcc-twice 0.1.0 in '{here}' is used" in checked.stdout
    assert re.search(r"Error: 1 wrong with 1 of \d+ plugins", checked.stderr)


def test_of_two_versions_in_one_folder_it_cannot_be_told_which_is_there(install):
    """As two calls of `pip install --target` leave them."""
    install("a", "dcc-twice", "0.1.0")
    done = dcc([install("a", "dcc-twice", "0.2.0")], "plugins", "--json")
    assert "is installed in the same folder" in done.stderr
    assert "whose modules lie there cannot be told" in done.stderr
    assert all(f"dcc-twice {version}" in done.stderr for version in ("0.1.0", "0.2.0"))


def test_the_same_version_again_says_nothing(install):
    """A checkout's own metadata beside those of its editable install."""
    folders = [install("a", "dcc-twice", "0.1.0", info="egg-info"), install("b", "dcc-twice", "0.1.0")]
    assert dcc(folders, "plugins", "--json").stderr == ""


def test_two_packages_with_a_plugin_of_one_name_are_both_named(install):
    folders = [install("a", "dcc-twice", "0.1.0"), install("b", "dcc-moments", "3.0")]
    message = (
        "plugin twice (dcc-moments 3.0) not loaded: another plugin is called 'twice' already: twice (dcc-twice 0.1.0); "
        "uninstall one of them (pip uninstall dcc-moments)"
    )
    assert dcc(folders, "plugins", "--json").stderr == f"Warning: {message}\n"

"""What holds of every contributed package; `tests/test_contrib.py` runs this beside the package's own tests.

In the environment: its name (`DCC_PACKAGE`), the folder that it is installed in (`DCC_SITE`), and a run with all of its
components (`DCC_RUN`). The working directory holds its README.
"""

import functools
import importlib
import json
import os
import re
import shlex
from importlib import metadata
from pathlib import Path

from click.testing import CliRunner

from dcc_core import Registry
from dcc_core.cli.app import cli
from dcc_core.cli.flags import add_flags
from dcc_core.config.settings import Settings
from dcc_core.jobs.configuration import resolve
from dcc_core.testing import Conformance, in_processes, job_of, learned
from dcc_core.testing.base import TINY
from dcc_plugins.commands.run import RUN_FLAGS, run

NAME, SITE, RUN = os.environ["DCC_PACKAGE"], Path(os.environ["DCC_SITE"]), shlex.split(os.environ["DCC_RUN"])
SMALL = "--outer-loops 2 --protocol dc --eval-nets 1 -o arch.width=4 -o score.baseline=false --quiet --json"


def components():
    """Of this package, as kind and name."""
    listed = json.loads(CliRunner().invoke(cli, ["plugins", "--json"]).stdout)
    assert listed["broken"] == []
    return {(row["kind"], row["name"]) for row in listed["components"] if row["distribution"] == NAME}


def test_what_is_tested_is_what_was_installed():
    """Its modules, which its own tests have imported by now, and nothing else: no tests."""
    installed = {file.parts[0] for file in metadata.files(NAME)} - {"__pycache__"}
    modules = {name.removesuffix(".py") for name in installed if name.endswith(".py")}
    folders = {name for name in installed if not name.endswith((".py", ".dist-info"))}
    packages = {file.parts[0] for file in metadata.files(NAME) if file.parts[1:] == ("__init__.py",)}
    assert folders == packages - {"tests"}
    assert len(modules) >= 2
    assert {Path(importlib.import_module(name).__file__).parent for name in modules} == {SITE}


def test_a_run_has_all_of_its_components(tmp_path):
    own = components()
    assert own
    assert {name for _, name in own} <= set(os.environ["DCC_RUN"].replace("=", " ").split())
    done = CliRunner().invoke(run, [*RUN, *shlex.split(SMALL), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["versions"][NAME] == metadata.version(NAME)


def test_every_component_keeps_the_rules_of_its_kind():
    """Its own tests have a class of the conformance kit for each."""
    kits = [kit for kind in Conformance.__subclasses__() for kit in kind.__subclasses__()]
    assert components() <= {(kit.kind, kit.component) for kit in kits}


def test_the_commands_of_its_readme_resolve():
    blocks = re.findall(r"```console\n(.*?)```", Path("README.md").read_text(), re.S)
    commands = [c for b in blocks for c in b.replace("\\\n", " ").splitlines() if c.startswith("dcc-run")]
    assert commands
    for command in commands:
        flags = run.make_context("dcc-run", shlex.split(command)[1:]).params
        settings = add_flags(Settings(), RUN_FLAGS, flags, flags["config_file"], flags["pairs"])
        assert resolve(Registry.installed(), settings).entries


def test_a_run_on_several_processes_is_that_of_one():
    """20 steps with network training and DSA, in float64; with the digits' three classes, some of five have none."""
    flags = run.make_context("dcc-run", RUN).params
    settings = add_flags(Settings(), RUN_FLAGS, flags, flags["config_file"], flags["pairs"])
    own = {key: setting.value for key, setting in settings.values.items()}
    job = functools.partial(job_of, {**TINY, "run.ipc": 1, "run.inner_loops": 5, "aug": "dsa", **own})
    alone = learned(job())
    for size in (2, 3, 5):
        for shared in in_processes(size, lambda group: learned(job(group=group))):
            for name, values in alone.items():
                assert abs(shared[name] - values).max() < 1e-12 * max(1, abs(values).max())

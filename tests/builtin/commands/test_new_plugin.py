"""`dcc new-plugin`: what it writes is a plugin that works as it stands."""

import os
import re
import shlex
import subprocess
import sys
import tomllib

import pytest
from click.testing import CliRunner

from dcc_core.cli.app import cli
from dcc_plugins.commands.scaffold import USES

SMALL = "--outer-loops 2 --inner-loops 1 --network-steps 1 --eval-nets 1 --protocol dc -o score.baseline=false --quiet"


def new_plugin(*arguments):
    return CliRunner().invoke(cli, ["new-plugin", *arguments])


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A generated package of every kind, found as if it were installed: the folders, and an environment."""
    place = tmp_path_factory.mktemp("packages")
    folders = {}
    for kind in USES:
        result = new_plugin(f"my-{kind}", "--kind", kind, "--in", str(place))
        assert result.exit_code == 0, result.stderr
        folders[kind] = place / f"dcc-my-{kind}"
        project = tomllib.loads((folders[kind] / "pyproject.toml").read_text())["project"]
        info = folders[kind] / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1.0\n")
        (entry,) = project["entry-points"]["dcc"].items()
        (info / "entry_points.txt").write_text(f"[dcc]\n{entry[0]} = {entry[1]}\n")
    path = os.pathsep.join(map(str, [*folders.values(), os.getcwd()]))
    return folders, os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def python(environment, *arguments):
    return subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=600, env=environment
    )


def test_all_that_is_written_works_together(packages, tmp_path):
    """One run of the five kinds that a run has, and a selection to begin from."""
    _, environment = packages
    own = "--loss my-loss --aug my-augmentation --arch my-architecture --data my-data --param my-parametrisation"
    words = [
        *shlex.split(own),
        "--init",
        "my-selection",
        "--log",
        "my-observer",
        *shlex.split(SMALL),
        "--out",
        str(tmp_path / "out"),
    ]
    done = python(environment, "dcc_core", "run", *words)
    assert done.returncode == 0, done.stderr
    assert "my-loss+my-augmentation" in done.stdout
    config = tomllib.loads((tmp_path / "out" / "config.toml").read_text())
    named = {key: config[key]["name"] for key in ("loss", "aug", "arch", "data", "param")}
    assert named == {
        "loss": "my-loss",
        "aug": "my-augmentation",
        "arch": "my-architecture",
        "data": "my-data",
        "param": "my-parametrisation",
    }
    assert config["selection"]["name"] == "my-selection"
    lines = (tmp_path / "out" / "my-observer.txt").read_text().splitlines()
    assert lines[0].startswith("set 0, step 0.0: loss") and lines[-1].startswith("set")


@pytest.mark.parametrize("given", ["mine", "dcc-mine", "dcc_mine"])
@pytest.mark.parametrize("kind", ["loss", "command", "recipe"])
def test_the_prefix_of_a_name_is_optional(tmp_path, given, kind):
    result = new_plugin(given, "--kind", kind, "--in", str(tmp_path))
    assert result.exit_code == 0, result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["dcc-mine"]
    project = tomllib.loads((tmp_path / "dcc-mine" / "pyproject.toml").read_text())["project"]
    assert project["name"] == "dcc-mine"
    assert project["entry-points"]["dcc"] == {"mine": "dcc_mine_manifest"}
    assert project["dependencies"] == ["dataset-condensation"]
    assert 'name="mine"' in (tmp_path / "dcc-mine" / "dcc_mine_manifest.py").read_text()


def test_a_command_that_is_written_is_run(packages, tmp_path):
    assert "command" in packages[0]
    done = python(packages[1], "dcc_core", "my-command", str(tmp_path))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.slow
def test_a_table_that_is_written_is_run(packages, tmp_path):
    done = python(packages[1], "dcc_core", "table", "my-table", "--scale", "tiny", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "my-table" in done.stdout and "dsac" in done.stdout


@pytest.mark.slow
def test_what_is_written_passes_its_own_tests(packages, tmp_path):
    folders, environment = packages
    done = python(
        environment, "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), *map(str, folders.values())
    )
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 4 * len(folders)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--kind", "command"], "Error: command 'run' already exists, in the core; choose another name"),
        (["collective", "--kind", "loss"], "Error: loss 'collective' already exists, in builtin (dataset-condensation"),
        (["My Loss", "--kind", "loss"], "Error: 'My Loss' cannot name a component: use lower-case letters"),
        (["dcc_", "--kind", "loss"], "Error: 'dcc_' cannot name a component"),
        (["dcc_Mine", "--kind", "loss"], "Error: 'dcc_Mine' cannot name a component"),
        (["dcc-collective", "--kind", "loss"], "Error: loss 'collective' already exists"),
        (["x", "--kind", "lss"], "Error: no kind of component named 'lss'. Did you mean 'loss'?"),
    ],
)
def test_bad_input_is_one_message_and_nothing_is_written(tmp_path, arguments, message):
    result = new_plugin(*arguments, "--in", str(tmp_path))
    assert result.exit_code == 2
    assert message in result.stderr
    assert not any(tmp_path.iterdir())


def test_what_is_there_stays(tmp_path):
    (tmp_path / "dcc-mine").mkdir()
    result = new_plugin("mine", "--kind", "loss", "--in", str(tmp_path))
    assert result.exit_code == 2
    assert "already exists; remove it, or choose another name" in result.stderr
    assert not any((tmp_path / "dcc-mine").iterdir())

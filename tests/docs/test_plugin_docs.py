"""docs/plugins.md: every hook with its signature and an example that works. Run this file to write the rules."""

import inspect
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from dcc_core import condense, testing
from dcc_core.cli.app import cli
from dcc_core.plugins import hookspecs
from dcc_plugins import testing as builtin_testing
from dcc_plugins.commands.run import run

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"
HOOKS = [name for name in vars(hookspecs) if name.startswith("dcc_")]
NAMED = {name: getattr(module, name) for module in (testing, builtin_testing) for name in module.__all__}
KITS = [kit for name, kit in NAMED.items() if name.endswith("Conformance") and name != "Conformance"]


SERVICE = """
told = []
def init(**about):
    told.append(about["project"])
    return __import__(__name__)
def log(values):
    told.extend(values)
def finish(exit_code):
    told.append(exit_code)
"""
"""A stand-in for the tracking service of the observer's example."""


def rules(kit):
    """The tests of a kind, each a rule, with what it prevents: the test's own docstring."""
    rows = []
    for name, method in inspect.getmembers(kit, inspect.isfunction):
        if name.startswith("test_") and name in vars(kit):
            words = name.removeprefix("test_").replace("_", " ")
            rows.append(
                (inspect.getsourcelines(method)[1], f"| {words} | {' '.join(inspect.getdoc(method).split())} |")
            )
    return "\n".join(["| rule | why |", "|---|---|", *(row for _, row in sorted(rows))])


def with_rules(text):
    for kit in KITS:
        begin, end = f"<!-- begin: rules of {kit.kind} -->\n", f"<!-- end: rules of {kit.kind} -->"
        head, rest = text.split(begin)
        text = f"{head}{begin}{rules(kit)}\n{end}{rest.split(end)[1]}"
    return text


def test_every_rule_is_listed():
    assert PAGE.read_text() == with_rules(PAGE.read_text()), "run: python tests/docs/test_plugin_docs.py"


def test_every_hook_stands_there_with_its_signature():
    headings = re.findall(r"^### `(.*)`$", PAGE.read_text(), re.M)
    written = [f"{name}{inspect.signature(vars(hookspecs)[name])}".replace("'", "") for name in HOOKS]
    assert headings == written


def files():
    """The examples, by the file that their first line names."""
    found = defaultdict(list)
    for block in re.findall(r"```(?:python|toml)\n(.*?)```", PAGE.read_text(), re.S):
        first, _, text = block.partition("\n")
        if first.startswith("# "):
            found[first[2:]].append(text)
    return {name: "\n\n".join(blocks) for name, blocks in found.items()}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The page's package, installed in a folder."""
    folder = tmp_path_factory.mktemp("example")
    for name, text in files().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "dcc_example_files" / "__init__.py").touch()
    (folder / "wandb.py").write_text(SERVICE)
    (project,) = [b for b in re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.S) if "dcc_example_manifest" in b]
    ((name, module),) = tomllib.loads(project)["project"]["entry-points"]["dcc"].items()
    info = folder / "dcc_example-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dcc-example\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[dcc]\n{name} = {module}\n")
    return folder


def test_the_examples_keep_the_rules(package):
    """By the page's own test file, in a Python of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_dcc_example.py"]
    environment = {"PYTHONPATH": ":".join([str(package), *sys.path]), "OMP_NUM_THREADS": "1", "PATH": ""}
    done = subprocess.run(command, cwd=package, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stdout[-3000:]
    text = (package / "test_dcc_example.py").read_text()
    kits = [NAMED[name] for name in re.findall(r"^class Test\w+\((\w+)\)", text, re.M)]
    assert set(kits) == set(KITS)
    tests = sum(name.startswith("test_") for kit in kits for name in dir(kit))
    tests += len(re.findall("^def test_", text, re.M))
    (passed, skipped) = re.search(r"(\d+) passed, (\d+) skipped", done.stdout).groups()
    assert (int(passed) + int(skipped), skipped) == (tests, "2")


def test_the_examples_condense_together(package, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(package)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    words = "--recipe quick --data stripes:4 --aug brightness --arch linear --param dim --init darkest --protocol dc"
    logged = ["--log", "weights-and-biases,project=mine"]
    result = CliRunner().invoke(run, [*words.split(), *logged, "--quiet", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.stderr
    assert "feature-mean+brightness" in result.stdout
    import dcc_example_manifest

    started, *losses, condensed, random, method = dcc_example_manifest.seen
    assert (started, condensed, random, method) == (4, "condensed", "random", "feature-mean+brightness")
    assert len(losses) == 2 and dcc_example_manifest.planned[0] > 0
    import wandb

    scores = ["accuracy/condensed/linear", "accuracy/random/linear"]
    assert wandb.told == ["mine", "loss/set 0", "loss/set 0", *scores, 0]
    studied = CliRunner().invoke(cli, ["study", "brighter", "--quiet", "--out", str(tmp_path / "brighter")])
    assert studied.exit_code == 0, studied.stderr
    assert (tmp_path / "brighter" / "brighter.svg").exists()
    set_file = str(tmp_path / "out" / "set.safetensors")
    scored = subprocess.run(
        [sys.executable, "-m", "dcc_core", "scores", set_file],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join([str(package), *sys.path]), "PATH": ""},
    )
    assert re.fullmatch(rf"{set_file}: \d+\.\d %\n", scored.stdout), scored.stderr
    assert "  scores " in CliRunner().invoke(cli, ["--help"]).stdout
    listed = CliRunner().invoke(cli, ["plugins"]).stdout
    assert all(name in listed for name in ("quick", "mine", "stripes:CLASSES"))


def test_a_list_of_pictures_stands_for_data(package, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(package)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    for name in ("ant/1.png", "ant/2.png", "bee/1.png", "bee/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8), len(name)).save(tmp_path / name)
    pictures = [Image.open(file) for file in sorted(tmp_path.glob("*/*.png"))]
    quick = {"ipc": 1, "outer_loops": 1, "inner_loops": 1, "arch": "linear"}
    made = condense(data=pictures, loss=lambda step: step.synthetic.batch(0, 1).images.square().mean(), **quick)
    assert made.class_names == ("ant", "bee")
    assert made.provenance.config["data"] == "python:pictures-4"


if __name__ == "__main__":
    PAGE.write_text(with_rules(PAGE.read_text()))

"""The README says what is so: its generated blocks, its commands and its code. Run this file to write the blocks."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from dcc_core import Registry, hookspecs
from dcc_core.cli import cli, run
from dcc_core.component import KINDS
from dcc_core.registry import Origin

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def plugin_table():
    import dcc_plugins.manifest

    registry = Registry([dcc_plugins.manifest], [Origin("builtin")])
    rows = [f"| {r.kind.name} | `{r.component.name}` | {r.component.summary} |" for r in registry.components()]
    return "\n".join(["| kind | name | |", "|---|---|---|", *rows])


def help_text():
    text = CliRunner().invoke(run, ["--help"], prog_name="dcc-run", terminal_width=100).stdout
    return f"```\n{text}```"


BLOCKS = {"dcc plugins": plugin_table, "dcc-run --help": help_text}


def with_blocks(text):
    for name, make in BLOCKS.items():
        begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->"
        head, rest = text.split(begin)
        text = f"{head}{begin}{make()}\n{end}{rest.split(end)[1]}"
    return text


def test_generated_blocks_are_current():
    assert README.read_text() == with_blocks(README.read_text()), "run: python tests/test_docs.py"


def code_blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.S)


def test_ci_runs_the_readmes_test_command():
    (command,) = [block.strip() for block in code_blocks("console") if "pytest" in block]
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


@pytest.mark.parametrize(
    "command", [c for b in code_blocks("console") for c in b.splitlines() if c.startswith("dcc-run")]
)
def test_the_readmes_runs_resolve(command, tmp_path):
    """Every option of the shown commands is right: the only complaint is the ipc that this test adds."""
    if "digits" not in command and "--data " in command:
        pytest.skip("needs its data; test_real_data.py runs the sources")
    words = command.split()[1:]
    result = CliRunner().invoke(run, [*words, "-o", "run.ipc=1000", "--ipc", "1000", "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "1000 images per class, but class '8' of data 'digits' has 131" in result.stderr


def test_the_readmes_plugin_works(tmp_path, monkeypatch):
    """The three files of the README, as they stand, condense."""
    (project,) = [b for b in code_blocks("toml") if "[project]" in b]
    manifest, loss = (b for b in code_blocks("python") if "feature" in b.lower())
    (entry,) = tomllib.loads(project)["project"]["entry-points"]["dcc"].values()
    for name, text in ((entry, manifest), ("dcc_feature_mean", loss)):
        (tmp_path / f"{name}.py").write_text(text)
    info = tmp_path / "dcc_feature_mean-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dcc-feature-mean\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[dcc]\nfeature-mean = {entry}\n")
    monkeypatch.syspath_prepend(tmp_path)
    out = tmp_path / "out"
    words = shlex.split("--loss feature-mean --aug dsa -o loss.weight=0.5 --outer-loops 2 --protocol dc --eval-nets 1")
    result = CliRunner().invoke(run, [*words, "-o", "arch.width=4", "--out", str(out), "--quiet"])
    assert result.exit_code == 0, result.stderr
    assert "feature-mean+dsa" in result.stdout
    assert (out / "set.safetensors").exists()
    assert "feature-mean" in CliRunner().invoke(cli, ["plugins"]).stdout


def test_the_readmes_python_runs(tmp_path, monkeypatch, capsys):
    (code,) = [b for b in code_blocks("python") if "condense(" in b]
    small = code.replace(
        'options={"loss.distance": "layerwise"}', 'outer_loops=1, inner_loops=1, options={"arch.width": 4}'
    )
    small = small.replace("nets=3", "nets=1, protocol='dc'")
    assert small.count("1, protocol") == 1
    monkeypatch.chdir(tmp_path)
    exec(compile(small, "README.md", "exec"), {})
    assert "torch.Size([10, 1, 8, 8])" in capsys.readouterr().out


def test_every_hook_is_documented():
    hooks = [name for name in vars(hookspecs) if name.startswith("dcc_")]
    assert {k.hook for k in KINDS} < set(hooks)
    text = README.read_text()
    assert [name for name in hooks if f"`{name}`" not in text] == []
    assert [name for name in hooks if not vars(hookspecs)[name].__doc__] == []


def test_files_that_the_readme_names_exist():
    named = re.findall(r"\]\(((?!http)[^)]+)\)|`((?:tests|docs)/[^`]+)`", README.read_text())
    paths = [a or b for a, b in named]
    assert "docs/digits.png" in paths
    assert [p for p in paths if not (ROOT / p).exists()] == []


def test_the_architecture_names_every_room_of_the_core():
    text = (ROOT / "docs" / "architecture.md").read_text()
    rooms = {p.stem for p in (ROOT / "dcc_core").glob("*.py")} - {"__init__", "__main__"}
    assert [room for room in sorted(rooms) if f"`{room}`" not in text] == []


if __name__ == "__main__":
    README.write_text(with_blocks(README.read_text()))

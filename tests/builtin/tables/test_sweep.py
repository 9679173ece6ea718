"""Sweeps: the file that describes one, and what becomes of it."""

import json

import pytest
from click.testing import CliRunner

from dcc_core import DccError
from dcc_core.cli.app import cli
from dcc_plugins.tables.table import read_sweep
from dcc_plugins.tables.workers import Resources


@pytest.fixture
def described(tmp_path):
    """The sweep of a file with this text, `mine.toml`."""

    def read(text):
        (tmp_path / "mine.toml").write_text(text)
        return read_sweep(tmp_path / "mine.toml")

    return read


def test_lists_of_values_are_enough(described):
    spec = described("""
        [options]
        data = "digits"
        [axes]
        loss = ["class-wise", "collective"]
        run.ipc = [1, 10]
        "run.image_rate" = [0.1]
        "score.baseline" = [true, false]
        arch = ["timm/resnet18"]
    """)
    cells = {cell.name: cell for cell in spec.cells(spec.usual)}
    assert len(cells) == 8
    cell = cells["collective/ipc=10/image_rate=0.1/baseline=false/timm-resnet18"]
    settings = cell.settings(spec.origin(spec.usual)).values
    assert {key: setting.value for key, setting in settings.items()} == {
        "data": "digits",
        "loss": "collective",
        "run.ipc": 10,
        "run.image_rate": 0.1,
        "score.baseline": False,
        "arch": "timm/resnet18",
    }
    assert settings["loss"].origin == f"sweep {spec.source}"
    assert (spec.name, spec.file.title, spec.file.columns, spec.usual) == ("mine", "mine", "arch", "")


def test_one_axis_has_its_values_in_rows(described):
    assert described("[axes]\nrun.ipc = [1, 10]").file.columns == "network"


def test_all_that_a_table_has_a_sweep_may_have(described):
    spec = described("""
        title = "Mine"
        columns = "method"
        resources = { cpus = 2, gpus = 0.5 }
        without = ["dm/ipc=10"]
        [axes]
        "run.ipc" = [1, 10]
        [axes.method]
        dm = { loss = "means" }
        idc = { loss = "class-wise", "score.arch" = ["convnet", "lenet"] }
        [scales.large]
        [scales.small]
        options = { "run.sets" = 1 }
    """)
    assert (spec.usual, spec.file.columns, spec.file.title) == ("small", "method", "Mine")
    assert spec.file.resources == Resources(cpus=2, gpus=0.5)
    assert [cell.name for cell in spec.cells("small")] == ["ipc=1/dm", "ipc=1/idc", "ipc=10/dm", "ipc=10/idc"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("axes =", "is not TOML: "),
        ("", "is wrong: axes: Field required"),
        ("axes = 3", "is wrong: axes: Input should be a valid dictionary"),
        ("[axes]\nloss = 'dm'", "is wrong: axes.loss: Input should be a valid dictionary"),
        ("[axes]\nloss = []", ": loss: there is nothing in it"),
        ("[axes]", ": axes: there is nothing in it"),
        ("[axes]\nloss = ['dm', 'dm']", ": loss: 'dm' stands there twice"),
        ("[axes]\narch = ['timm/a', 'timm-a']", ": arch: 'timm-a' stands there twice"),
        ("[axes]\nloss = ['..']", ": loss: '..' cannot name a folder"),
        ("[axes.loss]\n'../x' = {}", ": loss: '../x' cannot name a folder"),
        ("[axes]\nloss = [['dm']]", ": loss: ['dm'] is no word and no number"),
        ("[axes]\nloss = ['dm']\n[options]\n[axis]", "is wrong: axis: Unexpected keyword argument"),
        ("resources = { cpus = 0 }\n[axes]\nloss = ['dm']", "is wrong: resources.cpus: Input should be greater than"),
        ("columns = 'x'\n[axes]\nloss = ['dm']", ": columns 'x' is no axis; one of: loss, network"),
    ],
)
def test_a_file_that_is_wrong_is_refused(described, tmp_path, text, message):
    with pytest.raises(DccError) as refused:
        described(text)
    assert str(refused.value).startswith(f"sweep '{tmp_path / 'mine.toml'}'")
    assert message in str(refused.value)


TINY = """
[options]
data = "digits"
"arch.width" = 8
"run.sets" = 1
"score.nets" = 1
"score.baseline" = false
[axes]
selection = ["random", "herding"]
"""


def dcc_sweep(*words):
    return CliRunner().invoke(cli, ["sweep", *words])


def test_results_are_named_after_the_file_and_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(TINY)
    first = dcc_sweep("mine.toml", "--cells", "random", "--json", "--quiet")
    assert first.exit_code == 0, first.stderr
    whole = dcc_sweep("mine.toml", "--data-root", "elsewhere")
    assert whole.exit_code == 0, whole.stderr
    assert "cell 1/1: herding" in whole.stderr
    assert "cell herding is done; 0 to go" in whole.stderr
    assert whole.stdout.splitlines()[-1] == "results in sweeps/mine"
    assert "paper" not in whole.stdout
    table = json.loads((tmp_path / "sweeps" / "mine" / "table.json").read_text())
    assert [row["cell"] for row in table["rows"]] == ["random", "herding"]
    assert table["rows"][0] == json.loads(first.stdout.splitlines()[-1])["rows"][0]
    text = (tmp_path / "sweeps" / "mine" / "table.md").read_text()
    assert text.startswith("# mine\n\nAccuracy in percent ± std over all networks; time of the whole cell.\n\n| ")
    assert "| selection | convnet |" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing.toml"], "Error: sweep 'missing.toml' cannot be read: "),
        (["."], "Error: sweep '.' cannot be read: "),
        (["mine.toml", "--scale", "small"], "Error: sweep 'mine.toml' has no scale 'small'. One of: none, leave out"),
        (["mine.toml", "--cells", "randm"], "Error: sweep 'mine.toml' has no cell 'randm'. Did you mean 'random'?"),
        (["mine.toml", "-o", "run.seeed=1"], "Error: run.seeed: unknown option. Did you mean 'seed'?"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(TINY)
    done = dcc_sweep(*words)
    assert (done.exit_code, done.stderr.count("Error: ")) == (2, 1)
    assert message in done.stderr
    assert not (tmp_path / "sweeps").exists()

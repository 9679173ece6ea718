"""The code of the page "Condense photographs" runs, on a set that `dcc select` makes."""

import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from dcc_core import DccError, load_set
from dcc_core.cli.app import cli
from dcc_plugins.labelled_crops import labelled_crops

PAGE = (Path(__file__).parents[2] / "docs" / "photographs.md").read_text()
PLAIN, RECORDED = re.findall(r"```python\n(.*?)```", PAGE, re.S)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a soft set in `runs/photos`."""
    folder = tmp_path_factory.mktemp("place")
    words = ["--method", "soft", "--data", "digits", "--ipc", "2", "--sets", "1", "--eval-nets", "1", "--quiet"]
    options = ["arch.width=4", "selection.of=random", "selection.teacher_epochs=1", "selection.epochs=2"]
    options += ["score.protocol=dc", "score.baseline=no", "run.device=cpu"]
    words += ["--data-root", str(folder), "--out", str(folder / "runs" / "photos")]
    done = CliRunner().invoke(cli, ["select", *words, *(w for o in options for w in ("-o", o))])
    assert done.exit_code == 0, done.output
    return folder


def test_plain_torchvision_code_reads_images_and_labels(place, monkeypatch):
    monkeypatch.chdir(place)
    assert len([line for line in PLAIN.splitlines() if line and not line.startswith(("from", "import"))]) <= 5
    assert "dcc" not in PLAIN
    names = {}
    exec(compile(PLAIN, "photographs.md", "exec"), names)
    images, labels = names["batch"]
    assert images.shape == (20, 1, 8, 8) and torch.allclose(labels.sum(dim=1), torch.ones(20))


def test_recorded_crops_come_with_their_labels(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    exec(compile(RECORDED, "photographs.md", "exec"), {})
    assert capsys.readouterr().out == "torch.Size([20, 1, 8, 8]) torch.Size([20, 10])\n"


def test_crops_repeat_and_labels_are_the_files(place):
    s = load_set(place / "runs" / "photos" / "set.safetensors")
    ((first, labels),), ((again, same),) = (list(labelled_crops(s, epoch)) for epoch in (1, 3))
    assert torch.equal(first, again) and torch.equal(labels, same)
    logits = s.stored["crop_logits"][:, 1].float()
    expected = (logits / 20).softmax(dim=1)
    assert torch.allclose(labels.sum(dim=0), expected.sum(dim=0), atol=1e-5)


def test_a_set_without_labels_of_crops_is_one_error(make_job):
    with pytest.raises(DccError, match="the set has no labels of crops"):
        list(labelled_crops(make_job().condense(), 0))

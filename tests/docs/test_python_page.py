"""docs/python.md and docs/objects.ipynb: every example runs as it stands, in its order."""

import re
from pathlib import Path

import nbformat
import pytest
import torch
from notebooks import run_notebook, text

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOK = DOCS / "objects.ipynb"


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    space = {"__name__": "page"}
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", (DOCS / "python.md").read_text(), re.S)):
        exec(compile(block, f"python.md, example {number}", "exec"), space)
    assert number == 7
    assert space["of_datasets"].class_names == tuple("0123456789")
    assert not torch.equal(space["matched"].images, space["by_features"].images)
    assert space["kept"].provenance.scores
    assert space["back"]["label"][:] == space["table"]["label"][:]
    assert (tmp_path / "runs" / "mine" / "report.json").exists()


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """The notebook's cells, run in a folder of their own."""
    place = tmp_path_factory.mktemp("objects")
    return run_notebook(NOTEBOOK, place, HF_HOME=place / "cache")


def test_the_notebook_is_kept_without_what_it_prints():
    kept = nbformat.read(NOTEBOOK, as_version=4).cells
    assert [cell.id for cell in kept if cell.get("outputs") or cell.get("execution_count")] == []


def test_from_tensors_to_a_trained_network(cells):
    tensors, shown, scored, trained, loaded = [cell for cell in cells if cell.cell_type == "code"]
    assert "torch.Size([1797, 8, 8])" in text(tensors)
    (page,) = [out["data"]["text/html"] for out in shown.outputs if "text/html" in out.get("data", {})]
    assert "data:image/png;base64," in page
    assert "python:angles@" in page
    assert 0.3 < float(text(scored)) < 1
    assert 0.3 < float(text(trained)) < 1
    assert "ClassLabel(names=['0', '1'" in text(loaded)

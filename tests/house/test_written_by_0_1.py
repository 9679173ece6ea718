"""What version 0.1 wrote, before the core was cut into rooms, is read, resumed and shown by this version."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from dcc_core import Registry, load_set
from dcc_core.cli.app import cli, run

WRITTEN = Path(__file__).parents[1] / "written_by_0_1"


def invoke(command, *words):
    result = CliRunner().invoke(command, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def folder(tmp_path):
    """Copies of the run folders."""
    return shutil.copytree(WRITTEN, tmp_path / "runs")


@pytest.fixture
def two_threads():
    """As when the files were written: the last digits depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_a_set_file_opens():
    s = load_set(WRITTEN / "finished" / "set.safetensors")
    assert (s.images.shape, s.provenance.method) == ((10, 1, 8, 8), "collective+dsa")
    assert s.provenance.versions["dcc"] == "0.1.0"
    assert s.provenance.scores[0]["mean"] == pytest.approx(0.9437, abs=1e-4)
    assert s.to_bytes() == (WRITTEN / "finished" / "set.safetensors").read_bytes()
    assert len(s.dataset(registry=Registry.installed())) == 10


@pytest.mark.slow
def test_a_set_file_is_inspected_and_scored(tmp_path):
    file = WRITTEN / "finished" / "set.safetensors"
    assert json.loads(invoke(cli, "inspect", file, "--check", "--json"))["findings"] == []
    report = json.loads(invoke(cli, "eval", file, "--nets", 1, "--protocol", "dc", "--json", "--quiet"))
    assert report["accuracy"]["condensed"]["mean"] > 0.8


def test_a_run_folder_is_shown(folder, tmp_path):
    page = tmp_path / "report.html"
    invoke(cli, "report", folder / "finished", folder / "unfinished", "--out", page)
    assert "collective+dsa" in page.read_text()


@pytest.mark.slow
def test_an_unfinished_run_resumes_to_the_same_set(folder, two_threads):
    """The same options on the same torch; another torch needs --resume-anyway, and its last digits may differ."""
    out = folder / "unfinished"
    invoke(run, "--resume", out, "--resume-anyway", "--quiet")
    found, expected = load_set(out / "set.safetensors"), load_set(folder / "expected" / "set.safetensors")
    assert torch.allclose(found.images, expected.images, atol=1e-3)
    if torch.__version__ == expected.provenance.versions["torch"]:
        assert (out / "set.safetensors").read_bytes() == (folder / "expected" / "set.safetensors").read_bytes()


@pytest.mark.slow
def test_the_default_job_has_the_same_bytes(tmp_path, two_threads):
    """Where torch is the one that wrote the file; the run is that of the README."""
    expected = WRITTEN / "finished" / "set.safetensors"
    if torch.__version__ != load_set(expected).provenance.versions["torch"]:
        pytest.skip("the file was written under another torch")
    invoke(run, "--loss", "collective", "--aug", "dsa", "--out", tmp_path / "run", "--quiet")
    assert (tmp_path / "run" / "set.safetensors").read_bytes() == expected.read_bytes()

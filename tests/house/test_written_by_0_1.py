"""What version 0.1 wrote, before the core was cut into rooms, is read, resumed and shown by this version."""

import itertools
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from dcc_core import Registry, load_set
from dcc_core.cli.app import cli
from dcc_plugins.commands.run import run

WRITTEN = Path(__file__).parents[1] / "written_by_0_1"


def invoke(command, *words):
    result = CliRunner().invoke(command, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def folder(tmp_path):
    """Copies of the run folders."""
    return shutil.copytree(WRITTEN, tmp_path / "runs")


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
def test_an_unfinished_run_resumes(folder):
    """From its 71 steps of 400 on, in the middle of an outer loop.

    DSA's draws are others since then: the objectives are this version's, from the set and the network that 0.1 kept.
    They agree to rounding, which further steps magnify.
    """
    out = folder / "unfinished"
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 71
    invoke(run, "--resume", out, "--resume-anyway", "--quiet")
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [(row["outer"], row["inner"]) for row in rows if "loss" in row] == list(
        itertools.product(range(40), range(10))
    )
    following = [row["loss"] for row in rows if "loss" in row][71:76]
    assert following == pytest.approx([6.408534, 12.691412, 10.404784, 11.256913, 9.086400], rel=1e-4)
    assert load_set(out / "set.safetensors").images.shape == (3, 1, 8, 8)

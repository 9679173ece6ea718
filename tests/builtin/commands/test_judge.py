"""`dcc eval --judge dd-ranking`: their evaluators where they are, ours otherwise, bound to theirs by figures."""

import json
from dataclasses import replace
from importlib import metadata

import pytest
import torch
from click.testing import CliRunner

from dcc_core import CondensedSet
from dcc_core.cli.app import cli
from dcc_core.scoring.protocols import PROTOCOLS
from dcc_core.scoring.robustness import COMPOSITES
from dcc_plugins.commands import dd_ranking
from dcc_plugins.commands.dd_ranking import evaluate, explain_absence
from dcc_plugins.commands.run import run

COLOURS = {"data": "blobs-of:8,8,8,8,8", "data.channels": 3, "run.ipc": 2, "arch": "linear", "run.inner_loops": 1}
RECORDED = [
    ("lrs", {"full": 0.845, "hard": 0.512, "condensed": 0.512, "random": 0.263}, 0.25144219670532814),
    ("lrs", {"full": 0.7, "hard": 0.3, "condensed": 0.3, "random": 0.35}, 0.18321832036806923),
    ("ars", {"condensed": 0.512, "random": 0.263, "condensed_plain": 0.455, "random_plain": 0.271}, 0.3717846990407521),
    ("ars", {"condensed": 0.2, "random": 0.4, "condensed_plain": 0.1, "random_plain": 0.3}, 0.19181877722087756),
]
"""What `compute_metrics` of ddranking 0.2.0 made of these accuracies, on 2026-11-27: hard labels, weights of 0.5."""


@pytest.mark.parametrize(("name", "accuracies", "theirs"), RECORDED)
def test_our_scores_are_theirs_for_the_same_accuracies(name, accuracies, theirs):
    assert COMPOSITES[name].combine(accuracies) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize(("name", "accuracies", "theirs"), RECORDED)
def test_what_it_measures_in_percent_becomes_its_score(name, accuracies, theirs):
    a = {key: 100 * value for key, value in accuracies.items()}
    found = {
        "lrs": lambda: {
            "hard_label_recovery": [a["full"] - a["hard"]],
            "improvement_over_random": [a["condensed"] - a["random"]],
        },
        "ars": lambda: {
            "with_aug_scores": [a["condensed"] - a["random"]],
            "without_aug_scores": [a["condensed_plain"] - a["random_plain"]],
        },
    }[name]()
    assert dd_ranking._score(name, found, 0) == pytest.approx(theirs, abs=1e-12)


def made(make_job, **options):
    job = make_job({**COLOURS, **options})
    return job, job.freeze(job.start(0).synthetic, 0)


def test_why_it_cannot_judge(make_job, monkeypatch):
    job, s = made(make_job)
    monkeypatch.setattr(dd_ranking.metadata, "version", lambda name: "0.2.0")
    assert explain_absence(job, s) == ""
    soft = CondensedSet({**s.stored, "labels": torch.eye(5)[s.labels]}, s.provenance)
    assert "soft labels" in explain_absence(job, soft)
    grey, _ = made(make_job, **{"data.channels": 1})
    assert "three channels, and these images have 1" in explain_absence(grey, s)
    monkeypatch.setattr(dd_ranking.metadata, "version", lambda name: "0.3.0")
    assert "0.3.0 is here" in explain_absence(job, s)

    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(dd_ranking.metadata, "version", absent)
    assert "pip install 'dataset-condensation[dd-ranking]'" in explain_absence(job, s)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A set of grey digits, which DD-Ranking's networks do not take."""
    out = tmp_path_factory.mktemp("judged") / "out"
    small = "--outer-loops 1 --inner-loops 1 --network-steps 1 --sets 1 --eval-nets 1 --protocol dc --arch mlp --quiet"
    result = CliRunner().invoke(run, [*small.split(), "-o", "score.baseline=no", "--out", str(out)])
    assert result.exit_code == 0, result.stderr
    return str(out / "set.safetensors")


def test_ours_say_that_they_are_ours(digits, monkeypatch):
    for name in ("dc", "dsa"):
        monkeypatch.setitem(PROTOCOLS, name, replace(PROTOCOLS[name], epochs=3, decays=(1,)))
    words = ["eval", digits, "--judge", "dd-ranking", "--nets", "2"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("these are this toolkit's own scores, not DD-Ranking's: ")
    assert "label-robust score (lrs)" in result.stdout
    found = json.loads(CliRunner().invoke(cli, [*words, "--json", "--quiet"]).stdout)
    assert found["judge"] == "dcc"
    for name in COMPOSITES:
        own = ["eval", digits, "--protocol", name, "--nets", "2", "-o", "score.baseline=yes", "--json", "--quiet"]
        ours = CliRunner().invoke(cli, own)
        assert found["scores"][name]["mean"] == json.loads(ours.stdout)["accuracy"][name]["mean"]


def test_the_judge_decides_the_protocol(digits):
    result = CliRunner().invoke(cli, ["eval", digits, "--judge", "dd-ranking", "--protocol", "dc"])
    assert result.exit_code == 2
    assert "leave out --protocol" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPOSITES)
def test_their_evaluators_judge_a_set(make_job, name, tmp_path, monkeypatch, capfd):
    """Theirs is no part of the tests' extra: it holds numpy below 2, for everything that is installed beside it."""
    pytest.importorskip("ddranking")
    monkeypatch.chdir(tmp_path)
    job, s = made(make_job)
    before = torch.get_rng_state()
    first, again = (evaluate(job, s, name, evaluations=1, epochs=20) for _ in range(2))
    assert len(first) == 1
    assert all(0 <= value <= 1 for value in first)
    assert first == again
    assert torch.equal(torch.get_rng_state(), before)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().out == ""

"""One set on many networks: `--eval-arch` in a run, `dcc eval` and `score_across` later."""

import json
import shlex

import pytest
from click.testing import CliRunner

from dcc_core import DccError, load_set, score, score_across
from dcc_core.cli.app import cli
from dcc_plugins.commands.run import run
from dcc_plugins.terminal import result_table

SMALL = shlex.split("--outer-loops 1 --inner-loops 1 --network-steps 1 --eval-nets 2 --protocol dc -o arch.width=8")
ACROSS = shlex.split("--eval-arch convnet --eval-arch mlp --eval-arch convnet,norm=batch,width=4")
LABELS = ["convnet", "mlp", "convnet,norm=batch,width=4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run that scores its set on three networks, and its report."""
    out = tmp_path_factory.mktemp("across") / "out"
    result = CliRunner().invoke(run, [*SMALL, *ACROSS, "--out", str(out)])
    assert result.exit_code == 0, result.stderr
    return out, result, json.loads((out / "report.json").read_text())


@pytest.mark.slow
def test_a_run_scores_on_every_network_that_is_asked_for(folder):
    out, _, report = folder
    assert list(report["by_architecture"]) == LABELS
    assert report["accuracy"] == report["by_architecture"]["convnet"]
    for label, row in report["by_architecture"].items():
        assert {row[s]["architecture"] for s in ("condensed", "random")} == {label}
        assert row["gain"] == pytest.approx(row["condensed"]["mean"] - row["random"]["mean"])
        assert row["condensed"]["networks"] == 2
        assert row["condensed"]["seconds"] > 0
    assert len({row["condensed"]["mean"] for row in report["by_architecture"].values()}) == 3
    recorded = load_set(out / "set.safetensors").provenance.scores
    assert [s["architecture"] for s in recorded] == LABELS
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [r["architecture"] for r in rows if r.get("subject") == "random"] == LABELS


def test_the_table_has_a_column_for_every_network(folder):
    _, result, report = folder
    table = result_table(report)
    assert [c.header for c in table.columns] == ["set", *LABELS]
    cells = list(table.columns[2].cells)
    random = report["by_architecture"]["mlp"]["random"]
    assert cells[1] == f"{100 * random['mean']:.1f} ± {100 * random['std']:.1f}"
    assert "convnet,norm=batch,width=4" in result.stdout


def test_the_runs_own_network_keeps_its_options(configure):
    config = configure({"arch.width": 7, "score.arch": "mlp,convnet,convnet,width=5"})
    assert list(config.networks) == ["mlp", "convnet", "convnet,width=5"]
    assert config.networks["convnet"] is config.arch
    assert config.arch.width == 7
    assert config.networks["convnet,width=5"].width == 5
    assert configure(config.table()).networks == config.networks
    assert list(configure({"arch": "mlp"}).networks) == ["mlp"]


@pytest.mark.slow
def test_eval_gives_the_runs_own_scores_again(folder):
    out, _, report = folder
    result = CliRunner().invoke(cli, ["eval", str(out / "set.safetensors"), "--json", "--quiet"])
    assert result.exit_code == 0, result.stderr
    again = json.loads(result.stdout)
    assert again["scores"] == report["scores"]
    assert again["method"] == "collective"
    assert list(again["by_architecture"]) == LABELS


def test_eval_on_other_networks_and_data(folder, tmp_path):
    """Any network, family or not, and any data with the same classes."""
    import numpy as np
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    images = (x.reshape(-1, 8, 8) * 15).astype(np.uint8)
    np.savez(tmp_path / "d.npz", x_train=images[:900], y_train=y[:900], x_test=images[900:1100], y_test=y[900:1100])
    words = shlex.split(f"--data npz:{tmp_path / 'd.npz'} --arch mlp --arch timm/test_resnet --nets 1 --seed 5")
    result = CliRunner().invoke(cli, ["eval", str(folder[0] / "set.safetensors"), *words])
    assert result.exit_code == 0, result.stderr
    assert "timm/test_resnet" in result.stdout
    assert "1 set(s) × 1 network(s)" in result.stdout


def test_score_across_from_python(folder):
    out, _, report = folder
    scores = score_across(out / "set.safetensors", ["mlp", "convnet"])
    assert list(scores) == ["mlp", "convnet"]
    for name, s in scores.items():
        assert s.mean == report["by_architecture"][name]["condensed"]["mean"]
    assert score(out / "set.safetensors").mean == report["accuracy"]["condensed"]["mean"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--eval-arch", "colvnet"], "score.arch: no architecture named 'colvnet'. Did you mean 'convnet'?"),
        (
            ["--eval-arch", "convnet,nrm=batch"],
            "score.arch 'convnet,nrm=batch': arch.nrm: unknown option. Did you mean 'norm'?",
        ),
        (["--eval-arch", "convnet,norm=bach"], "arch.norm: 'bach' is not one of"),
        (["--eval-arch", "mlp", "--eval-arch", "mlp"], "score.arch: 'mlp' is named twice"),
        (
            ["--eval-arch", "timm/resnet10t,channels=32,48"],
            "score.arch: '48' is no name; options that are lists cannot stand here",
        ),
        (["--eval-arch", "vgg11"], "vgg11 needs images of at least 32×32 pixels; these are 8×8"),
        (["--eval-arch", "timm/resnt18"], "has no model 'resnt18'"),
    ],
)
def test_networks_that_cannot_be_scored_on_are_told_before_the_work(words, message, tmp_path):
    result = CliRunner().invoke(run, [*SMALL, *words, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not any((tmp_path / "out").glob("*"))


def test_a_configuration_may_name_another_architecture(folder, tmp_path):
    """The options of the set's own architecture were meant for that one."""
    (tmp_path / "mlp.toml").write_text('[arch]\nname = "mlp"\n[score]\narch = ["mlp"]\n')
    words = ["--config", str(tmp_path / "mlp.toml"), "--nets", "1", "--json"]
    result = CliRunner().invoke(cli, ["eval", str(folder[0] / "set.safetensors"), *words])
    assert result.exit_code == 0, result.stderr
    assert list(json.loads(result.stdout)["by_architecture"]) == ["mlp"]


def test_a_set_of_strangers_components_is_scored_without_them(folder, tmp_path):
    """An architecture and an augmentation that are not installed here are named, and not needed."""
    from dataclasses import replace

    s = load_set(folder[0] / "set.safetensors")
    config = {**s.provenance.config, "arch": "stranger-net", "arch.x": 1, "aug": "stranger-aug", "score.arch": ["mlp"]}
    path = tmp_path / "stranger.safetensors"
    type(s)(s.stored, replace(s.provenance, config=config)).save(path)
    result = CliRunner().invoke(cli, ["eval", str(path), "--nets", "1", "--json"])
    assert result.exit_code == 0, result.stderr
    assert list(json.loads(result.stdout)["by_architecture"]) == ["mlp"]


def test_what_nobody_foresaw_is_one_message(folder, monkeypatch):
    from dcc_core.scoring.scorer import Scorer

    def fails(self, *_):
        raise ValueError("no such luck")

    monkeypatch.setattr(Scorer, "score", fails)
    result = CliRunner().invoke(cli, ["eval", str(folder[0] / "set.safetensors")])
    assert result.exit_code == 2
    assert "Error: ValueError: no such luck\n  DCC_DEBUG=1 shows where" in result.stderr


def test_eval_of_what_is_no_set(folder, tmp_path):
    result = CliRunner().invoke(cli, ["eval", str(tmp_path / "no.safetensors")])
    assert (result.exit_code, "cannot be read" in result.stderr) == (2, True)
    result = CliRunner().invoke(cli, ["eval", str(folder[0] / "set.safetensors"), "--arch", "colvnet"])
    assert (result.exit_code, "Did you mean 'convnet'" in result.stderr) == (2, True)
    with pytest.raises(DccError, match="named twice"):
        score_across(folder[0] / "set.safetensors", ["mlp", "mlp"])

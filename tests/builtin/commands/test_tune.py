"""`dcc tune`: what is timed, what is written, and that a run takes it."""

import json
import shlex

from click.testing import CliRunner

from dcc_core.cli.app import cli
from dcc_core.jobs.job import Job
from dcc_plugins.commands.tuning import Tuning, tune_passes, tuned_options
from dcc_plugins.terminal import Display

SMALL = "-o arch.width=8 --inner-loops 2 --network-steps 1 --outer-loops 1 --sets 1"


def test_the_suggested_number_stays_unless_another_is_clearly_faster():
    assert Tuning(suggested=8, seconds={4: 1.0, 8: 1.02, 16: 0.98}).best == 8
    assert Tuning(suggested=8, seconds={4: 1.0, 8: 1.0, 16: 0.9}).best == 16


def test_numbers_around_the_suggested_one_are_timed(configure, registry):
    """Up to all real images of a step: 3 classes × 4."""
    config = configure({"run.micro_batch": 8, "run.real_batch": 4})
    found = tune_passes(config, registry, Display(quiet=True))
    assert found.suggested == 8
    assert list(found.seconds) == [2, 4, 8, 12]
    assert min(found.seconds.values()) > 0


def test_what_a_budget_decides_is_not_written(configure):
    kept = tuned_options(configure({"run.budget": "1h"}), 8)
    assert kept["run.micro_batch"].value == 8 and not {"run.outer_loops", "run.image_rate"} & set(kept)
    assert "run.image_rate" in tuned_options(configure({"run.budget": "1h", "run.image_rate": 0.2}), 8)
    assert "run.outer_loops" in tuned_options(configure(), 8)


def test_memory_bounds_what_is_timed(configure, registry, monkeypatch):
    monkeypatch.setattr("dcc_core.jobs.job.memory_left", lambda *_: 10**5)
    config = configure({"run.memory": "8G", "run.real_batch": 4})
    most = Job(config, registry).context().chunks.most
    assert 1 < most < 12
    assert max(tune_passes(config, registry, Display(quiet=True)).seconds) == most


def test_a_run_takes_what_was_written(tmp_path):
    file = tmp_path / "tuned.toml"
    found = CliRunner().invoke(cli, shlex.split(f"tune {SMALL} -o run.micro_batch=7 --json --quiet --out {file}"))
    assert found.exit_code == 0, found.output
    best = json.loads(found.output.splitlines()[-1])["micro_batch"]
    run = f"run --config {file} --eval-nets 1 --out {tmp_path / 'run'} --json --quiet"
    report = CliRunner().invoke(cli, shlex.split(run))
    assert report.exit_code == 0, report.output
    config = json.loads(report.output.splitlines()[-1])["config"]
    assert config["run.micro_batch"] == {"value": best, "origin": f"config {file}"}
    assert config["arch.width"]["value"] == 8


def test_a_budget_survives_tuning(tmp_path):
    file = tmp_path / "tuned.toml"
    found = CliRunner().invoke(cli, shlex.split(f"tune {SMALL.replace('--outer-loops 1', '--budget 1h')} --out {file}"))
    assert found.exit_code == 0, found.output
    dry = CliRunner().invoke(cli, shlex.split(f"run --config {file} --dry-run --json --quiet"))
    assert dry.exit_code == 0, dry.output
    assert json.loads(dry.output.splitlines()[-1])["outer_loops"] > 10

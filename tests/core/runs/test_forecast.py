"""Predicted cost: arithmetic on measured unit costs, budgets, and nothing changed or written."""

import json
import os
import shlex
import time
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from dcc_core import DccError
from dcc_core.jobs.measurements import Work
from dcc_core.runs import forecast
from dcc_core.runs.forecast import Probe, plan_run
from dcc_core.scoring.scorer import Scorer
from dcc_plugins.commands.run import run

CPU = torch.device("cpu")

SMALL = shlex.split("--inner-loops 2 --network-steps 1 --eval-nets 1 --protocol dc -o arch.width=4")


@pytest.fixture
def probe(make_job):
    """A probe of a run with warm-up, its measured costs replaced by round numbers."""
    options = {"run.outer_loops": 8, "run.inner_loops": 3, "run.network_steps": 5, "run.sets": 2, "score.nets": 4}
    probe = Probe(make_job(options, **{"loss.warmup_inner": 1}), load=7.0)
    assert set(probe._updates) == {"warm-up", ""}
    assert min(*probe._updates.values(), probe._build, probe._training, *probe._scoring.values()) > 0
    assert 0 < probe._before["probe"] < 60
    probe._before = {"load": 7.0, "probe": 1.0}
    probe._updates, probe._build, probe._training = {"warm-up": 10.0, "": 1.0}, 0.5, 2.0
    assert set(probe._scoring) == {"score", "baseline"}
    probe._scoring = {"score": 12.0, "baseline": 12.0}
    return probe


def test_a_forecast_adds_up(probe):
    """Two of eight outer loops warm up, in the first of their three steps; training follows all steps but the last."""
    condense = 2 * 10.0 + 22 * 1.0 + 8 * (0.5 + 2 * 2.0)
    forecast = probe.forecast()
    scoring = {"score": 2 * 12.0, "baseline": 2 * 12.0}
    assert forecast.seconds == {"load": 7.0, "probe": 1.0, "condense": 2 * condense, **scoring}
    assert forecast.total == 8 + 2 * condense + 48
    assert forecast.peak > (10**8 if os.environ["DCC_TEST_DEVICE"] == "cpu" else 10**7)  # of the process, or of the GPU


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_bfloat16_that_does_not_pay_is_a_warning(make_job, monkeypatch, caplog, factor):
    """An update is timed in bfloat16, then in float32."""
    real, kinds = forecast.update, []

    def update(step, loss, state):
        kinds.append(type(step.network).__name__)
        return real(step, loss, state)

    def time_once(timer, work):
        before = len(kinds)
        work()
        return 2.0 * factor if kinds[before:] == ["Autocast"] else 2.0

    monkeypatch.setattr(forecast, "update", update)
    monkeypatch.setattr(forecast._Timer, "_time_once", time_once)
    options = {"run.outer_loops": 1, "run.inner_loops": 1, "score.nets": 1, "run.snapshots": 0}
    Probe(make_job({**options, "run.precision": "bfloat16"}), load=0.0)
    assert set(kinds) == {"Autocast", "Network"}
    said = [r.message for r in caplog.records if "bfloat16" in r.message]
    assert said == (["run.precision: bfloat16 does not pay here: an update takes 4 s, in float32 2 s"] * (factor > 1))


def test_a_curve_and_what_is_kept_for_it_cost_once(make_job):
    """Whatever the number of sets: they are the first one's."""
    options = {"run.outer_loops": 2, "run.inner_loops": 2, "run.sets": 3, "score.nets": 1, "run.snapshots": 4}
    with_curve = Probe(make_job({**options, "score.curve": 1}), load=0.0)
    one = with_curve._scoring["curve"]
    assert one > 0
    cost = with_curve.forecast()
    assert cost.seconds["curve"] == one
    assert cost.seconds["score"] == 3 * with_curve._scoring["score"]
    without = Probe(make_job({**options, "run.snapshots": 0, "score.curve": 1}), load=0.0).forecast()
    assert "curve" not in without.seconds
    assert cost.disk - without.disk == 4 * 3 * 8 * 8  # three classes' images, of whose two channels one is shown


def test_networks_of_a_stack_are_priced_together(make_job, monkeypatch):
    """Seven networks in stacks of three are three times three: each built and tested, all trained at once."""
    job = make_job({"score.nets": 7})
    s = job.freeze(job.start().synthetic, 0)
    work = Work(scorer=job.scorer(s), data=job.decode(s), nets=7)
    monkeypatch.setattr(Scorer, "stack_size", lambda self, data: 3)
    monkeypatch.setattr(forecast, "_Timer", lambda device: lambda piece, compiles=False: (piece(), 1.0)[1])
    tests = len(job.data.test.labels) / min(len(job.data.test.labels), forecast.TESTED)
    assert forecast._score_seconds(work, CPU) == 3 * (3 * (1 + tests) + work.scorer.protocol.epochs)


def test_what_is_compiled_once_does_not_count(monkeypatch):
    monkeypatch.setattr("dcc_core.runs.forecast.LONG", 0.1)
    for compiles, least, most in ((False, 0.3, 1.0), (True, 0.0, 0.1)):
        waits = iter([0.3])
        seconds = forecast._Timer(CPU)(lambda w=waits: time.sleep(next(w, 0)), compiles=compiles)
        assert least <= seconds < most


def test_many_outer_loops_are_sampled(probe):
    """A quarter of them warms up, as near as the sample tells."""
    exact = 250 * (10.0 + 2.0) + 750 * 3.0 + 1000 * (0.5 + 2 * 2.0)
    assert probe.forecast(1000).seconds["condense"] == pytest.approx(2 * exact, rel=0.01)


def test_a_budget_is_spent_to_the_last_outer_loop(probe):
    loops = probe.within(500.0)
    assert probe.forecast(loops).total <= 500 < probe.forecast(loops + 1).total
    with pytest.raises(DccError, match=r"run\.budget: 60 s is too short: one outer loop with its scoring would take"):
        probe.within(60.0)


def test_a_budget_for_condensing_leaves_loading_and_scoring_out(probe):
    run = probe._job.config.run
    probe._job.config = replace(probe._job.config, run=replace(run, budget="1m", budget_for="condensing"))
    probe._setup = 40.0
    loops = probe.within(500.0)
    spent = [40 + probe.forecast(n).seconds["condense"] for n in (loops, loops + 1)]
    assert spent[0] <= 500 < spent[1]
    with pytest.raises(DccError, match=r"run\.budget: 41 s is too short: one outer loop would take"):
        probe.within(41.0)


def test_a_probe_changes_nothing_of_the_job(make_job):
    before = make_job().condense()
    job = make_job()
    Probe(job, load=0.0)
    after = job.condense()
    assert before.to_bytes() == after.to_bytes()


def test_a_budget_becomes_a_number_of_outer_loops(make_job, configure):
    job = make_job({"run.budget": "10m"})
    forecast = plan_run(job, load=1.0)
    assert 2 < forecast.outer_loops == job.config.run.outer_loops == job.context().outer_loops
    assert forecast.total <= 600
    table = job.config.table()
    assert (table["run.outer_loops"], table["run.budget"]) == (forecast.outer_loops, None)
    assert job.config.entries["run.outer_loops"].origin == "budget 10m"
    assert configure(table).run == configure({**table, "run.budget": "none"}).run


def test_a_budget_and_a_number_of_outer_loops_contradict_each_other(configure):
    with pytest.raises(DccError, match=r"run\.budget: 5m decides the outer loops, but test gives them too"):
        configure({"run.budget": "5m", "run.outer_loops": 3})


def test_a_dry_run_says_what_a_run_would_take_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(run, [*SMALL, "--outer-loops", "3", "--dry-run", "--json", "--quiet"])
    assert result.exit_code == 0, result.stderr
    forecast = json.loads(result.stdout)
    assert set(forecast["seconds"]) == {"load", "probe", "condense", "score", "baseline"}
    assert forecast["outer_loops"] == 3
    assert forecast["total_seconds"] == pytest.approx(sum(forecast["seconds"].values()), abs=0.01)
    assert forecast["disk_bytes"] > 1000
    assert list(tmp_path.iterdir()) == []
    words = CliRunner().invoke(run, [*SMALL, "--outer-loops", "3", "--dry-run"]).stdout
    assert words.startswith("it would take about ")
    assert "of memory" in words


def test_a_run_says_what_it_will_take_and_keeps_to_its_budget(tmp_path):
    out = tmp_path / "out"
    start = time.perf_counter()
    result = CliRunner().invoke(run, [*SMALL, "--budget", "8s", "--out", str(out)])
    assert result.exit_code == 0, result.stderr
    assert time.perf_counter() - start < 60
    assert "it will take about" in result.stderr
    report = json.loads((out / "report.json").read_text())
    assert report["config"]["run.outer_loops"]["origin"] == "budget 8s"
    assert report["config"]["run.outer_loops"]["value"] > 5
    assert set(report["seconds"]) == {"load", "probe", "condense", "score", "baseline"}
    assert torch.tensor(report["seconds"]["probe"]) < 10


@pytest.mark.parametrize(
    ("budget", "message"), [("3", "run.budget: '3' is not a time"), ("1s", "run.budget: 1.0 s is too short: one outer")]
)
def test_budgets_that_cannot_be_kept(budget, message, tmp_path):
    words = ["--budget", budget, "--out", str(tmp_path / "out"), "--eval-nets", "500"]
    result = CliRunner().invoke(run, [*SMALL, *words])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not any((tmp_path / "out").glob("*"))

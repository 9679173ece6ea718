"""Observers that a run asks for: what they write, and that nothing else changes."""

import csv
import json
from dataclasses import dataclass

import pytest
import toys
from click.testing import CliRunner

import dcc_plugins.manifest
from dcc_core import Component, DccError, Observer, Registry, hookimpl
from dcc_core.config.settings import Rank, Settings
from dcc_core.errors import PluginWarning
from dcc_core.jobs.configuration import resolve
from dcc_core.plugins.registry import Origin
from dcc_core.runs.run import execute
from dcc_core.runs.run_folder import RunFolder
from dcc_plugins.commands.run import run
from dcc_plugins.terminal import Display

SMALL = "--outer-loops 2 --inner-loops 3 --network-steps 0 --sets 2 --eval-nets 2 --protocol dc -o arch.width=4 --quiet"


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A run's folder, with both built-in observers."""
    out = tmp_path_factory.mktemp("logged") / "run"
    (out / "tensorboard").mkdir(parents=True)
    (out / "tensorboard" / "events.out.tfevents.old").write_text("of an earlier run")
    logs = ["--log", "csv", "--log", "tensorboard,every=2"]
    result = CliRunner().invoke(run, [*SMALL.split(), *logs, "--out", str(out), "--overwrite"])
    assert result.exit_code == 0, result.stderr
    return out


def metrics(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def table(file):
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def test_csv_has_every_step_and_every_score(logged):
    steps = [m for m in metrics(logged) if "loss" in m]
    rows = table(logged / "steps.csv")
    assert len(rows) == len(steps) == 2 * 2 * 3
    for row, step in zip(rows, steps, strict=True):
        assert {k: type(step[k])(row[k]) for k in step} == step
    scores = [m for m in metrics(logged) if "subject" in m]
    rows = table(logged / "scores.csv")
    assert [r["subject"] for r in rows] == [s["subject"] for s in scores] == ["condensed", "random"] * 2
    for row, score in zip(rows, scores, strict=True):
        assert [float(a) for a in row["accuracies"].split()] == score["accuracies"]
        assert float(row["mean"]) == score["mean"]


def test_tensorboard_has_every_other_step(logged):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logged / "tensorboard"))
    events.Reload()
    losses = {(m["set"], m["outer"] * 3 + m["inner"]): m["loss"] for m in metrics(logged) if "loss" in m}
    for index in (0, 1):
        found = events.Scalars(f"loss/set {index}")
        assert [e.step for e in found] == [0, 2, 4]
        assert [e.value for e in found] == pytest.approx([losses[index, s] for s in (0, 2, 4)])
    means = [m["mean"] for m in metrics(logged) if m.get("subject") == "condensed"]
    assert [e.value for e in events.Scalars("accuracy/condensed/convnet")] == pytest.approx(means)
    assert not (logged / "tensorboard" / "events.out.tfevents.old").exists()


def test_observers_change_no_byte_of_a_set(logged, tmp_path):
    out = tmp_path / "plain"
    assert CliRunner().invoke(run, [*SMALL.split(), "--out", str(out)]).exit_code == 0
    assert (out / "set-1.safetensors").read_bytes() == (logged / "set-1.safetensors").read_bytes()


TOLD = []
TITLE = r"observer 'told' of plugin mine \(dcc-mine 2\.1\)"


class Listener:
    @hookimpl
    def dcc_step_finished(self, report):
        TOLD.append(("step", report.outer))
        if report.outer:
            raise RuntimeError("lost the connection")

    @hookimpl
    def dcc_run_finished(self, report):
        TOLD.append(("end", report and report["accuracy"]["condensed"]["sets"]))


@pytest.fixture
def watched():
    """A registry with an observer of the test's own."""
    TOLD.clear()

    class Plugin:
        @staticmethod
        @hookimpl
        def dcc_observers():
            return [Component(name="told", target="test_observers:Told", summary="keeps what it is told")]

    mine = Origin("mine", "dcc-mine", "2.1")
    return Registry([dcc_plugins.manifest, toys, Plugin()], [Origin("builtin"), Origin("toys"), mine])


@dataclass(frozen=True, kw_only=True)
class Told(Observer):
    """Keeps what it is told."""

    def listen(self, run):
        TOLD.append(("listen", run.outer_loops))
        return Listener()


def carry_out(registry, out, **options):
    settings = Settings()
    settings.add({"data": "blobs", "run.inner_loops": 1, "score.baseline": "no", **options}, "test", Rank.OPTION)
    config = resolve(registry, settings)
    return execute(config, registry, RunFolder(out), Display(quiet=True))


def test_an_observer_that_raises_is_named_and_the_run_goes_on(watched, tmp_path):
    with pytest.warns(PluginWarning, match=rf"{TITLE} failed in dcc_step_finished .* lost the connection"):
        carry_out(watched, tmp_path / "a", **{"run.log": "told", "run.outer_loops": 4})
    assert TOLD == [("listen", 4), ("step", 0), ("step", 1), ("end", 1)]
    TOLD.clear()
    carry_out(watched, tmp_path / "b")
    assert TOLD == []


class Misspelt:
    @hookimpl
    def dcc_step_finishd(self, report):
        pass


class Asking:
    @hookimpl
    def dcc_step_finished(self, surprise):
        pass


class Collecting:
    @hookimpl
    def dcc_losses(self):
        return []


def fails():
    raise OSError("no such service")


@pytest.mark.parametrize(
    ("listen", "message"),
    [
        (
            object,
            "breaks a rule of its kind: listen gives an object whose methods are observer hooks.*; object has none",
        ),
        (Collecting, "breaks a rule of its kind: .*; Collecting has dcc_losses"),
        (Misspelt, r"breaks a rule of its kind: unknown hook 'dcc_step_finishd'\. Did you mean 'dcc_step_finished'"),
        (Asking, "failed: PluginValidationError.*surprise"),
        (fails, "failed: OSError: no such service"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_observer_that_does_not_begin_is_named(watched, tmp_path, monkeypatch, listen, message):
    """Before anything is condensed; and nobody goes on listening."""
    monkeypatch.setattr(Told, "listen", lambda self, run: listen())
    with pytest.raises(DccError, match=rf"(?s){TITLE} {message}"):
        carry_out(watched, tmp_path / "a", **{"run.log": "told", "run.outer_loops": 1})
    assert not list((tmp_path / "a").glob("set*.safetensors"))
    monkeypatch.undo()
    carry_out(watched, tmp_path / "b", **{"run.log": "told", "run.outer_loops": 1})
    assert TOLD == [("listen", 1), ("step", 0), ("end", 1)]


def test_the_end_is_told_when_a_run_fails(watched, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no scores")

    monkeypatch.setattr("dcc_core.runs.run.Scoring.score_set", broken)
    with pytest.raises(DccError, match="no scores"):
        carry_out(watched, tmp_path / "a", **{"run.log": "told", "run.outer_loops": 1})
    assert TOLD[-1] == ("end", None)


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("csvv", "Error: run.log: no observer named 'csvv'. Did you mean 'csv'?"),
        ("csv,evry=2", "Error: run.log 'csv,evry=2': log.evry: unknown option. Did you mean 'every'?"),
        ("csv,every=0", "Error: run.log 'csv,every=0': log.every: '0' is not an integer >= 1."),
    ],
)
def test_bad_input_is_one_message(tmp_path, log, message):
    result = CliRunner().invoke(run, ["--log", log, "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not any(tmp_path.iterdir())


def test_tensorboard_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(run, ["--log", "tensorboard", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "needs the package tensorboard: pip install 'dataset-condensation[tensorboard]'" in result.stderr

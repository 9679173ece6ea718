"""A run that is interrupted anywhere ends with the same bytes as one that is not."""

import errno
import json
import logging
import multiprocessing
import os
import random
import re
import shlex
import shutil
import signal
import sys
import time
from dataclasses import dataclass, replace
from typing import final

import pytest
import torch
import toys
from click.testing import CliRunner

import dcc_plugins.manifest
from dcc_core import Component, DccError, MatchingLoss, Part, Registry, State, hookimpl, load_set
from dcc_core.cli.app import cli
from dcc_core.config.settings import Rank, Settings
from dcc_core.errors import Stopped
from dcc_core.jobs.configuration import resolve
from dcc_core.plugins.registry import Origin
from dcc_core.runs.checkpoint import load_checkpoint
from dcc_core.runs.interrupts import Interrupts
from dcc_core.runs.run import execute
from dcc_core.runs.run_folder import CHECKPOINT, RunFolder
from dcc_core.scoring.protocols import PROTOCOLS
from dcc_plugins.commands.run import run
from dcc_plugins.terminal import Display

SMALL = {
    "data": "blobs-of:20,20,20",
    "run.outer_loops": 3,
    "run.inner_loops": 3,
    "run.network_steps": 2,
    "run.sets": 2,
    "run.checkpoint": "0s",
    "score.nets": 2,
    "score.protocol": "dc",
    "arch": "linear",
}
STEPS = 2 * 3 * 3
RUNS = {
    "collective": {"loss": "collective", "aug": "dsa"},
    "class-wise, batch norm": {
        "loss": "class-wise",
        "arch": "convnet",
        "arch.width": 4,
        "arch.norm": "batch",
        "score.arch": "linear",
    },
    "learned step size": {"loss": "mtt", "run.inner_loops": 3},
    "its own state": {"loss": "drifting"},
    "shared tensors": {"loss": "collective", "param": "half", "run.ipc": 2},
    "networks trained on real images": {"loss": "collective", "run.network_data": "real", "run.network_images": 16},
    "a network with momentum": {"loss": "collective", "run.network_momentum": 0.9, "run.network_decay": 0.01},
    "Adam": {"loss": "mtt", "run.inner_loops": 3, "run.image_optimiser": "adam"},
    "normalised gradients": {"loss": "collective", "run.image_optimiser": "normalised"},
    "representative batches": {"loss": "representative", "loss.of": "collective", "loss.every": 4, "run.real_batch": 8},
    "composite protocol": {"loss": "means", "score.protocol": "lrs", "score.full_accuracy": 0.9},
}


class Mean(State):
    """What a run has seen so far."""

    def __init__(self, value):
        self.value = value

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"].clone()


@final
@dataclass(frozen=True, kw_only=True)
class Drifting(MatchingLoss):
    """Pulls images towards a mean of all real images that were drawn: it hangs on every step before."""

    def setup(self, run, synthetic):
        return Mean(torch.zeros(run.data.shape, dtype=run.dtype, device=run.device))

    def terms(self, step, state):
        for label in step.classes:
            state.value = 0.9 * state.value + 0.1 * step.real(label).images.mean(dim=0)
            yield Part((step.synthetic.batch(label).images - state.value).square().mean())


class Losses:
    @hookimpl
    def dcc_losses(self):
        return [Component(name="drifting", target="test_resume:Drifting", summary="remembers")]


class Interrupting:
    """Ends the process's run after some steps, or scores, as a signal would."""

    def __init__(self, steps=-1, scores=-1):
        self.steps, self.scores = steps, scores

    @hookimpl
    def dcc_step_finished(self, report):
        self.steps -= 1
        if self.steps == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    @hookimpl
    def dcc_evaluated(self, report):
        self.scores -= 1
        if self.scores == 0:
            os.kill(os.getpid(), signal.SIGINT)


def executed(out, options, *watchers, anyway=False, overwrite=False):
    plugins = [dcc_plugins.manifest, toys, Losses(), *watchers]
    origins = [Origin(name, f"dcc-{name}", "1.0") for name in ("builtin", "toys", "losses", "watch")[: len(plugins)]]
    registry = Registry(plugins, origins)
    settings = Settings()
    settings.add({**SMALL, **options}, "test", Rank.OPTION)
    folder = RunFolder(out, overwrite=overwrite)
    return execute(resolve(registry, settings), registry, folder, Display(quiet=True), anyway=anyway)


def content(folder):
    """What must be the same, and the report without times."""
    files = {name: (folder / name).read_bytes() for name in ("set.safetensors", "set-1.safetensors", "grid.png")}
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    report = json.loads((folder / "report.json").read_text())
    timeless = {k: v for k, v in report.items() if k not in ("out", "seconds", "peak_memory_bytes", "config")}
    values = {k: v["value"] for k, v in report["config"].items()}
    return files, rows, re.sub(r'"seconds": [\d.]+', "", json.dumps(timeless, sort_keys=True)), values


@pytest.fixture(scope="module", autouse=True)
def _short_scoring():
    """Few epochs: what is scored here is known to a few images, and accuracies differ."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROTOCOLS, "dc", replace(PROTOCOLS["dc"], epochs=2))
        yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The content of a run's folder, by the name of its options; run once."""
    known = {}

    def build(name):
        if name not in known:
            out = tmp_path_factory.mktemp("undisturbed") / "out"
            executed(out, RUNS[name])
            known[name] = content(out)
        return known[name]

    return build


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("after", [1, 5, STEPS // 2, STEPS // 2 + 4])
def test_interrupted_between_steps(name, after, undisturbed, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(Stopped, match="resume with: dcc-run --resume") as stopped:
        executed(out, RUNS[name], Interrupting(steps=after))
    assert stopped.value.exit_code == 143
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert sum("loss" in row for row in rows) == after
    executed(out, RUNS[name])
    assert content(out) == undisturbed(name)
    assert not (out / CHECKPOINT).exists()


@pytest.mark.parametrize("name", ["collective", "composite protocol"])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_interrupted_between_scores(name, after, undisturbed, tmp_path):
    """Scores that were measured are not measured again."""
    out = tmp_path / "out"
    with pytest.raises(Stopped) as stopped:
        executed(out, RUNS[name], Interrupting(scores=after))
    assert stopped.value.exit_code == 130
    told = Told()
    executed(out, RUNS[name], told)
    assert content(out) == undisturbed(name)
    before = len(load_scores(undisturbed(name)))
    assert len(told.scores) in (before - after, before - after + 1)


class Told:
    def __init__(self):
        self.scores, self.infos = [], []

    @hookimpl
    def dcc_run_started(self, run):
        self.infos.append(run)

    @hookimpl
    def dcc_evaluated(self, report):
        self.scores.append((report.set, report.subject))


def load_scores(content):
    return [row for row in content[1] if "subject" in row]


def test_many_interruptions(undisturbed, tmp_path):
    """One after every step."""
    out, name = tmp_path / "out", "class-wise, batch norm"
    for _ in range(STEPS):
        with pytest.raises(Stopped):
            executed(out, RUNS[name], Interrupting(steps=1))
    told = Told()
    executed(out, RUNS[name], told)
    assert content(out) == undisturbed(name)
    assert told.infos[0].resumes_at == (1, 3, 0)


def killed(out, options, delay):
    """Run in a process of its own that dies after a while; whether it did before the run was done."""
    process = multiprocessing.get_context("fork").Process(target=alone, args=(out, options))
    process.start()
    process.join(delay)
    assert process.exitcode in (None, 0)
    process.kill()
    process.join()
    return not (out / "report.json").exists()


def alone(out, options):
    torch.set_num_threads(1)
    executed(out, options)


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    """Whole sets, checkpoints, logs and metrics: whatever a process was writing as it died."""
    options, dice = RUNS["collective"], random.Random(0)
    start = time.monotonic()
    assert not killed(tmp_path / "whole", options, 300)
    took, expected = time.monotonic() - start, content(tmp_path / "whole")
    kills, runs = 0, 0
    while kills < 20:
        runs += 1
        out = tmp_path / str(runs)
        while killed(out, options, delay := dice.uniform(0, took) if kills < 20 else 300):
            assert delay < 300
            kills += 1
        assert content(out) == expected


@pytest.fixture
def unfinished(tmp_path):
    """The folder of a run that was interrupted in the second outer loop."""
    out = tmp_path / "out"
    with pytest.raises(Stopped):
        executed(out, RUNS["collective"], Interrupting(steps=5))
    return out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run.ipc": 2}, "run.ipc: 1, now 2"),
        ({"loss": "class-wise"}, "loss: collective, now class-wise"),
        ({"run.seed": 1, "run.outer_loops": 9}, "run.outer_loops: 3, now 9"),
    ],
)
@pytest.mark.parametrize("anyway", [False, True])
def test_another_configuration_is_refused(unfinished, changes, message, anyway):
    before = {p.name: p.read_bytes() for p in unfinished.rglob("*.*")}
    with pytest.raises(DccError, match="the run began with other options or versions") as error:
        executed(unfinished, {**RUNS["collective"], **changes}, anyway=anyway)
    assert message in str(error.value)
    assert str(error.value).splitlines()[-1] == "  name another --out; --overwrite starts again"
    assert {p.name: p.read_bytes() for p in unfinished.rglob("*.*")} == before


@pytest.mark.parametrize(
    "changes", [{"run.outer_loops": 4}, {"score.nets": 3}, {"run.micro_batch": 5}, {"run.sets": 3}]
)
def test_harmless_changes_need_a_word(unfinished, changes):
    (key,) = changes
    with pytest.raises(DccError, match=rf"{key}: .*\n  name another --out; --resume-anyway resumes all the same"):
        executed(unfinished, {**RUNS["collective"], **changes})
    executed(unfinished, {**RUNS["collective"], **changes}, anyway=True)
    (note,) = load_set(unfinished / "set.safetensors").provenance.notes
    assert note.startswith(f"went on with {key} ")


def test_another_version_needs_a_word(unfinished, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "9.9.0")
    with pytest.raises(DccError, match=r"torch: .*, now 9\.9\.0\n  name another --out; --resume-anyway resumes"):
        executed(unfinished, RUNS["collective"])
    executed(unfinished, RUNS["collective"], anyway=True)
    assert load_set(unfinished / "set.safetensors").provenance.notes[0].endswith(", now 9.9.0")


def test_options_that_nothing_hangs_on_may_change(unfinished, undisturbed):
    executed(unfinished, {**RUNS["collective"], "run.checkpoint": "1h", "run.data_root": "/elsewhere"})
    assert content(unfinished)[:2] == undisturbed("collective")[:2]


def test_other_data_are_refused(unfinished, monkeypatch):
    load = toys.Blobs.load

    def brighter(self, **how):
        data = load(self, **how)
        return replace(data, train=replace(data.train, images=(data.train.images + 1).clamp(max=255)))

    monkeypatch.setattr(toys.Blobs, "load", brighter)
    with pytest.raises(DccError, match="data 'blobs' has changed since the run began"):
        executed(unfinished, RUNS["collective"])


def flipped(content):
    return content[:-40] + bytes([content[-40] ^ 1]) + content[-39:]


@pytest.mark.parametrize(
    "spoil",
    [flipped, lambda c: c[:-1], lambda c: c[:100], lambda c: b"", lambda c: b"{}" * 99],
    ids=["a bit", "the last byte", "all but the start", "everything", "other bytes"],
)
def test_a_damaged_checkpoint_is_named(unfinished, spoil):
    path = unfinished / CHECKPOINT
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DccError, match=rf"checkpoint '{path}' .*; --overwrite starts again"):
        executed(unfinished, RUNS["collective"])


def test_another_safetensors_file_is_no_checkpoint(unfinished, tmp_path):
    executed(tmp_path / "other", RUNS["collective"])
    shutil.copy(tmp_path / "other" / "set.safetensors", unfinished / CHECKPOINT)
    with pytest.raises(DccError, match="is damaged: its checksum is wrong"):
        executed(unfinished, RUNS["collective"])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.ENOENT])
def test_a_checkpoint_that_cannot_be_written_ends_the_run_and_keeps_the_last(
    tmp_path, monkeypatch, undisturbed, number
):
    out, write, written = tmp_path / "out", os.fsync, []

    def failing(descriptor):
        written.append(descriptor)
        if len(written) > 12:
            raise OSError(number, os.strerror(number))
        write(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(DccError, match=f"cannot write '.*{CHECKPOINT}': {os.strerror(number)}") as error:
        executed(out, RUNS["collective"])
    assert str(error.value).count("cannot write") == 1
    monkeypatch.undo()
    assert load_checkpoint(out / CHECKPOINT).moment.tensors
    assert not list(out.glob(".*.tmp"))
    executed(out, RUNS["collective"])
    assert content(out) == undisturbed("collective")


def test_a_folder_that_vanishes_is_named(tmp_path):
    class Vanishing:
        @hookimpl
        def dcc_step_finished(self, report):
            shutil.rmtree(tmp_path / "out")

    with pytest.raises(DccError, match=r"'.*out.*' cannot be written|cannot write '.*out"):
        executed(tmp_path / "out", RUNS["collective"], Vanishing())


WORDS = shlex.split(
    "--outer-loops 2 --inner-loops 2 --network-steps 1 --eval-nets 1 --protocol dc -o arch.width=4 -o run.checkpoint=0s"
)


def test_from_the_command_line(tmp_path, monkeypatch):
    """The same command goes on, and so does `--resume` with nothing else; a finished run does not."""
    whole, again, resumed = (tmp_path / name for name in ("whole", "again", "resumed"))
    assert CliRunner().invoke(run, [*WORDS, "--out", str(whole)]).exit_code == 0
    for out, words in ((again, [*WORDS, "--out", str(again)]), (resumed, ["--resume", str(resumed)])):
        with monkeypatch.context() as patch:
            patch.setattr(Registry, "notify", interrupting(steps=3))
            result = CliRunner().invoke(run, [*WORDS, "--out", str(out)])
        assert result.exit_code == 143
        assert f"Interrupted: results so far are in '{out}'; resume with: dcc-run --resume {out}" in result.stderr
        result = CliRunner().invoke(run, words)
        assert result.exit_code == 0, result.stderr
        assert "resuming at set 0, outer loop 1, inner loop 1" in result.stderr
        assert (out / "set.safetensors").read_bytes() == (whole / "set.safetensors").read_bytes()
        result = CliRunner().invoke(run, words)
        assert result.exit_code == 2
        assert "not empty" in result.stderr or "the run there is finished; to refine its set" in result.stderr


def interrupting(steps):
    notify = Registry.notify

    def watched(self, hook, **arguments):
        nonlocal steps
        notify(self, hook, **arguments)
        steps -= hook == "dcc_step_finished"
        if steps == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    return watched


def test_a_selection_goes_on(tmp_path, monkeypatch):
    words = shlex.split(
        "select --method herding -o selection.epochs=1 --sets 2 --eval-nets 1 -o arch.width=4 --protocol dc"
    )
    assert CliRunner().invoke(cli, [*words, "--out", str(tmp_path / "whole")]).exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "metric", lambda self, row: os.kill(os.getpid(), signal.SIGINT))
        result = CliRunner().invoke(cli, [*words, "--out", str(tmp_path / "out")])
    assert result.exit_code == 130
    assert "resume with: dcc select --resume" in result.stderr
    result = CliRunner().invoke(run, ["--resume", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "holds an unfinished run of dcc select; resume it with that command" in result.stderr
    result = CliRunner().invoke(cli, ["select", "--resume", str(tmp_path / "out")])
    assert result.exit_code == 0, result.stderr
    for name in ("set.safetensors", "set-1.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resume", "nowhere"], "--resume 'nowhere': there is no unfinished run (no config.toml)"),
        (["--resume", "x", "--out", "y"], "--resume 'x' resumes the run there; leave out --out and --overwrite"),
        (["--resume", "x", "--overwrite"], "leave out --out and --overwrite"),
        (["-o", "run.checkpoint=often", "--out", "new"], "run.checkpoint: 'often' is not a time"),
    ],
)
def test_what_cannot_be_resumed(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(run, words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "nowhere").exists()


def test_a_run_that_is_stopped_before_its_first_step_leaves_no_folder(tmp_path, monkeypatch):
    def load(*args, **how):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("dcc_core.runs.run.Job", load)
    result = CliRunner().invoke(run, ["--data", "digits", "--out", str(tmp_path / "new" / "out")])
    assert result.exit_code == 143
    assert not (tmp_path / "new" / "out").exists()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_in_a_step_waits_for_its_end_and_a_second_does_not(name):
    number = getattr(signal, name)
    interrupts, seen, before = Interrupts(), [], signal.getsignal(number)
    with interrupts.install():
        with pytest.raises(Stopped) as stopped, interrupts.hold():
            os.kill(os.getpid(), number)
            seen.append("the step ends")
        assert (seen, stopped.value.signal) == (["the step ends"], number)
        interrupts = Interrupts()
    with interrupts.install(), pytest.raises(Stopped), interrupts.hold():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        seen.append("never")
    assert seen == ["the step ends"]
    assert signal.getsignal(number) == before


def test_a_signal_that_comes_while_processes_agree_is_of_the_next_step():
    class Meeting:
        """A group of two, whose agreement the first signal interrupts."""

        size, signals = 2, [signal.SIGTERM]

        def maximum(self, number):
            if self.signals:
                os.kill(os.getpid(), self.signals.pop())
            return number

    interrupts = Interrupts(Meeting())
    with interrupts.install(), pytest.raises(Stopped), interrupts.hold():
        assert interrupts.share() == 0
        assert interrupts.share() == signal.SIGTERM


def test_a_strangers_log_is_no_unfinished_run(tmp_path):
    for name in ("run.log", "config.toml", "metrics.jsonl"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(DccError, match=r"is not empty \(it holds config.toml\)"):
        RunFolder(tmp_path)


def test_a_run_that_was_killed_at_once_is_known_by_its_options(tmp_path):
    """The checkpoint is the first file of all."""
    out = tmp_path / "out"
    with pytest.raises(Stopped):
        executed(out, {**RUNS["collective"], "run.checkpoint": "1h"}, Dying())
    assert load_checkpoint(out / CHECKPOINT).moment.tensors == {}
    with pytest.raises(DccError, match=r"run\.ipc: 1, now 2"):
        executed(out, {**RUNS["collective"], "run.ipc": 2})


class Dying:
    @hookimpl
    def dcc_step_finished(self, report):
        raise KeyboardInterrupt


def test_other_scoring_scores_anew(tmp_path):
    out, options = tmp_path / "out", {**RUNS["collective"], "data.validation": 0.2, "score.part": "validation"}
    with pytest.raises(Stopped):
        executed(out, options, Interrupting(scores=2))
    changed = {**options, "score.part": "test", "score.nets": 3}
    executed(out, changed, anyway=True)
    executed(tmp_path / "other", changed)
    for name in ("set.safetensors", "set-1.safetensors"):
        assert load_set(out / name).provenance.scores == load_set(tmp_path / "other" / name).provenance.scores


def test_scoring_anew_keeps_the_place_in_the_next_set(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(Stopped):
        executed(out, RUNS["collective"], Interrupting(steps=STEPS // 2 + 5))
    with pytest.raises(Stopped):
        executed(out, {**RUNS["collective"], "score.arch": "linear,mlp"}, Interrupting(scores=3), anyway=True)
    moment = load_checkpoint(out / CHECKPOINT).moment
    assert (moment.outer, moment.inner) == (1, 2)
    assert moment.tensors


def test_a_budget_is_the_same_after_another_way_to_go_on(tmp_path):
    """By `--resume`, which reads the outer loops, and then by the first command, which has the budget."""
    out = tmp_path / "out"
    budget = {k: v for k, v in SMALL.items() if k != "run.outer_loops"} | {"run.budget": "20s"}
    read = {**SMALL, "run.outer_loops": 0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[__name__], "SMALL", budget)
        with pytest.raises(Stopped):
            executed(out, RUNS["collective"], Interrupting(steps=2))
        read["run.outer_loops"] = load_checkpoint(out / CHECKPOINT).values["run.outer_loops"]
        patch.setattr(sys.modules[__name__], "SMALL", read)
        with pytest.raises(Stopped):
            executed(out, RUNS["collective"], Interrupting(steps=2))
        patch.setattr(sys.modules[__name__], "SMALL", budget)
        with pytest.raises(Stopped):
            executed(out, RUNS["collective"], Interrupting(steps=2))
    assert load_checkpoint(out / CHECKPOINT).config["run.outer_loops"]["origin"] == "budget 20s"


def test_a_set_that_the_run_replaces_is_kept_until_its_end(tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    for folder in (out, other):
        executed(folder, {**RUNS["collective"], "run.seed": 5})
    again = {**RUNS["collective"], "run.init": str(other / "set.safetensors")}
    executed(tmp_path / "whole", again)
    again["run.init"] = str(out / "set.safetensors")
    with pytest.raises(Stopped):
        executed(out, again, Interrupting(steps=STEPS // 2 + 2), overwrite=True)
    executed(out, again)
    for name in ("set.safetensors", "set-1.safetensors"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (out / "initial.safetensors").exists()


def test_a_full_disk_under_the_log_is_one_message(tmp_path, monkeypatch):
    class Filling:
        @hookimpl
        def dcc_step_finished(self, report):
            (tmp_path / "out" / "run.log").unlink()
            logging.getLogger("dcc").handlers[-1].target.close()
            full = open("/dev/full", "w")  # noqa: SIM115
            logging.getLogger("dcc").handlers[-1].target.stream = full
            raise KeyboardInterrupt

    with pytest.raises(Stopped, match="resume with"):
        executed(tmp_path / "out", RUNS["collective"], Filling())


def test_the_guards_last_state_is_in_the_checkpoint(tmp_path):
    """However long it is since the last one."""
    out = tmp_path / "out"
    options = {"loss": "drifting", "run.image_rate": 1e25, "run.checkpoint": "1h", "run.outer_loops": 40}
    with pytest.raises(DccError, match="although the image rate was lowered 3 times"):
        executed(out, options)
    kept = load_checkpoint(out / CHECKPOINT).moment
    assert kept.retries == 3
    assert all(torch.isfinite(t).all() for t in kept.tensors.values())
    executed(out, {**options, "run.image_rate": 0.1}, anyway=True)
    assert load_set(out / "set.safetensors").provenance.finished


def test_damaged_rows_of_a_csv_file_are_left_out(tmp_path):
    out = tmp_path / "out"
    options = {**RUNS["collective"], "run.log": ("csv",)}
    with pytest.raises(Stopped):
        executed(out, options, Interrupting(steps=5))
    with (out / "steps.csv").open("a") as file:
        file.write("0,1")
    executed(out, options)
    rows = (out / "steps.csv").read_text().splitlines()
    assert len(rows) == len(set(rows)) == STEPS + 1


def test_a_run_that_was_killed_while_it_wrote_its_first_file_begins_anew(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / f".{CHECKPOINT}.123.tmp").write_text("half")
    executed(out, RUNS["its own state"])
    assert not list(out.glob(".*"))

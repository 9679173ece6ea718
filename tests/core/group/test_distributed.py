"""One run on several processes: the same as on one, and no mystery where it is not."""

import functools
import json
import os
import pickle
import shlex
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import final

import pytest
import torch
from torch.distributed import HashStore

from dcc_core import Component, DccError, MatchingLoss, Part, State, hookimpl
from dcc_core.compute import can_fork
from dcc_core.compute.random import Randomness
from dcc_core.engine import image_update
from dcc_core.engine.algorithm import Network, optimise
from dcc_core.engine.step import Step
from dcc_core.errors import SilentError
from dcc_core.group import torch_distributed as distributed
from dcc_core.group.group import ALONE, Alone
from dcc_core.jobs.measurements import work_on_all_images
from dcc_core.runs.checkpoint import load_checkpoint
from dcc_core.runs.run import execute
from dcc_core.runs.run_folder import CHECKPOINT, CONDENSING, NullFolder, RunFolder, open_folder
from dcc_core.testing import in_processes, job_of, learned
from dcc_core.testing.base import TINY
from dcc_core.testing.processes import CAN_START
from dcc_plugins.terminal import Display

pytestmark = pytest.mark.skipif(
    not (CAN_START and can_fork()), reason="processes are forked, with what tests have replaced"
)

TWENTY = {**TINY, "aug": "dsa", "run.inner_loops": 5}
LOSSES = {
    "class-wise": {"loss": "class-wise"},
    "collective": {"loss": "collective", "loss.warmup": "none"},
    "warm-up": {"loss": "collective", "loss.warmup_outer": 2},
}


def apart(options, size, group_of=lambda group: group):
    """How far a run on several processes ends from that of one, at the most."""
    job = functools.partial(job_of, {**TWENTY, **options})
    alone = learned(job())
    every = in_processes(size, lambda group: learned(job(group=group_of(group))))
    return max(abs(one[name] - values).max() for one in every for name, values in alone.items())


# The same as on one


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("loss", LOSSES)
def test_twenty_steps_are_the_same_with_network_training_and_dsa(loss, size):
    assert apart(LOSSES[loss], size) < 1e-12


def test_learned_tensors_that_all_classes_share_count_once():
    from dcc_core.testing import toys

    options = {**TWENTY, "param": "half", "run.ipc": 1, "run.init": "real", "loss": "collective"}
    alone = learned(job_of(options, toys))
    assert abs(alone["shared_brightness"]).max() > 1e-3
    for shared in in_processes(2, lambda group: learned(job_of(options, toys, group=group))):
        assert abs(shared["shared_brightness"] - alone["shared_brightness"]).max() < 1e-12


def test_without_all_sum_the_total_differs(monkeypatch):
    monkeypatch.setattr(Step, "all_sum", lambda self, tensors: list(tensors))
    with pytest.raises(RuntimeError, match="a Total is the same scalar on every process"):
        apart(LOSSES["collective"], 2)


def test_summing_in_the_backward_pass_too_is_wrong(monkeypatch):
    def backward(ctx, *cotangents):
        sums = [ctx.size * c for c in cotangents]
        for c in sums:
            torch.distributed.all_reduce(c)
        return None, None, *sums

    monkeypatch.setattr(distributed._AllSum, "backward", staticmethod(backward))
    assert apart(LOSSES["collective"], 2) > 1e-3


def test_networks_that_a_process_trains_otherwise_have_drifted(monkeypatch):
    def train(self, synthetic, inner, original=Network.train):
        self._random = self._random.at("process", self._run.group.rank)
        original(self, synthetic, inner)

    monkeypatch.setattr(Network, "train", train)
    with pytest.raises(RuntimeError, match="the processes have drifted apart: checksums of synthetic set and network"):
        apart(LOSSES["class-wise"], 2)


def test_real_images_drawn_by_process_are_another_run(monkeypatch):
    def load(self, labels, original=Step._load_real):
        self._random = Randomness(self._random.seed, ("process", self.run.group.rank, *self._random.address[-4:]))
        return original(self, labels)

    monkeypatch.setattr(Step, "_load_real", load)
    assert apart(LOSSES["class-wise"], 2) > 1e-3


def test_networks_are_divided_and_score_the_same():
    options = {**TINY, "score.full_epochs": 3, "run.precision": "float32"}

    def score(group):
        work = work_on_all_images(job_of(options, group=group), "convnet", "dc", 5)
        return work.scorer.score_and_first(work.data, work.nets)

    def accuracies(group):
        torch.set_num_threads(1)
        found, network = score(group)
        return found.accuracies, found.images_seen, float(next(network.parameters()).double().sum())

    (alone,) = in_processes(1, lambda _: accuracies(ALONE))
    assert len(set(alone[0])) > 1
    assert in_processes(2, accuracies) == [alone] * 2
    assert in_processes(7, accuracies) == [alone] * 7


@final
@dataclass(frozen=True, kw_only=True)
class Steady(MatchingLoss):
    """Match class means that are averaged over the steps, each process those of its classes."""

    def setup(self, run, synthetic):
        return Means()

    def terms(self, step, state):
        for label in step.classes:
            mean = step.real(label).images.mean(dim=0)
            state.of[label] = 0.5 * state.of.get(label, torch.zeros_like(mean)) + 0.5 * mean
            yield Part((step.synthetic.batch(label).images - state.of[label]).square().mean())


class Means(State):
    def __init__(self):
        self.of = {}

    def state_dict(self):
        return {str(label): mean for label, mean in self.of.items()}

    def load_state_dict(self, state):
        self.of = {int(label): mean for label, mean in state.items()}


@final
@dataclass(frozen=True, kw_only=True)
class Broken(MatchingLoss):
    """The term of the second class is NaN, with a gradient of nought."""

    def terms(self, step, state):
        for label in step.classes:
            zero = step.synthetic.batch(label).images.sum() * 0
            yield Part(zero + float("nan") if label == 1 else zero)


class Plugin:
    @staticmethod
    @hookimpl
    def dcc_losses():
        return [
            Component(name="steady", target="test_distributed:Steady", summary="means of several steps"),
            Component(name="broken", target="test_distributed:Broken", summary="NaN on one process"),
        ]


def test_what_a_loss_keeps_of_classes_goes_on_with_another_number_of_processes():
    job = functools.partial(job_of, {**TWENTY, "loss": "steady"}, Plugin())
    whole = learned(job())["images"]

    def until(group):
        run, synthetic, state = job(group=group).start()
        kept = []
        optimise(run, Steady(), synthetic, state, keep=lambda capture, now=False: kept.append(capture()))
        return pickle.dumps(kept[7])

    def after(group):
        run, synthetic, state = job(group=group).start()
        optimise(run, Steady(), synthetic, state, begin=moments[group.rank % 2])
        return synthetic.stored["images"].detach().numpy()

    moments = [pickle.loads(moment) for moment in in_processes(2, until)]
    assert {"now.loss.0", "now.loss.1", "now.loss.2", "good.loss.1"} <= moments[0].tensors.keys()
    for images in in_processes(3, after):
        assert abs(images - whole).max() < 1e-12


def test_what_is_not_finite_on_one_process_is_said_alike_by_all():
    def message(group):
        with pytest.raises(DccError) as error:
            learned(job_of({**TWENTY, "loss": "broken"}, Plugin(), group=group))
        return str(error.value)

    first, second = in_processes(2, message)
    assert first == second
    assert first.startswith("term 1 of the loss is nan (outer loop 0, inner loop 0)")


def test_bytes_per_step_are_those_of_the_formula(monkeypatch):
    """Of the simulator: docs/scaling.md says it in words."""
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "benchmarks")
    import scaling

    for name, collective in (("class-wise", False), ("collective", True)):
        job = functools.partial(job_of, {**TWENTY, **LOSSES[name]})
        run, synthetic, _ = job().start()
        weights = sum(p.nbytes for p in run.build(torch.Generator()).parameters())
        stored = sum(t.nbytes for t in synthetic.tensors().values())

        def traffic(group, job=job):
            learned(job(group=group))
            return group.traffic

        assert in_processes(2, traffic) == [20 * scaling.bytes_per_step(weights, stored, collective=collective)] * 2


# Agreement, and the end


def test_what_differs_is_named_with_every_processs_value():
    def differing(group):
        with pytest.raises(DccError) as error:
            group.check_agreement({"version of torch": f"2.{group.rank}", "threads": 1})
        return str(error.value)

    for message in in_processes(3, differing):
        assert "version of torch: process 0: 2.0; process 1: 2.1; process 2: 2.2" in message
        assert "threads" not in message


def test_other_data_are_named():
    def loaded(group):
        with pytest.raises(DccError) as error:
            job_of({**TINY, "data.per_class": 6 + group.rank}, group=group)
        return str(error.value)

    for message in in_processes(2, loaded):
        assert "option data.per_class: process 0: 6; process 1: 7" in message
        assert "\n  data: process 0: " in message


def test_the_first_process_tells_and_its_errors_are_everyones():
    def told(group):
        assert group.broadcast(lambda: f"of {group.rank}") == "of 0"
        with pytest.raises(DccError, match="no such file") as error:
            group.broadcast(lambda: (_ for _ in ()).throw(DccError("no such file")))
        return type(error.value).__name__

    assert in_processes(2, told) == ["DccError", "DccError"]


def test_one_process_of_a_machine_goes_first():
    def order(group):
        group.local_rank = group.rank
        with group.leader_first():
            time.sleep(0.2 * (group.rank == 0))
            return time.monotonic()

    first, *others = in_processes(3, order)
    assert first < min(others)


def test_memory_that_runs_out_on_one_of_several_ends_all():
    def exhausted(group):
        job = job_of({**TINY, "run.micro_batch": 8}, group=group)

        def work():
            raise torch.OutOfMemoryError("CUDA out of memory")

        with pytest.raises(DccError) as error:
            job.context().chunks.within_memory(work)
        return str(error.value)

    assert all("begin with fewer, -o run.micro_batch=4" in message for message in in_processes(2, exhausted))


def test_a_process_that_ends_is_noticed_by_the_others():
    def work(group):
        if group.rank == 1:
            return "ended"
        with pytest.raises(distributed.LostError, match="another process has ended") as error:
            group.add([torch.zeros(4)])
        return error.type.__name__

    assert in_processes(2, work) == ["LostError", "ended"]


def test_an_error_that_nobody_foresaw_on_one_process_ends_all(tmp_path, monkeypatch):
    """In the probe too, where one process alone would go on to the run."""
    usual = image_update._scalar

    def scalar(term, count):
        if distributed.distributed.get_rank() == 1:
            raise ValueError("surprise")
        return usual(term, count)

    monkeypatch.setattr(image_update, "_scalar", scalar)

    def work(group):
        job = job_of(TINY)
        folder = RunFolder(tmp_path / "out") if group.first else NullFolder(tmp_path / "out", unfinished=False)
        with pytest.raises(DccError) as error:
            execute(job.config, job.registry, folder, Display(quiet=True), group=group)
        return str(error.value)

    first, second = in_processes(2, work)
    assert first.startswith("another process has ended")
    assert "ValueError: surprise" in second


def test_of_two_processes_the_one_that_fails_speaks():
    """The other one adds to its error what there is of the run."""
    store, lost = HashStore(), DccError("another process has ended\n  results so far are in 'out'")
    lost.__cause__ = distributed.LostError("another process has ended")
    store.set(f"{distributed.FAILED}1", "bad class")
    assert isinstance(distributed._known(lost, store, distributed.Processes(0, 2)), SilentError)


def test_an_address_that_does_not_answer_is_named(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "START_TIMEOUT", timedelta(seconds=1))
    with (
        pytest.raises(DccError, match=rf"cannot be reached at 127\.0\.0\.1:{port} within 1 s"),
        distributed.join_processes(),
    ):
        pass


def test_a_group_that_died_while_it_replaced_a_run_replaces_it_again(configure, tmp_path):
    """Its first checkpoint is there before the report of the other run goes."""
    group = Alone()
    group.restarts = 1
    for name in (CHECKPOINT, "report.json"):
        (tmp_path / name).write_text("{}")
    assert not open_folder(group, configure(), tmp_path, CONDENSING, overwrite=True).unfinished
    (tmp_path / "report.json").unlink()
    assert open_folder(group, configure(), tmp_path, CONDENSING, overwrite=True).unfinished


# From the command line, by torchrun

SMALL = shlex.split(
    "--data digits --aug dsa --outer-loops 3 --inner-loops 3 --network-steps 1 --sets 1 --eval-nets 2 --protocol dc "
    "-o data.classes=0,1,2 -o data.per_class=8 -o arch.width=4 -o arch.depth=1 -o run.checkpoint=0s"
)


def environment(**more):
    return {k: v for k, v in os.environ.items() if not k.startswith("TORCHELASTIC")} | {"OMP_NUM_THREADS": "1", **more}


def torchrun(*words):
    """Start a run on two processes."""
    launcher = "torch.distributed.run --nproc-per-node 2 --max-restarts 3 --monitor-interval 0.1 --standalone"
    command = [sys.executable, "-m", *launcher.split(), "-m", "dcc_core", *map(str, words)]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a run on two processes that nobody disturbed, and what it said."""
    out = tmp_path_factory.mktemp("two") / "out"
    said = torchrun("run", *SMALL, "--out", out).communicate(timeout=120)[0]
    assert (out / "report.json").exists(), said
    return out, said


def test_a_run_on_two_processes_leaves_one_result(undisturbed):
    out, said = undisturbed
    assert said.count("results in") == 1
    assert said.count("set 0, condensed, convnet") == 1
    steps = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [(s["outer"], s["inner"]) for s in steps if "outer" in s] == [(o, i) for o in range(3) for i in range(3)]
    report = json.loads((out / "report.json").read_text())
    assert [len(s["accuracies"]) for s in report["scores"]["condensed"]] == [2]


@pytest.mark.slow
def test_a_killed_process_restarts_the_group_which_ends_with_the_same_bytes(undisturbed, tmp_path):
    """SIGKILL for the process that writes, once a checkpoint is there."""
    out = tmp_path / "out"
    running = torchrun("run", *SMALL, "--out", out)
    copy = tmp_path / "checkpoint"  # the run replaces its own while it is read

    def is_past_the_first_loop():
        copy.write_bytes((out / CHECKPOINT).read_bytes() if (out / CHECKPOINT).exists() else b"")
        return copy.stat().st_size and load_checkpoint(copy).moment.outer >= 1

    wait_for(is_past_the_first_loop, running)
    children = subprocess.run(["pgrep", "-P", str(running.pid)], capture_output=True, text=True).stdout.split()
    os.kill(min(map(int, children)), signal.SIGKILL)
    said = running.communicate(timeout=120)[0]
    assert running.returncode == 0, said
    for name in ("set.safetensors", "grid.png", "metrics.jsonl"):
        assert (out / name).read_bytes() == (undisturbed[0] / name).read_bytes(), name


def wait_for(condition, running):
    end = time.monotonic() + 100
    while not condition():
        assert running.poll() is None, running.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_ctrl_c_ends_all_after_one_step_and_another_number_of_processes_is_asked_about(tmp_path):
    out = tmp_path / "out"
    long = ["run", *SMALL, "--outer-loops", "2000", "--out", out]
    running = torchrun(*long)
    wait_for((out / "metrics.jsonl").exists, running)
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=100)[0]
    assert said.count("Interrupted: results so far are in") == 1, said
    assert "drifted" not in said

    command = [sys.executable, "-m", "dcc_core", *map(str, long)]
    refused = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert refused.returncode == 2
    assert "  processes: 2, now 1" in refused.stderr
    assert "--resume-anyway" in refused.stderr


def by_hand(*own, words):
    """Two processes, started without torchrun, each with words of its own; what each says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "dcc_core", *words, *more],
            env=environment(**where, RANK=str(rank), LOCAL_RANK=str(rank)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank, more in enumerate(own)
    ]
    return [(p.communicate(timeout=100)[0], p.returncode) for p in started]


def test_processes_with_other_options_say_so_once(tmp_path):
    words = ["run", *SMALL, "--out", str(tmp_path / "out"), "--quiet"]
    (first, code), (second, other) = by_hand([], ["-o", "run.network_rate=0.5"], words=words)
    assert "option run.network_rate: process 0: 0.01; process 1: 0.5" in first
    assert (code, other, second) == (2, 2, "")
    assert not (tmp_path / "out" / "set.safetensors").exists()


def test_a_wrong_name_is_said_once_and_commands_for_one_process_are_refused():
    (first, code), (second, other) = by_hand([], [], words=["run", "--loss", "colective"])
    assert "Did you mean 'collective'?" in first
    assert (code, other, second) == (2, 2, "")
    (first, code), (second, other) = by_hand([], [], words=["table", "overview"])
    assert "dcc table is for one process; torchrun is for dcc run, select, eval" in first
    assert (code, other, second) == (2, 2, "")


def test_eval_divides_the_networks_and_prints_one_table(undisturbed):
    words = ["eval", str(undisturbed[0] / "set.safetensors"), "--nets", "2", "--json", "--quiet"]
    (first, code), (second, _) = by_hand([], [], words=words)
    assert code == 0, first
    stored = json.loads((undisturbed[0] / "report.json").read_text())
    assert json.loads(first)["scores"]["condensed"][0]["accuracies"] == stored["scores"]["condensed"][0]["accuracies"]
    assert second == ""

"""Independent pieces of work in processes: the same results, and no failure unheard."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import types
from dataclasses import replace

import cloudpickle
import pytest
import torch

from dcc_core import DccError
from dcc_core.compute import can_fork
from dcc_core.compute.memory import peak_memory, reset_peak
from dcc_core.scoring.in_processes import run_in_processes, worker_count

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="work is done in one process elsewhere")


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def forked():
    if not can_fork():
        pytest.skip("processes start afresh where torch sees a GPU")


@pytest.fixture
def afresh(monkeypatch):
    """Workers start as beside a GPU: each takes seconds, in which it imports torch."""
    monkeypatch.setattr("dcc_core.scoring.in_processes.can_fork", lambda: False)


@pytest.fixture(params=["forked", "afresh"])
def way(request):
    """Either way in which workers start."""
    request.getfixturevalue(request.param)


def gradient(i):
    """Of a convolution, on one thread."""
    layer = torch.nn.Conv2d(3, 8, 3, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-1, 1 + i, layer.weight.numel()).view_as(layer.weight))
    layer(torch.ones(4, 3, 9, 9)).square().mean().backward()
    return layer.weight.grad.tolist()


def test_all_work_is_done_by_processes_of_one_thread(forked):
    found = dict(run_in_processes(lambda i: (i * i, os.getpid(), torch.get_num_threads()), 5, CPU))
    assert {i: f[0] for i, f in found.items()} == {i: i * i for i in range(5)}
    assert len({f[1] for f in found.values()}) == 2
    assert os.getpid() not in {f[1] for f in found.values()}
    assert {f[2] for f in found.values()} == {1}


def test_results_come_as_they_are_done(forked):
    """The second worker's come while the first still sleeps."""
    order = [i for i, _ in run_in_processes(lambda i: time.sleep(0.5 * (i == 0)), 4, CPU)]
    assert order.index(3) < order.index(0) < order.index(2)


def test_networks_train_as_they_do_alone(forked):
    together = dict(run_in_processes(gradient, 3, CPU))
    torch.set_num_threads(1)
    assert together == {i: gradient(i) for i in range(3)}


def test_workers_that_start_afresh_do_what_forks_do(afresh, monkeypatch, tmp_path):
    """In a script without a guard, which is not run again; with what it defines itself, and until one fails."""
    script = types.ModuleType("__main__")
    script.__file__ = str(tmp_path / "script.py")
    (tmp_path / "script.py").write_text("raise SystemExit('the script was run again')")
    exec("class Pair:\n    def __init__(self, left):\n        self.left = left", script.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", script)
    pair = script.Pair
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def work(i):
        while i == 4:
            if (tmp_path / "seen").exists():
                raise DccError("the last one is wrong")
            time.sleep(0.01)
        return pair(gradient(i)).left, os.getpid(), torch.get_num_threads(), os.environ["CUDA_VISIBLE_DEVICES"]

    found = {}
    with pytest.raises(DccError, match="the last one is wrong") as caught:
        for i, result in run_in_processes(work, 5, CPU):
            found[i] = result
            if len(found) == 4:
                (tmp_path / "seen").touch()
    assert "in work" in str(caught.value.__cause__)
    torch.set_num_threads(1)
    assert {i: f[0] for i, f in found.items()} == {i: gradient(i) for i in range(4)}
    assert len({f[1] for f in found.values()} - {os.getpid()}) == 2
    assert {f[2:] for f in found.values()} == {(1, "")}
    assert sys.modules["__main__"] is script and "CUDA_VISIBLE_DEVICES" not in os.environ


def test_work_that_cannot_be_pickled_is_done_in_one_process(afresh, caplog):
    lock = threading.Lock()
    with caplog.at_level(logging.INFO, "dcc"):
        found = dict(run_in_processes(lambda i: lock.locked() or os.getpid(), 2, CPU))
    assert found == {0: os.getpid(), 1: os.getpid()}
    assert "work for 2 processes is done in one, since they cannot be given it: TypeError(" in caplog.text
    assert "cannot pickle '_thread.lock' object" in caplog.text


def test_a_scorer_can_be_pickled(make_job):
    """With its compiler and its network's builder. A worker's is a copy, which scores alike."""
    job = make_job({"loss": "means", "run.device": "cpu"})
    scorer = job.scorer(job.freeze(job.start().synthetic, 0))
    scorer = replace(scorer, protocol=replace(scorer.protocol, epochs=2))
    copied, images = cloudpickle.loads(cloudpickle.dumps((scorer, job.real)))
    assert copied.score(images, 1).accuracies == scorer.score(job.real, 1).accuracies


def test_what_workers_take_counts_as_memory(forked):
    """Two workers of which each comes to hold 100 MB of its own, half of it pages that were there before."""
    there = torch.ones(12_500_000)
    reset_peak()
    before = peak_memory(CPU)

    def work(i):
        there.add_(1)
        torch.ones(12_500_000)

    list(run_in_processes(work, 2, CPU))
    assert 200_000_000 <= peak_memory(CPU) - before < 350_000_000
    reset_peak()
    assert peak_memory(CPU) - before < 50_000_000


def test_an_error_is_raised_with_its_words(forked):
    def fails(i):
        if i == 1:
            raise DccError("the second one is wrong")
        return i

    with pytest.raises(DccError, match="the second one is wrong") as caught:
        list(run_in_processes(fails, 4, CPU))
    assert "in fails" in str(caught.value.__cause__)


def test_a_worker_that_dies_is_an_error(way):
    with pytest.raises(DccError, match=r"a worker process ended with exit code -9: out of memory\?"):
        list(run_in_processes(lambda i: os.kill(os.getpid(), signal.SIGKILL) if i else None, 2, CPU))


def test_a_start_that_fails_leaves_no_worker_behind(forked, monkeypatch, caplog):
    """The system refuses the second process: the work is done in this one, and the first is ended."""
    started, start = [], multiprocessing.context.ForkProcess.start

    def refuse_the_second(process):
        if started:
            raise OSError("Resource temporarily unavailable")
        start(process)
        started.append(process)

    monkeypatch.setattr(multiprocessing.context.ForkProcess, "start", refuse_the_second)
    with caplog.at_level("INFO", "dcc"):
        assert dict(run_in_processes(lambda i: os.getpid(), 4, CPU)) == dict.fromkeys(range(4), os.getpid())
    assert "Resource temporarily unavailable" in caplog.text
    assert [process.is_alive() for process in started] == [False]


def test_leaving_early_ends_the_workers(way, tmp_path):
    def work(i):
        (tmp_path / f"{i}").write_text(str(os.getpid()))
        time.sleep(60 * (i > 0))

    for _ in run_in_processes(work, 4, CPU):
        break
    for file in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)


@pytest.mark.parametrize(("threads", "count", "expected"), [(2, 1, 1), (2, 5, 2), (8, 5, 5), (8, 3, 1), (1, 5, 1)])
def test_workers_are_used_where_they_fill_the_threads(threads, count, expected):
    torch.set_num_threads(threads)
    assert worker_count(count, CPU) == expected
    assert worker_count(count, torch.device("cuda")) == 1

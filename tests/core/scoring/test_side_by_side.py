"""Independent pieces of work in processes: the same results, and no failure unheard."""

import os
import signal
import sys
import time

import pytest
import torch

from dcc_core import DccError
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


def test_all_work_is_done_by_processes_of_one_thread():
    found = dict(run_in_processes(lambda i: (i * i, os.getpid(), torch.get_num_threads()), 5, CPU))
    assert {i: f[0] for i, f in found.items()} == {i: i * i for i in range(5)}
    assert len({f[1] for f in found.values()}) == 2
    assert os.getpid() not in {f[1] for f in found.values()}
    assert {f[2] for f in found.values()} == {1}


def test_results_come_as_they_are_done():
    """The second worker's come while the first still sleeps."""
    order = [i for i, _ in run_in_processes(lambda i: time.sleep(0.5 * (i == 0)), 4, CPU)]
    assert order.index(3) < order.index(0) < order.index(2)


def test_networks_train_as_they_do_alone():
    def trained(i):
        torch.set_num_threads(1)
        layer = torch.nn.Conv2d(3, 8, 3, bias=False)
        with torch.no_grad():
            layer.weight.copy_(torch.linspace(-1, 1 + i, layer.weight.numel()).view_as(layer.weight))
        layer(torch.ones(4, 3, 9, 9)).square().mean().backward()
        return layer.weight.grad.tolist()

    together = dict(run_in_processes(trained, 3, CPU))
    for i in range(3):
        assert together[i] == trained(i)


def test_what_workers_take_counts_as_memory():
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


def test_an_error_is_raised_with_its_words():
    def fails(i):
        if i == 1:
            raise DccError("the second one is wrong")
        return i

    with pytest.raises(DccError, match="the second one is wrong") as caught:
        list(run_in_processes(fails, 4, CPU))
    assert "in fails" in str(caught.value.__cause__)


def test_a_worker_that_dies_is_an_error():
    with pytest.raises(DccError, match=r"a worker process ended with exit code -9: out of memory\?"):
        list(run_in_processes(lambda i: os.kill(os.getpid(), signal.SIGKILL) if i else None, 2, CPU))


def test_leaving_early_ends_the_workers(tmp_path):
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

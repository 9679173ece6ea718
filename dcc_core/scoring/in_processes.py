"""Independent pieces of work side by side: processes of one thread each, on a CPU.

Small networks use several threads badly, and Python's lock keeps threads of one process from doing better.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TypeVar

import torch

from dcc_core.compute import can_fork, own_peak, process_memory, record_worker_memory, reset_process_peak
from dcc_core.errors import DccError, as_dcc_error
from dcc_core.group import is_launched

T = TypeVar("T")


def worker_count(count: int, device: torch.device) -> int:
    """How many of `count` pieces of work are done at once: one per thread of torch's, if that uses most of them.

    1 on other devices than a CPU, and if a process cannot be forked safely: where there is a GPU (see `can_fork`), and
    where its copy would hold on to the connections of one of several.
    """
    threads = torch.get_num_threads()
    alone = not (multiprocessing.current_process().daemon or is_launched())
    forks = can_fork() and device.type == "cpu" and alone
    return min(count, threads) if forks and 2 * count >= threads else 1


def run_in_processes(work: Callable[[int], T], count: int, device: torch.device) -> Iterator[tuple[int, T]]:
    """`work(i)` for every i below `count`: pairs of i and the result, each as it is done.

    If there are several workers, results are pickled (numbers, not tensors), and nothing else that the work changes
    is kept; the memory that they take counts in `peak_memory`.
    Raises DccError if a worker fails or dies.
    """
    n = worker_count(count, device)
    if n <= 1:
        yield from ((i, work(i)) for i in range(count))
        return
    context = multiprocessing.get_context("fork")
    waiting: dict[Connection, BaseProcess] = {}
    before, own = process_memory(), 0
    try:
        for first in range(n):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(work, range(first, count, n), sender), daemon=True)
            process.start()
            sender.close()
            waiting[receiver] = process
        while waiting:
            for receiver in wait(list(waiting)):
                done, result = _receive(receiver, waiting[receiver])  # pyright: ignore[reportArgumentType]
                if done is None:
                    waiting.pop(receiver).join()  # pyright: ignore[reportArgumentType]
                    own += result
                else:
                    yield done, result
        record_worker_memory(before, own)
    finally:
        for process in waiting.values():
            process.terminate()
            process.join()


def _work(work: Callable[[int], object], own: Iterable[int], sender: Connection) -> None:
    """A worker's life. Interrupts are the parent's business, and so is the terminal, whose lock may never open here."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.disable()
    torch.set_num_threads(1)  # threads of OpenMP do not survive a fork
    reset_process_peak()
    try:
        for i in own:
            sender.send((i, work(i)))
        sender.send((None, own_peak()))
    except Exception as error:
        sender.send((str(as_dcc_error(error)), traceback.format_exc()))


def _receive(receiver: Connection, process: BaseProcess) -> tuple:
    try:
        done, result = receiver.recv()
    except EOFError as error:
        process.join()
        raise DccError(
            f"a worker process ended with exit code {process.exitcode}: out of memory? "
            "OMP_NUM_THREADS=1 does all the work in one process"
        ) from error
    if isinstance(done, str):
        raise DccError(done) from RuntimeError(result)
    return done, result

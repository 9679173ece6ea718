"""Independent pieces of work side by side: processes of one thread each, on a CPU.

Small networks use several threads badly, and Python's lock keeps threads of one process from doing better.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import traceback
import types
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TypeVar

import torch

from dcc_core.compute import can_fork, own_peak, process_memory, record_worker_memory, reset_process_peak
from dcc_core.errors import DccError, as_dcc_error
from dcc_core.group import is_launched

T = TypeVar("T")
log = logging.getLogger("dcc")


def worker_count(count: int, device: torch.device) -> int:
    """How many of `count` pieces of work are done at once: one per thread of torch's, if that uses most of them.

    1 on other devices than a CPU and other systems than Linux, in a worker, and in one of several processes.
    """
    threads, within = torch.get_num_threads(), multiprocessing.current_process().daemon or is_launched()
    several = sys.platform == "linux" and device.type == "cpu" and not within
    return min(count, threads) if several and 2 * count >= threads else 1


def run_in_processes(work: Callable[[int], T], count: int, device: torch.device) -> Iterator[tuple[int, T]]:
    """`work(i)` for every i below `count`: pairs of i and the result, each as it is done.

    If there are several workers, results are pickled (numbers, not tensors), and nothing else that the work changes
    is kept; the memory that they take counts in `peak_memory`. Work that must be pickled and cannot be is done here.
    Raises DccError if a worker fails or dies.
    """
    n, waiting = worker_count(count, device), {}
    before, own = process_memory(), 0
    try:
        waiting = start_workers(_work, work, [(range(i, count, n),) for i in range(n)]) if n > 1 else {}
    except Exception as error:
        log.info(f"work for {n} processes is done in one, since they cannot be given it: {error!r}")
    if not waiting:
        yield from ((i, work(i)) for i in range(count))
        return
    try:
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
        end(waiting.values())


def start_workers(life: Callable[..., None], work: object, each: Iterable[tuple]) -> dict[Connection, BaseProcess]:
    """Processes by what they send. Each calls `life(load, given, *arguments, sender)`, and `load(given)` is the work.

    They are forks where that is safe. Elsewhere they start afresh; cloudpickle sends the work. Raises what that raises.
    """
    import cloudpickle

    forks, main, started = can_fork(), sys.modules["__main__"], {}
    kind = multiprocessing.get_context("fork" if forks else "spawn").Process  # pyright: ignore[reportAttributeAccessIssue]
    load, given = ((lambda same: same), work) if forks else (cloudpickle.loads, cloudpickle.dumps(work))
    try:
        sys.modules["__main__"] = main if forks else types.ModuleType("__main__")  # or a script runs again
        for arguments in each:
            receiver, sender = multiprocessing.Pipe(duplex=False)
            started[receiver] = kind(target=life, args=(load, given, *arguments, sender), daemon=True)
            started[receiver].start()
            sender.close()
    except Exception:
        end(started.values())
        raise
    finally:
        sys.modules["__main__"] = main
    return started


def end(processes: Iterable[BaseProcess]) -> None:
    """End processes, those that have started."""
    for process in processes:
        if process.pid is not None:
            process.terminate()
            process.join()


def _work(load: Callable[..., Callable[[int], object]], given: object, own: Iterable[int], sender: Connection) -> None:
    """A worker's life. Interrupts are the parent's business, and so is the terminal, whose lock may never open here."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # torch looks for a GPU when one is first asked for
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.disable()
    torch.set_num_threads(1)  # threads of OpenMP do not survive a fork
    reset_process_peak()
    try:
        work = load(given)
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

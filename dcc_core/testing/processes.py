"""Several processes on one machine, for tests of what they do together."""

from __future__ import annotations

import multiprocessing
import tempfile
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import distributed

from dcc_core.compute import can_fork
from dcc_core.engine import optimise
from dcc_core.group import Group, Processes
from dcc_core.jobs import Job

T = TypeVar("T")

PATIENCE = timedelta(seconds=30)
"""How long a process waits for the others, who may have stopped calling."""

CAN_FORK = can_fork() and distributed.is_available()
"""Whether `in_processes` works here."""


def in_processes(size: int, work: Callable[[Group], T]) -> list[T]:
    """What `work` gives on each of `size` processes of a group, by rank; they are forks of this one, on CPUs, by gloo.

    The results are pickled: numbers, arrays or bytes, but no tensors.
    Raises RuntimeError with the traceback if one fails.
    """
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        processes, receivers = [], []
        for rank in range(size):
            receiver, sender = context.Pipe(duplex=False)
            arguments = (work, rank, size, Path(folder) / "store", sender)
            processes.append(context.Process(target=_one, args=arguments, daemon=True))
            receivers.append(receiver)
            processes[-1].start()
            sender.close()
        results = [_receive(receiver, rank) for rank, receiver in enumerate(receivers)]
        for process in processes:
            process.join()
    failed = [words for done, words in results if not done]
    if failed:
        raise RuntimeError(str(failed[0]))
    return [result for _, result in results]


def learned(job: Job) -> dict[str, np.ndarray]:
    """What the first set of a run learns, by name: all its steps, with the network's training between them."""
    run, synthetic, state = job.start()
    optimise(run, job.config.loss, synthetic, state)
    return {name: t.detach().cpu().numpy() for name, t in synthetic.tensors().items()}


def _one(work: Callable[[Group], Any], rank: int, size: int, store: Path, sender: Connection) -> None:
    torch.set_num_threads(1)  # threads of OpenMP do not survive a fork
    try:
        how = {"rank": rank, "world_size": size, "timeout": PATIENCE}
        distributed.init_process_group("gloo", init_method=f"file://{store}", **how)
        sender.send((True, work(Processes(rank, size))))
    except BaseException:
        sender.send((False, f"process {rank} of {size}:\n{traceback.format_exc()}"))


def _receive(receiver: Connection, rank: int) -> tuple[bool, Any]:
    try:
        return receiver.recv()
    except EOFError:
        return False, f"process {rank} ended without a message"

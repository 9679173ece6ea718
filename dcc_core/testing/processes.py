"""Several processes on one machine, for tests of what they do together."""

from __future__ import annotations

import os
import sys
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

from dcc_core.engine import optimise
from dcc_core.errors import DccError
from dcc_core.group import Group, Processes
from dcc_core.jobs import Job
from dcc_core.scoring import start_workers

T = TypeVar("T")

PATIENCE = timedelta(seconds=30)
"""How long a process waits for the others, who may have stopped calling."""

CAN_START = sys.platform == "linux" and distributed.is_available()
"""Whether `in_processes` works here."""


def in_processes(size: int, work: Callable[[Group], T]) -> list[T]:
    """What `work` gives on each of `size` processes of a group, by rank, on CPUs, by gloo.

    They are forks of this one. Where torch sees a GPU they start afresh, and `work` is pickled, closures included.
    The results are pickled: numbers, arrays or bytes, but no tensors.
    Raises RuntimeError with the traceback if one fails, DccError if `work` must be pickled and cannot be.
    """
    with tempfile.TemporaryDirectory() as folder:
        each = [(rank, size, Path(folder) / "store") for rank in range(size)]
        try:
            started = start_workers(_one, work, each)
        except Exception as error:
            raise DccError(f"work for {size} processes cannot be given to them: {error}") from error
        results = [_receive(receiver, rank) for rank, receiver in enumerate(started)]
        for process in started.values():
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


def _one(load: Callable[..., Any], given: object, rank: int, size: int, store: Path, sender: Connection) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # torch looks for a GPU when one is first asked for
    torch.set_num_threads(1)  # threads of OpenMP do not survive a fork
    try:
        work: Callable[[Group], Any] = load(given)
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

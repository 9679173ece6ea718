"""Worker processes of this machine: a fresh one for every piece of work, so that one that dies costs only its own.

Imported by workers before they have their threads and GPUs: imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import final

from dcc_core.errors import DccError
from dcc_core.runs import Interrupts
from dcc_plugins.tables.workers import A, Began, Event, Events, Losses, Lost, R, Resources, Workers, run_piece, threads

TURN = 0.2
"""Seconds between two looks at the workers."""


@dataclass(frozen=True)
class _Worker:
    """A process at work. slot: its place among those at work at once. said: the file of what it writes."""

    name: str
    slot: int
    process: SpawnProcess
    line: Connection
    said: Path

    def ended(self) -> bool:
        """The result is there, or the process gone, of which pipes do not tell: what it forked holds them open."""
        return self.line.poll() or self.process.exitcode is not None

    def remove(self) -> None:
        """End what is left of the process, and those that it forked, at once."""
        if self.process.pid and os.name == "posix":
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join()
        self.line.close()

    def reason(self) -> str:
        """Why the process is gone."""
        code = self.process.exitcode or 0
        how = f"it was killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        lines = self.said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"{how}{hint}" + (f": {lines[-1][:300]}" if lines else "")


@final
class Processes(Workers):
    """So many processes at once. Without resources said, they share the CPUs and GPUs of the machine evenly."""

    def __init__(self, count: int, resources: Resources) -> None:
        self.count = count
        self._resources = resources

    def each(self, work: Callable[[A], R], given: Mapping[str, A]) -> Events[R]:
        waiting, running, losses = deque(given.items()), {}, Losses()
        environments = self._environments() if given else []
        interrupts = Interrupts()
        with interrupts.install(), interrupts.hold(), tempfile.TemporaryDirectory(prefix="dcc-") as folder:
            try:
                while waiting or running:
                    interrupts.check()
                    if waiting and (free := [slot for slot in range(self.count) if slot not in running]):
                        name, value = waiting.popleft()
                        said = Path(folder) / f"{free[0]}.log"
                        running[free[0]] = _start_worker(name, free[0], said, environments[free[0]], work, value)
                        yield Began(name)
                        continue
                    wait([worker.line for worker in running.values()], timeout=TURN)
                    for worker in [w for w in running.values() if w.ended()]:
                        event = _wait_for_end(worker, losses)
                        del running[worker.slot]
                        if isinstance(event, Lost):
                            waiting.appendleft((worker.name, given[worker.name]))
                        yield event
            finally:
                _end(list(running.values()))

    def _environments(self) -> list[dict[str, str]]:
        """For every slot: its threads, and the GPUs that it sees."""
        cpus = self._resources.cpus or max(1, _cpus() // self.count)
        return [
            {**threads(cpus), **({"CUDA_VISIBLE_DEVICES": gpus} if gpus is not None else {})}
            for gpus in shares(self._resources.gpus, self.count, _gpus())
        ]


def shares(each: float | None, count: int, gpus: list[str]) -> list[str | None]:
    """The GPUs of every slot, as CUDA_VISIBLE_DEVICES; None if there are none to share.

    each: of every slot, a part of one or whole ones; None: all of them, shared evenly.
    Raises DccError if a slot would have more than there are.
    """
    if each is None:
        each = min(1.0, len(gpus) / count)
    if each > len(gpus):
        raise DccError(f"cells want {each:g} GPUs each, and this machine has {len(gpus)}; --cell-gpus says how many")
    if not gpus:
        return [None] * count
    whole = max(1, int(each)) if each else 0
    first = [int(slot * each) for slot in range(count)]
    return [",".join(gpus[(at + i) % len(gpus)] for i in range(whole)) for at in first]


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _gpus() -> list[str]:
    """This process's GPUs, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[:count] if named else [str(number) for number in range(count)]


def _start_worker(
    name: str, slot: int, said: Path, environment: Mapping[str, str], work: Callable[[A], R], value: A
) -> _Worker:
    context = multiprocessing.get_context("spawn")
    line, far_end = context.Pipe()
    process = context.Process(target=_life, args=(far_end, said, environment), name=f"dcc {name}")
    process.start()
    far_end.close()
    with contextlib.suppress(OSError):  # it has died already, which will be seen
        line.send((name, work, value))
    return _Worker(name, slot, process, line, said)


def _wait_for_end(worker: _Worker, losses: Losses) -> Event:
    try:
        event = worker.line.recv() if worker.line.poll() else None
    except (EOFError, OSError):  # it died while it told
        event = None
    if event is None:
        worker.process.join()
        event = losses.another(worker.name, worker.reason())
    else:
        worker.process.join(1)
    worker.remove()
    return event


def _end(workers: list[_Worker]) -> None:
    """End workers: after their steps, or, if a second signal comes, at once."""
    try:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join()
    finally:
        for worker in workers:
            worker.remove()


def _life(line: Connection, said: Path, environment: Mapping[str, str]) -> None:
    """A worker's life: quiet, out of reach of the terminal's Ctrl-C, and no longer than its parent's."""
    if os.name == "posix":
        os.setsid()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    with open(said, "wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.environ.update(environment)  # before the work is unpickled, which may import torch
    line.send(run_piece(*line.recv()))


def _die_with_parent() -> None:
    """Two processes must not write one folder: the same command, given again, may begin at once."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        if os.name == "posix":
            os.killpg(0, signal.SIGKILL)
        os._exit(1)
